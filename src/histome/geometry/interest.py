"""Regions of interest: which parts of a slide are measured, by name."""

from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.geometry.raster import paint_polygons
from histome.geometry.shapes import Shapes


@dataclass(frozen=True, eq=False)
class RegionsOfInterest:
    """Where a slide is measured.

    Attributes
    ----------
    shapes : Shapes, um
        The regions, each with a name of its own; none where all but what is left out is measured.
    kinds : tuple of str
        The class of each region, "" where it has none.
    measured : shapely geometry, um
        All of the regions together, or of the slide, without what is left out.
    left_out : shapely geometry, um
        What no region holds because it was drawn to be left out; empty where nothing was.
    """

    shapes: Shapes
    kinds: tuple[str, ...]
    measured: shapely.Geometry
    left_out: shapely.Geometry = field(default_factory=shapely.Polygon)

    def mask(self, shape: tuple[int, int], *, mpp: float) -> NDArray[np.bool_]:
        """Return the pixels of a map (h, w) of the slide whose centers are measured."""
        painted = np.zeros(shape, np.uint8)
        paint_polygons(painted, np.array([self.measured], object), np.ones(1, np.uint8), unit_px=1 / mpp)
        return painted.astype(np.bool_)
