"""Pixels of a slide: open any supported file and read regions at any resolution."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.slide.broken import BrokenTiles
    from histome.slide.maps import ClassMap, ProbabilityMap
    from histome.slide.mpp import Frame, Mpp
    from histome.slide.opening import open_slide
    from histome.slide.reader import Level, Reader, Slide
    from histome.slide.tiles import Box, Tile, TileGrid

__all__ = [
    "Box",
    "BrokenTiles",
    "ClassMap",
    "Frame",
    "Level",
    "Mpp",
    "ProbabilityMap",
    "Reader",
    "Slide",
    "Tile",
    "TileGrid",
    "open_slide",
]
__getattr__ = opened(__name__, __file__)
