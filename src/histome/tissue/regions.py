"""Regions: connected pieces of one tissue class, with their shapes and polygons."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.geometry.borders import perimeter_px
from histome.geometry.contours import outline
from histome.geometry.coverage import Shares, covered_px
from histome.geometry.hull import hull_area_px
from histome.geometry.runs import Runs, find_runs
from histome.geotable import described, geo_schema, geo_table
from histome.slide import ClassMap, Frame

# 20 x 20 um, some two nuclei: smaller specks of a class are noise of its border and no region.
MIN_REGION_UM2 = 400.0

_NUMBERS = {
    "x": ("px", "centroid, level-0 px, right of the slide's left edge"),
    "y": ("px", "centroid, level-0 px, below the slide's upper edge"),
    "x_um": ("um", "x times the slide's um per px"),
    "y_um": ("um", "y times the slide's um per px"),
    "area_um2": ("um2", "area, holes left out"),
    "filled_area_um2": ("um2", "area with the holes"),
    "convex_area_um2": ("um2", "area of the pixels whose centers lie in the convex hull of all centers"),
    "bbox_area_um2": ("um2", "area of the upright bounding box"),
    "perimeter_um": ("um", "length of the border, that of the holes included, by Crofton's formula"),
    "outer_perimeter_um": ("um", "length of the outer border, by Crofton's formula"),
    "major_axis_um": ("um", "long full axis of the ellipse with the region's second moments"),
    "minor_axis_um": ("um", "short full axis of that ellipse"),
    "eccentricity": ("1", "of that ellipse, sqrt(1 - (minor / major)^2), 0-1"),
    "roundness": ("1", "4 pi filled area / outer perimeter^2, 0-1"),
    "solidity": ("1", "area / area of the convex hull, 0-1"),
}
REGION_SCHEMA = geo_schema(
    [
        described("region_id", pa.int64(), "1", "1.. in reading order of the first pixel"),
        described("class", pa.string(), "", "tissue class"),
        *(described(name, pa.float64(), *about) for name, about in _NUMBERS.items()),
    ],
    edge=pa.float64(),
    shape="outline along the edges of the map's pixels, a polygon or multipolygon",
)

_AT_ONCE = 1024

# Of a map that is of no known picture.
NO_FRAME = Frame("", (2**31, 2**31), (1.0, 1.0))


class _Region(NamedTuple):
    """One region: code, first column and row of its box, its pixels with a free border of one pixel.

    `shares` says how far the picture covers the rows and columns of the box.
    """

    code: int
    x: int
    y: int
    padded: NDArray[np.uint8]
    shares: Shares


def find_regions(tissue_map: ClassMap, *, min_um2: float = MIN_REGION_UM2) -> pa.Table:
    """Return one row for each 8-connected region of one class of at least `min_um2` um2, by its first pixel.

    The columns are those of `REGION_SCHEMA`, each with its unit and description. Areas are those in the
    picture, and area_um2 equals the polygon's; shapes and lengths are those of whole pixels, perimeters by
    Crofton's formula in 12 directions, so that a turned region keeps its shape. Without a frame of the map a
    level-0 px counts as 1 um.
    """
    runs = find_runs(tissue_map.array, min_px=int(np.ceil(min_um2 / tissue_map.mpp**2)))
    rows = (
        _shape(region, tissue_map.mpp) | {"class": tissue_map.classes[region.code - 1]}
        for region in _regions(runs, tissue_map)
    )
    return region_table(rows, tissue_map.frame or NO_FRAME)


def region_table(rows: Iterable[Mapping[str, Any]], frame: Frame) -> pa.Table:
    """Return the table of regions given as rows, in um: numbers, class and `geometry`, without id and px."""
    columns: dict[str, Any] = {name: [] for name in ("region_id", "class", *_NUMBERS)}
    shapes, bounds, kinds, rows = [pa.array([], pa.binary())], [np.empty((0, 4))], set(), iter(rows)
    # As polygons they take several times the memory that their bytes do.
    while part := list(islice(rows, _AT_ONCE)):
        for number, row in enumerate(part, start=len(columns["class"]) + 1):
            placed = {"region_id": number, "x": row["x_um"] / frame.mpp[0], "y": row["y_um"] / frame.mpp[1]}
            for name, values in columns.items():
                values.append(placed[name] if name in placed else row[name])
        polygons = _in_frame([row["geometry"] for row in part], frame)
        shapes.append(pa.array(shapely.to_wkb(polygons), pa.binary()))
        bounds.append(shapely.bounds(polygons).reshape(-1, 4))
        kinds |= set(shapely.get_type_id(polygons).tolist())
    names = [{3: "Polygon", 6: "MultiPolygon"}[kind] for kind in sorted(kinds)]
    columns["geometry"] = pa.concat_arrays(shapes)
    return geo_table(columns, np.concatenate(bounds), REGION_SCHEMA, slide=frame.slide, kinds=names)


def _in_frame(polygons: list[shapely.Geometry], frame: Frame) -> NDArray[np.object_]:
    """Polygons in um as what of them lies in the picture, in level-0 px, outer rings from +x to +y."""
    mpp, most = np.array(frame.mpp), np.array(frame.extent_um)
    # Their edges run along pixels: to cut them off is to move what lies beyond to the picture's edge.
    moved = shapely.transform(np.array(polygons, object), lambda xy: np.minimum(xy, most) / mpp)
    return shapely.orient_polygons(moved)


def _regions(runs: Runs, tissue_map: ClassMap) -> Iterator[_Region]:
    (rows, columns), (left, top) = tissue_map.shares, tissue_map.origin_px
    for k in range(len(runs.code)):
        part = slice(runs.bounds[k], runs.bounds[k + 1])
        row, start, stop = runs.row[part], runs.start[part], runs.stop[part]
        x, y = int(start.min()), int(row[0])
        below, right = int(row[-1]) + 1, int(stop.max())
        padded = np.zeros((below - y + 2, right - x + 2), np.uint8)
        for r, first, last in zip(row - y + 1, start - x + 1, stop - x + 1, strict=True):
            padded[r, first:last] = 1
        yield _Region(int(runs.code[k]), x + left, y + top, padded, (rows[y:below], columns[x:right]))


def _shape(region: _Region, mpp: float) -> dict[str, Any]:
    """All but number, class and place in px of a region's row."""
    padded, (rows, columns) = region.padded, region.shares
    filled = _filled(padded)
    area, filled_area = (covered_px(each[1:-1, 1:-1], region.shares) for each in (padded, filled))
    length, outer = perimeter_px(padded), perimeter_px(filled)
    hull = hull_area_px(padded[1:-1, 1:-1], region.shares)
    x, y, major, minor = _moments(padded)
    return {
        "x_um": (x + region.x) * mpp,
        "y_um": (y + region.y) * mpp,
        "area_um2": area * mpp**2,
        "filled_area_um2": filled_area * mpp**2,
        "convex_area_um2": hull * mpp**2,
        "bbox_area_um2": float(rows.sum() * columns.sum()) * mpp**2,
        "perimeter_um": length * mpp,
        "outer_perimeter_um": outer * mpp,
        "major_axis_um": major * mpp,
        "minor_axis_um": minor * mpp,
        "eccentricity": float(np.sqrt(max(0.0, 1 - (minor / major) ** 2))),
        "roundness": min(1.0, 4 * np.pi * np.count_nonzero(filled) / outer**2),
        "solidity": min(1.0, area / hull),
        "geometry": outline(padded[1:-1, 1:-1] > 0, offset=(region.x, region.y), scale=mpp),
    }


def _filled(padded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the region with its holes; the background is 4-connected, as the region is 8-connected."""
    flooded = padded.copy()
    cv2.floodFill(flooded, None, (0, 0), 2, flags=4)
    return (flooded != 2).astype(np.uint8)


def _moments(padded: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Centroid (x, y) from the corner inside the free border, and axes of the equal-moment ellipse, px."""
    m, area = cv2.moments(padded, binaryImage=True), np.count_nonzero(padded)
    # 1/12: the second moment of a pixel about its own center.
    xx, yy, xy = m["mu20"] / area + 1 / 12, m["mu02"] / area + 1 / 12, m["mu11"] / area
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    x, y = m["m10"] / area - 0.5, m["m01"] / area - 0.5
    return x, y, 4 * np.sqrt(middle + spread), 4 * np.sqrt(max(middle - spread, 1 / 12))
