"""Polygons to pixels: a pixel belongs to a polygon when its center does."""

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray


def paint_polygons(
    array: NDArray[np.uint8], geometry: NDArray[np.object_], codes: NDArray[np.uint8], *, unit_px: float = 1.0
) -> None:
    """Write each polygon's code over the pixels of `array` (h, w) whose centers it holds; later ones win.

    geometry: shapely polygons or multipolygons (n,); unit_px: pixels per unit of their coordinates. The
    even-odd rule makes holes and self-touching outlines right without repair. Parts beyond the array are
    left out.
    """
    for shape, code in zip(geometry, codes, strict=True):
        corners = shapely.get_coordinates(shape) * unit_px
        if len(corners) == 0:
            continue
        rings = shapely.get_rings(shapely.get_parts(shape))
        starts = np.append(0, np.cumsum(shapely.get_num_coordinates(rings)))
        _paint(array, corners, starts, code)


@njit(cache=True, nogil=True)
def _paint(array, corners, starts, code):
    """Fill the rings corners[starts[k]:starts[k + 1]] of one polygon by the even-odd rule."""
    height, width = array.shape
    top = max(int(np.ceil(corners[:, 1].min() - 0.5)), 0)
    bottom = min(int(np.ceil(corners[:, 1].max() - 0.5)), height)
    if top >= bottom:
        return
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
            left = max(int(np.ceil(line[k] - 0.5)), 0)
            right = min(int(np.ceil(line[k + 1] - 0.5)), width)
            for column in range(left, right):
                array[row, column] = code


@njit(cache=True, nogil=True)
def _rows_of(corners, k, top, bottom):
    """Return the rows whose center line the edge k crosses: first and end."""
    low = min(corners[k, 1], corners[k + 1, 1])
    high = max(corners[k, 1], corners[k + 1, 1])
    return max(int(np.ceil(low - 0.5)), top), min(int(np.ceil(high - 0.5)), bottom)
