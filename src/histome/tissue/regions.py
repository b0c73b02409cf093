"""Regions: connected pieces of one tissue class, with their shapes and polygons."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.geometry.contours import border_length_px, outline
from histome.geometry.runs import Runs, find_runs
from histome.slide import ClassMap

# 20 x 20 um, some two nuclei: smaller specks of a class are noise of its border and no region.
MIN_REGION_UM2 = 400.0

REGION_SCHEMA = pa.schema(
    [
        pa.field("region_id", pa.int64()),
        pa.field("class", pa.string()),
        pa.field("x_um", pa.float64()),
        pa.field("y_um", pa.float64()),
        pa.field("area_um2", pa.float64()),
        pa.field("filled_area_um2", pa.float64()),
        pa.field("convex_area_um2", pa.float64()),
        pa.field("bbox_area_um2", pa.float64()),
        pa.field("perimeter_um", pa.float64()),
        pa.field("outer_perimeter_um", pa.float64()),
        pa.field("major_axis_um", pa.float64()),
        pa.field("minor_axis_um", pa.float64()),
        pa.field("eccentricity", pa.float64()),
        pa.field("roundness", pa.float64()),
        pa.field("solidity", pa.float64()),
        pa.field("geometry", pa.binary()),
    ]
)


class _Region(NamedTuple):
    """One region: code, first column and row of its box, its pixels with a free border of one pixel."""

    code: int
    x: int
    y: int
    padded: NDArray[np.uint8]


def find_regions(tissue_map: ClassMap, *, min_um2: float = MIN_REGION_UM2) -> pa.Table:
    """Return one row for each 8-connected region of one class of at least `min_um2` um2, by its first pixel.

    Columns
    -------
    region_id : int64
        From 1.
    class : string
        Name.
    x_um, y_um : float64, um
        Centroid from the corner of level 0.
    area_um2 : float64, um2
        Pixels times mpp squared; equals the polygon's area.
    filled_area_um2 : float64, um2
        With its holes.
    convex_area_um2 : float64, um2
        Of the convex hull of its pixels.
    bbox_area_um2 : float64, um2
        Of the upright box.
    perimeter_um : float64, um
        Outer border and the borders of holes (Crofton, 4 directions).
    outer_perimeter_um : float64, um
        Without holes (Crofton, 4 directions).
    major_axis_um, minor_axis_um : float64, um
        Axes of the ellipse with the same second moments.
    eccentricity : float64, 0-1
        Of that ellipse.
    roundness : float64, 0-1
        4 pi filled area / outer perimeter^2, at most 1.
    solidity : float64, 0-1
        Area / convex area.
    geometry : binary, um
        WKB polygon or multipolygon, along pixel edges.
    """
    mpp = tissue_map.mpp
    runs = find_runs(tissue_map.array, min_px=int(np.ceil(min_um2 / mpp**2)))
    columns: dict[str, list] = {name: [] for name in REGION_SCHEMA.names}
    left, top = tissue_map.origin_px
    for number, found in enumerate(_regions(runs), start=1):
        region = found._replace(x=found.x + left, y=found.y + top)
        row = _shape(region, mpp) | {"region_id": number, "class": tissue_map.classes[region.code - 1]}
        for name, values in columns.items():
            values.append(row[name])
    return pa.table(columns, schema=REGION_SCHEMA)


def _regions(runs: Runs) -> Iterator[_Region]:
    for k in range(len(runs.code)):
        part = slice(runs.bounds[k], runs.bounds[k + 1])
        row, start, stop = runs.row[part], runs.start[part], runs.stop[part]
        x, y = int(start.min()), int(row[0])
        padded = np.zeros((int(row[-1]) - y + 3, int(stop.max()) - x + 2), np.uint8)
        for r, first, last in zip(row - y + 1, start - x + 1, stop - x + 1, strict=True):
            padded[r, first:last] = 1
        yield _Region(int(runs.code[k]), x, y, padded)


def _shape(region: _Region, mpp: float) -> dict[str, object]:
    """All but number and class of a region's row."""
    padded = region.padded
    filled = _filled(padded)
    area, filled_area = int(np.count_nonzero(padded)), int(np.count_nonzero(filled))
    length, outer = border_length_px(padded), border_length_px(filled)
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    hull = _hull_area_px(padded)
    x, y, major, minor = _moments(padded, area)
    polygon = outline(padded[1:-1, 1:-1] > 0, offset=(region.x, region.y), scale=mpp)
    return {
        "x_um": (x + region.x) * mpp,
        "y_um": (y + region.y) * mpp,
        "area_um2": area * mpp**2,
        "filled_area_um2": filled_area * mpp**2,
        "convex_area_um2": hull * mpp**2,
        "bbox_area_um2": height * width * mpp**2,
        "perimeter_um": length * mpp,
        "outer_perimeter_um": outer * mpp,
        "major_axis_um": major * mpp,
        "minor_axis_um": minor * mpp,
        "eccentricity": float(np.sqrt(max(0.0, 1 - (minor / major) ** 2))),
        "roundness": min(1.0, 4 * np.pi * filled_area / outer**2),
        "solidity": area / hull,
        "geometry": shapely.to_wkb(polygon),
    }


def _filled(padded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the region with its holes; the background is 4-connected, as the region is 8-connected."""
    flooded = padded.copy()
    cv2.floodFill(flooded, None, (0, 0), 2, flags=4)
    return (flooded != 2).astype(np.uint8)


def _hull_area_px(padded: NDArray[np.uint8]) -> float:
    """Area of the convex hull of all pixels (their corners, not their centers)."""
    rows = np.flatnonzero(padded.any(axis=1))
    left = padded[rows].argmax(axis=1)
    right = padded.shape[1] - padded[rows, ::-1].argmax(axis=1)
    corners = [np.stack([x, y], axis=1) for x in (left, right) for y in (rows, rows + 1)]
    hull = cv2.convexHull(np.concatenate(corners).astype(np.int32))
    return float(cv2.contourArea(hull))


def _moments(padded: NDArray[np.uint8], area: int) -> tuple[float, float, float, float]:
    """Centroid (x, y) from the corner inside the free border, and axes of the equal-moment ellipse, px."""
    m = cv2.moments(padded, binaryImage=True)
    # 1/12: the second moment of a pixel about its own center.
    xx, yy, xy = m["mu20"] / area + 1 / 12, m["mu02"] / area + 1 / 12, m["mu11"] / area
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    x, y = m["m10"] / area - 0.5, m["m01"] / area - 0.5
    return x, y, 4 * np.sqrt(middle + spread), 4 * np.sqrt(max(middle - spread, 1 / 12))
