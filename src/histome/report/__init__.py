"""Reports for people: one HTML file with pictures, charts and numbers."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.report.html import render_report

__all__ = ["render_report"]
__getattr__ = opened(__name__, __file__)
