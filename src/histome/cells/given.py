"""Nuclei that another program found, or a person: where they are, before they are classified and measured."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.cells.shape import NuclearShapes, measure_polygons
from histome.cells.windows import CORNER_STEPS_PER_PX

# A point stands for the pixels within this of it: all of them lie in a lymphocyte's nucleus.
POINT_RADIUS_UM = 3.0
_CORNERS = 32


@dataclass(frozen=True, eq=False)
class GivenNuclei:
    """n nuclei of a file.

    Attributes
    ----------
    source : str
        Name of the file.
    outlines : (n,) object, px
        Shapely polygons without holes in level-0 px, corners at eighths of a px.
    shape : (n, 9) float64
        Fields of `NuclearShapes`; of a point NaN but for its place.
    ids, labels : (n,) object
        Id and class that the file gives each, str; None where it gives none.
    """

    source: str
    outlines: NDArray[np.object_]
    shape: NDArray[np.float64]
    ids: NDArray[np.object_]
    labels: NDArray[np.object_]

    @classmethod
    def of_outlines(
        cls,
        source: str,
        outlines: NDArray[np.object_],
        *,
        mpp: tuple[float, float],
        ids: NDArray[np.object_],
        labels: NDArray[np.object_],
    ) -> Self:
        """Return nuclei of polygons in level-0 px of `mpp` um; those without area are points."""
        rings = shapely.force_2d(shapely.get_exterior_ring(outlines))
        rounded = shapely.polygons(shapely.transform(rings, _rounded))
        outlines = np.asarray(shapely.orient_polygons(rounded), object)
        shape = np.stack(measure_polygons(outlines, mpp), axis=1).reshape(-1, len(NuclearShapes._fields))
        flat = np.flatnonzero(np.isnan(shape[:, 2]))
        centers = shapely.get_coordinates(shapely.centroid(shapely.envelope(rings[flat])))
        outlines[flat], shape[flat, :2] = _discs(centers, mpp), centers * mpp
        return cls(source, outlines, shape, ids, labels)

    @classmethod
    def of_points(
        cls,
        source: str,
        points: NDArray[np.float64],
        *,
        mpp: tuple[float, float],
        ids: NDArray[np.object_],
        labels: NDArray[np.object_],
    ) -> Self:
        """Return nuclei of points (n, 2) in level-0 px of `mpp` um."""
        shape = np.full((len(points), len(NuclearShapes._fields)), np.nan)
        shape[:, :2] = points * mpp
        return cls(source, _discs(points, mpp), shape, ids, labels)

    def __len__(self) -> int:
        return len(self.outlines)

    def select(self, rows: NDArray[np.int64]) -> Self:
        """Return the chosen nuclei, by index."""
        return type(self)(
            self.source, self.outlines[rows], self.shape[rows], self.ids[rows], self.labels[rows]
        )


def _rounded(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(xy * CORNER_STEPS_PER_PX) / CORNER_STEPS_PER_PX


def _discs(points: NDArray[np.float64], mpp: tuple[float, float]) -> NDArray[np.object_]:
    """Return polygons round points, (n,)."""
    angles = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    circle = POINT_RADIUS_UM * np.stack([np.cos(angles), np.sin(angles)], axis=1) / np.array(mpp)
    discs = shapely.polygons(_rounded(points[:, None] + circle[None]))
    return np.asarray(discs, object)
