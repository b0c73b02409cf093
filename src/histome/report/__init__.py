"""Reports for people: one HTML file with pictures, charts and numbers."""

from histome.report.html import render_report

__all__ = ["render_report"]
