"""Regions of tissue that were drawn as polygons: measured on these, not on the pixels painted with them."""

from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.geometry.polygons import center_and_axes
from histome.tissue.regions import MIN_REGION_UM2, NO_FRAME, region_table

# An outline of more corners that has only upright and level edges was drawn by a raster.
_STAIRCASE = 12


def drawn_regions(
    polygons_um: NDArray[np.object_], codes: NDArray[np.uint8], *, min_um2: float = MIN_REGION_UM2
) -> pa.Table:
    """Return the regions of painted polygons, exact: those that touch along a side in one class are one.

    Parameters
    ----------
    polygons_um : (n,) object, um
        In the order of painting: of what overlaps, the later counts.
    codes : (n,) uint8
        Tissue class of each, from 1.
    min_um2 : float, um2
        Smaller regions are left out.

    Returns
    -------
    pa.Table
        `REGION_SCHEMA`, by the upper edge; convex_area_um2 is that of the polygon's hull.
    """
    seen = _visible(polygons_um, codes)
    rows = []
    for code in np.unique(codes):
        parts = shapely.get_parts(_areal(shapely.union_all(seen[codes == code])))
        rows += [_shape(part, TISSUE_CLASSES[code - 1]) for part in parts[shapely.area(parts) >= min_um2]]
    return region_table(sorted(rows, key=_place), NO_FRAME)


def are_staircases(polygons: NDArray[np.object_]) -> bool:
    """Tell whether the polygons follow the edges of pixels, as a raster's do: all edges upright or level.

    The lengths of such outlines are up to 1.4 times those of what they outline.
    """
    rings = shapely.get_rings(shapely.get_parts(polygons))
    corners, of_ring = shapely.get_coordinates(rings, return_index=True)
    step = np.diff(corners, axis=0)[np.diff(of_ring) == 0]
    return bool((step == 0).any(axis=1).all()) and shapely.get_num_coordinates(rings).max() > _STAIRCASE


def _visible(polygons: NDArray[np.object_], codes: NDArray[np.uint8]) -> NDArray[np.object_]:
    """Return what later polygons of other classes leave of each."""
    whole = np.array([_areal(shapely.make_valid(each)) for each in polygons], object)
    first, second = shapely.STRtree(whole).query(whole, predicate="intersects")
    over = (second > first) & (codes[second] != codes[first])
    first, second = first[over], second[over]
    left = whole.copy()
    for row in np.unique(first):
        left[row] = _areal(shapely.difference(whole[row], shapely.union_all(whole[second[first == row]])))
    return left


def _areal(shape: Any) -> shapely.MultiPolygon:
    """Return the polygons of a geometry alone: repairs and cuts leave points and lines."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.MultiPolygon(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON].tolist())


def _shape(region: shapely.Polygon, name: str) -> dict[str, Any]:
    """Return the row of a region, less number and place in px."""
    outside = shapely.Polygon(region.exterior)
    (x, y), (major, minor) = center_and_axes(region)
    left, top, right, bottom = region.bounds
    return {
        "class": name,
        "x_um": x,
        "y_um": y,
        "area_um2": region.area,
        "filled_area_um2": outside.area,
        "convex_area_um2": region.convex_hull.area,
        "bbox_area_um2": (right - left) * (bottom - top),
        "perimeter_um": region.length,
        "outer_perimeter_um": outside.length,
        "major_axis_um": major,
        "minor_axis_um": minor,
        "eccentricity": float(np.sqrt(max(0.0, 1 - (minor / major) ** 2))),
        "roundness": min(1.0, 4 * np.pi * outside.area / outside.length**2),
        "solidity": min(1.0, region.area / region.convex_hull.area),
        "geometry": region,
    }


def _place(row: dict[str, Any]) -> tuple[float, float, str]:
    left, top, _, _ = row["geometry"].bounds
    return top, left, row["class"]
