"""Glands: pieces of epithelium with the lumina that they enclose, or what a person drew as glands."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.geometry.gaps import gaps_between
from histome.geometry.raster import paint_polygons
from histome.geotable import TableLike
from histome.slide.maps import ClassMap

# Tissues that glands are lined with.
LININGS = ("CARCINOMA", "EPITHELIAL_TISSUE")
# A disc of 36 um: an acinus is larger, a smaller piece is a tangent cut or an error of the map.
SMALLEST_GLAND_UM2 = 1000.0
# A disc of 11 um, some 20 pixels of the map.
_SMALLEST_LUMEN_UM2 = 100.0
_AT_ONCE = 256
# By code of the tissue map.
_LIVING = np.array([False, *(name in NUCLEATED_TISSUES for name in TISSUE_CLASSES)])
_EPITHELIUM = np.array([False, *(name in LININGS for name in TISSUE_CLASSES)])


class DrawnGlands(NamedTuple):
    """Polygons that somebody drew as glands, um, (n,), and the tissue that each is lined with, (n,)."""

    shape: NDArray[np.object_]
    tissue: NDArray[np.object_]


class Glands(NamedTuple):
    """Glands (n,); lengths in um."""

    shape: NDArray[np.object_]  # polygons in um; holes of a piece of epithelium are left open
    lining: NDArray[np.int64]  # place in LININGS
    area_um2: NDArray[np.float64]  # with the lumina
    epithelium_um2: NDArray[np.float64]
    lumen_um2: NDArray[np.float64]
    perimeter_um: NDArray[np.float64]  # of the outer border
    roundness: NDArray[np.float64]

    def select(self, rows: NDArray[np.bool_]) -> "Glands":
        """Return the chosen glands."""
        columns: list[NDArray[Any]] = [column[rows] for column in self]
        return Glands(*columns)

    @property
    def with_lumen(self) -> NDArray[np.bool_]:
        """Whether a gland has a lumen that can be seen on the map."""
        return self.lumen_um2 >= _SMALLEST_LUMEN_UM2


def find_glands(tissue: ClassMap, regions: TableLike, drawn: DrawnGlands | None = None) -> Glands:
    """Return the glands that were drawn, or else those of the regions of a tissue map."""
    found = _of_regions(tissue, regions) if drawn is None else _of_drawn(tissue, drawn)
    return found.select(found.area_um2 >= SMALLEST_GLAND_UM2)


def gland_gaps(glands: Glands) -> NDArray[np.float64]:
    """Return the distance of each gland to the nearest other of its lining, um; inf where there is none."""
    gaps = np.full(len(glands.shape), np.inf)
    for lining in range(len(LININGS)):
        gaps[glands.lining == lining] = gaps_between(glands.shape[glands.lining == lining])
    return gaps


def _of_regions(tissue: ClassMap, regions: TableLike) -> Glands:
    """Return the regions of epithelium with their lumina: holes at least half of which does not live."""
    lining = _places(np.array(regions["class"].to_pylist(), object))
    table, lining = regions.filter(pa.array(lining >= 0)), lining[lining >= 0]
    shape = _scaled(table["geometry"], np.array(tissue.frame.mpp if tissue.frame else (1.0, 1.0)))
    lumen = np.array([_lumen_um2(tissue, each) for each in shape], np.float64)
    area, perimeter, roundness = (
        np.asarray(table[name].to_numpy(), np.float64)
        for name in ("area_um2", "outer_perimeter_um", "roundness")
    )
    return Glands(shape, lining, area + lumen, area, lumen, perimeter, roundness)


def _scaled(wkb: pa.ChunkedArray, by: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return shapes, x and y times `by`, (n,); some at a time: a section's have millions of corners."""
    parts = (wkb.slice(at, _AT_ONCE).to_numpy() for at in range(0, len(wkb), _AT_ONCE))
    scaled = [shapely.transform(shapely.from_wkb(part), lambda xy: xy * by) for part in parts]
    return np.concatenate([np.empty(0, object), *scaled])


def _of_drawn(tissue: ClassMap, drawn: DrawnGlands) -> Glands:
    """Return what was drawn; how much of each is epithelium and how much lumen the map tells."""
    shape, area = drawn.shape, np.asarray(shapely.area(drawn.shape))
    perimeter = np.asarray(shapely.length(shapely.get_exterior_ring(shape)))
    share = np.zeros((2, len(shape)))  # of epithelium, of what does not live
    for k, each in enumerate(shape):
        held = _codes_in(tissue, each)
        if len(held):
            share[:, k] = np.mean(_EPITHELIUM[held]), np.mean(~_LIVING[held])
    roundness = 4 * np.pi * area / perimeter**2
    epithelium, lumen = share * area
    return Glands(shape, _places(drawn.tissue), area, epithelium, lumen, perimeter, roundness)


def _places(names: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the place of each tissue in LININGS, -1 for others, (n,)."""
    return np.array([LININGS.index(name) if name in LININGS else -1 for name in names], np.int64)


def _lumen_um2(tissue: ClassMap, shape: Any) -> float:
    """Return the area of the holes that are lumina."""
    holes = [shapely.Polygon(ring) for part in shapely.get_parts(shape) for ring in part.interiors]
    return sum(hole.area for hole in holes if not _lives(_codes_in(tissue, hole)))


def _lives(codes: NDArray[np.uint8]) -> bool:
    """Tell whether most pixels are of tissue that has nuclei; no pixels are none."""
    return bool(2 * np.count_nonzero(_LIVING[codes]) > len(codes))


def _codes_in(tissue: ClassMap, shape: Any) -> NDArray[np.uint8]:
    """Return the codes of the pixels whose centers lie in a polygon in um; 0 beyond the map."""
    mpp, origin = tissue.mpp, tissue.origin_px
    left, top, right, bottom = np.array(shape.bounds) / mpp
    corner = (int(np.floor(left)), int(np.floor(top)))
    painted = np.zeros((int(np.ceil(bottom)) - corner[1], int(np.ceil(right)) - corner[0]), np.uint8)
    polygon, one = np.array([shape], object), np.ones(1, np.uint8)
    paint_polygons(painted, polygon, one, unit_px=1 / mpp, origin_px=corner)
    rows, columns = np.nonzero(painted)
    rows, columns = rows + corner[1] - origin[1], columns + corner[0] - origin[0]
    height, width = tissue.array.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    codes = np.zeros(len(rows), np.uint8)
    codes[inside] = tissue.array[rows[inside], columns[inside]]
    return codes
