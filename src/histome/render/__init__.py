"""What report, viewer and exports draw alike: colors, layers over a slide, outlines."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.render.layers import Layer, cell_layer, class_layer, png_uri
    from histome.render.outlines import outline_paths
    from histome.render.palette import CELL_COLORS, QC_COLORS, TISSUE_COLORS, legend

__all__ = [
    "CELL_COLORS",
    "QC_COLORS",
    "TISSUE_COLORS",
    "Layer",
    "cell_layer",
    "class_layer",
    "legend",
    "outline_paths",
    "png_uri",
]
__getattr__ = opened(__name__, __file__)
