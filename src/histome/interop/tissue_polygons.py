"""Polygons of tissue as a class map."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.errors import HistomeError
from histome.geometry.raster import paint_polygons
from histome.geometry.shapes import Shapes
from histome.interop.foreign_shapes import POLYGONS, check_kinds
from histome.interop.label_image import MAX_MAP_PX
from histome.interop.labels import map_labels
from histome.slide.maps import ClassMap
from histome.tissue.drawn import are_staircases, drawn_regions
from histome.tissue.glands import LININGS, DrawnGlands


class ForeignTissue(NamedTuple):
    """Tissue of a file as a class map, and the um2 that polygons of different classes both claimed.

    `regions` are those of its polygons, None where the file holds pixels, or outlines of pixels; `glands` the
    polygons that are called so, None where none is.
    """

    map: ClassMap
    overlap_um2: float = 0.0
    regions: pa.Table | None = None
    glands: DrawnGlands | None = None


def paint_tissue(
    shapes: Shapes, mapping: Mapping[str, str], path: Path, *, mpp: float, map_mpp: float
) -> ForeignTissue:
    """Paint polygons by pixel centers, the largest first, so that the smallest lies on top.

    The order of the file does not matter. The map begins at the slide's corner, or before it where a polygon
    does.
    Raises HistomeError for no polygons, geometries that are none, unmapped labels and absurd extents.
    """
    if len(shapes.geometry) == 0:
        raise HistomeError(f"{path}: holds no polygons of tissue.")
    check_kinds(shapes.geometry, POLYGONS, path)
    codes = (map_labels(shapes.label, mapping, TISSUE_CLASSES, path) + 1).astype(np.uint8)
    bounds = shapely.total_bounds(shapes.geometry) * mpp / map_mpp
    left, top = np.floor(np.minimum(bounds[:2], 0))
    width, height = np.maximum(np.ceil(bounds[2:]) - (left, top), 1)
    if not np.isfinite(width + height) or width * height > MAX_MAP_PX:
        raise HistomeError(
            f"{path}: the polygons reach over {width * map_mpp:.3g} x {height * map_mpp:.3g} um."
        )
    array, origin = np.zeros((int(height), int(width)), np.uint8), (int(left), int(top))
    order = _largest_first(shapes, codes)
    polygons, codes = shapes.geometry[order], codes[order]
    changed = paint_polygons(array, polygons, codes, unit_px=mpp / map_mpp, origin_px=origin)
    painted = ClassMap(array, map_mpp, TISSUE_CLASSES, origin)
    in_um = shapely.transform(polygons, lambda xy: xy * mpp)
    regions = None if are_staircases(polygons) else drawn_regions(in_um, codes)
    glands = _glands(in_um, shapes.label[order], codes)
    return ForeignTissue(painted, changed * map_mpp**2, regions, glands)


def _glands(
    polygons_um: NDArray[np.object_], labels: NDArray[np.object_], codes: NDArray[np.uint8]
) -> DrawnGlands | None:
    """Return the polygons of epithelium or carcinoma whose label has gland in it; None without any."""
    called = np.array(["gland" in str(label).casefold() for label in labels], np.bool_)
    tissue = np.array(TISSUE_CLASSES, object)[codes - 1]
    called &= np.isin(tissue, LININGS)
    return DrawnGlands(polygons_um[called], tissue[called]) if called.any() else None


def _largest_first(shapes: Shapes, codes: np.ndarray) -> np.ndarray:
    """Return an order (n,) by falling area that does not depend on the order of the rows."""
    bounds = shapely.bounds(shapes.geometry)
    return np.lexsort((*bounds.T, codes, -shapely.area(shapes.geometry)))
