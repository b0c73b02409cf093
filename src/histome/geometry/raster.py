"""Polygons to pixels, by one rule: a pixel belongs to a polygon when its center does (even-odd).

A row's pixels are those between each pair of crossings of the outline with the line through its centers; a
center on the outline belongs to the polygon that lies right of it or below it. `paint_polygons` takes any
polygons of a file, `paint_outlines` many outlines with equally many corners, as a network's nuclei have them.
"""

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

Int32 = NDArray[np.int32]


@njit(cache=True, nogil=True, inline="always")
def _columns(begin, end, width):  # pragma: no cover (compiled)
    """First and end of the columns whose centers lie between two crossings, begin <= x < end."""
    return max(0, int(np.ceil(begin - 0.5))), min(width, int(np.ceil(end - 0.5)))


def paint_polygons(
    array: NDArray[np.uint8] | Int32,
    geometry: NDArray[np.object_],
    codes: NDArray[np.uint8] | Int32,
    *,
    unit_px: float = 1.0,
    origin_px: tuple[int, int] = (0, 0),
) -> int:
    """Write each polygon's code over the pixels of `array` whose centers it holds; later ones win.

    The even-odd rule makes holes and self-touching outlines right without repair. Parts beyond the array are
    left out. Returns how often a pixel changed from one code (not 0) to another.

    Parameters
    ----------
    array : (h, w) uint8 or int32
        What is painted on.
    geometry : (n,) object
        Shapely polygons or multipolygons.
    codes : (n,) of the same kind
        What is written for each.
    unit_px : float, px
        Pixels per unit of the polygons' coordinates.
    origin_px : (int, int), px
        Column, row of `array[0, 0]`.
    """
    changed = 0
    for shape, code in zip(geometry, codes, strict=True):
        corners = shapely.get_coordinates(shape) * unit_px - np.array(origin_px)
        if len(corners) == 0:
            continue
        rings = shapely.get_rings(shapely.get_parts(shape))
        starts = np.append(0, np.cumsum(shapely.get_num_coordinates(rings)))
        changed += _paint(array, corners, starts, code)
    return changed


@njit(cache=True, nogil=True)
def _paint(array, corners, starts, code):
    """Fill the rings corners[starts[k]:starts[k + 1]] of one polygon by the even-odd rule; count changes."""
    height, width = array.shape
    top = max(int(np.ceil(corners[:, 1].min() - 0.5)), 0)
    bottom = min(int(np.ceil(corners[:, 1].max() - 0.5)), height)
    changed = 0
    if top >= bottom:
        return changed
    counts = np.zeros(bottom - top + 1, np.int64)
    for ring in range(len(starts) - 1):
        for k in range(starts[ring], starts[ring + 1] - 1):
            first, last = _rows_of(corners, k, top, bottom)
            for row in range(first, last):
                counts[row - top + 1] += 1
    offsets = np.cumsum(counts)
    crossings = np.empty(offsets[-1])
    free = offsets[:-1].copy()
    for ring in range(len(starts) - 1):
        for k in range(starts[ring], starts[ring + 1] - 1):
            first, last = _rows_of(corners, k, top, bottom)
            x0, y0 = corners[k]
            x1, y1 = corners[k + 1]
            for row in range(first, last):
                crossings[free[row - top]] = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
                free[row - top] += 1
    for row in range(top, bottom):
        line = crossings[offsets[row - top] : offsets[row - top + 1]]
        line.sort()
        for k in range(0, len(line) - 1, 2):
            left, right = _columns(line[k], line[k + 1], width)
            for column in range(left, right):
                changed += array[row, column] != 0 and array[row, column] != code
                array[row, column] = code
    return changed


@njit(cache=True, nogil=True)
def _rows_of(corners, k, top, bottom):
    """Return the rows whose center line the edge k crosses: first and end."""
    low = min(corners[k, 1], corners[k + 1, 1])
    high = max(corners[k, 1], corners[k + 1, 1])
    return max(int(np.ceil(low - 0.5)), top), min(int(np.ceil(high - 0.5)), bottom)


@njit(cache=True, nogil=True)
def _row_crossings(xs, ys, row, crossings):  # pragma: no cover (compiled)
    """Sorted x where the polygon's edges cross the horizontal line through pixel row `row`'s center."""
    y = row + 0.5
    count = 0
    n = xs.size
    for k in range(n):
        x0, y0 = xs[k], ys[k]
        x1, y1 = xs[(k + 1) % n], ys[(k + 1) % n]
        if (y0 <= y) != (y1 <= y):
            x = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            place = count
            while place > 0 and crossings[place - 1] > x:
                crossings[place] = crossings[place - 1]
                place -= 1
            crossings[place] = x
            count += 1
    return count


@njit(cache=True, nogil=True)
def covered_pixels(labels, xs, ys, crossings):  # pragma: no cover (compiled)
    """(pixels of the polygon inside the raster, how many of them are painted already)."""
    height, width = labels.shape
    area = 0
    taken = 0
    for row in range(max(0, int(ys.min())), min(height, int(ys.max()) + 1)):
        n = _row_crossings(xs, ys, row, crossings)
        for pair in range(0, n - 1, 2):
            first, last = _columns(crossings[pair], crossings[pair + 1], width)
            for col in range(first, last):
                area += 1
                if labels[row, col] > 0:
                    taken += 1
    return area, taken


@njit(cache=True, nogil=True)
def tally_pixels(labels, xs, ys, crossings, tally, met):  # pragma: no cover (compiled)
    """(pixels of the polygon inside the raster, how many labels it meets).

    `tally` gets the pixels that each label it meets has of it, `met` which labels those are.
    """
    height, width = labels.shape
    area, count = 0, 0
    for row in range(max(0, int(ys.min())), min(height, int(ys.max()) + 1)):
        n = _row_crossings(xs, ys, row, crossings)
        for pair in range(0, n - 1, 2):
            first, last = _columns(crossings[pair], crossings[pair + 1], width)
            area += max(0, last - first)
            for col in range(first, last):
                label = labels[row, col]
                if label > 0:
                    if tally[label] == 0:
                        met[count] = label
                        count += 1
                    tally[label] += 1
    return area, count


@njit(cache=True, nogil=True)
def paint_free_pixels(labels, xs, ys, crossings, value):  # pragma: no cover (compiled)
    """Write `value` on the free pixels of the polygon."""
    height, width = labels.shape
    for row in range(max(0, int(ys.min())), min(height, int(ys.max()) + 1)):
        n = _row_crossings(xs, ys, row, crossings)
        for pair in range(0, n - 1, 2):
            first, last = _columns(crossings[pair], crossings[pair + 1], width)
            for col in range(first, last):
                if labels[row, col] == 0:
                    labels[row, col] = value


@njit(cache=True, nogil=True)
def _paint_all(labels, outlines, crossings):  # pragma: no cover (compiled)
    for k in range(outlines.shape[0]):
        paint_free_pixels(labels, outlines[k, :, 0], outlines[k, :, 1], crossings, k + 1)


def paint_outlines(outlines_px: NDArray[np.float64], shape: tuple[int, int]) -> Int32:
    """Instance map of (n, k, 2) outlines in pixels: a pixel is inside when its center is; the first wins."""
    labels = np.zeros(shape, np.int32)
    _paint_all(labels, np.ascontiguousarray(outlines_px, np.float64), np.empty(outlines_px.shape[1] + 1))
    return labels
