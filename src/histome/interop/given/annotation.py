"""What a person drew on a slide, whatever the program that kept it."""

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

_CORNERS = 64


class Annotation(NamedTuple):
    """One drawn shape.

    Attributes
    ----------
    name, kind : str
        Its own name and its class; "" where it has none.
    geometry : shapely geometry, px of level 0
        Polygons; empty for what encloses nothing: points, lines, arrows.
    negative : bool
        Whether the program itself calls it a region to be left out.
    """

    name: str
    kind: str
    geometry: shapely.Geometry
    negative: bool = False

    @property
    def title(self) -> str:
        """What it is called: its name, else its class."""
        return self.name or self.kind or "region"


class AnnotationFile(NamedTuple):
    """The annotations of a file, and the um per px that it says its slide has."""

    annotations: list[Annotation]
    mpp: float | None = None


def enclosed(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return what a geometry encloses: its polygons, those that cross themselves by the even-odd rule."""
    polygons = [
        part
        for piece in shapely.get_parts(shapely.get_parts(shapely.make_valid(shapely.force_2d(geometry))))
        for part in shapely.get_parts(piece)
        if shapely.get_type_id(part) == shapely.GeometryType.POLYGON and part.area > 0
    ]
    return shapely.union_all(polygons) if polygons else shapely.Polygon()


def polygon_of(corners: NDArray[np.float64]) -> shapely.Geometry:
    """Return what a line through corners (n, 2) encloses; empty for fewer than three."""
    return enclosed(shapely.Polygon(corners)) if len(corners) >= 3 else shapely.Polygon()


def box_of(corners: NDArray[np.float64]) -> shapely.Geometry:
    """Return the box round corners (n, 2)."""
    return shapely.box(*corners.min(axis=0), *corners.max(axis=0))


def ellipse_of(corners: NDArray[np.float64]) -> shapely.Geometry:
    """Return the ellipse in the box round corners (n, 2)."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    angles = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return polygon_of((low + high) / 2 + circle * (high - low) / 2)
