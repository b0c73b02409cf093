"""Labeled data as other people publish it, and as users keep it: one function for all layouts."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.datasets.published.layouts import LAYOUTS, load_labeled

__all__ = ["LAYOUTS", "load_labeled"]
__getattr__ = opened(__name__, __file__)
