"""TIFF read by its own structure: directories, pages, tiles and strips; what they claim is checked first."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.slide.tiff.directories import check_directories
    from histome.slide.tiff.opening import open_tiff

__all__ = ["check_directories", "open_tiff"]
__getattr__ = opened(__name__, __file__)
