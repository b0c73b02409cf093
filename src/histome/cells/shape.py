"""Shape of nuclei from their outlines: one compiled pass over all polygons, no pixels."""

from typing import NamedTuple

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


class NuclearShapes(NamedTuple):
    """Shape of n simple polygons.

    Attributes
    ----------
    x_um, y_um : (n,) float64, um
        Centroid of the area.
    area_um2 : (n,) float64, um2
        Of the polygon.
    perimeter_um : (n,) float64, um
        Of the polygon.
    major_axis_um, minor_axis_um : (n,) float64, um
        Full axes of the ellipse with the same second moments of area.
    roundness : (n,) float64, 0-1
        4 pi area / perimeter^2; 1 for a circle (0.997 for the 32-gon in it).
    eccentricity : (n,) float64, 0-1
        Of that ellipse, sqrt(1 - (minor/major)^2); 0 for a circle.
    solidity : (n,) float64, 0-1
        Area over the area of the convex hull; 1 for a convex outline.
    """

    x_um: Float64
    y_um: Float64
    area_um2: Float64
    perimeter_um: Float64
    major_axis_um: Float64
    minor_axis_um: Float64
    roundness: Float64
    eccentricity: Float64
    solidity: Float64


def measure_shapes(outlines_um: Float64) -> NuclearShapes:
    """Measure polygons given as open outlines.

    Parameters
    ----------
    outlines_um : (n, k, 2) float64, um
        x, y of the corners in order, either way round, k >= 3.

    Returns
    -------
    NuclearShapes
        A polygon without area has its mean corner as centroid and 0 for every ratio.
    """
    columns = np.empty((len(NuclearShapes._fields), len(outlines_um)))
    _measure(np.ascontiguousarray(outlines_um, dtype=np.float64), columns)
    return NuclearShapes(*columns)


def measure_polygons(polygons: NDArray[np.object_], um_per_px: tuple[float, float]) -> NuclearShapes:
    """Measure shapely polygons in px (n,) without their holes; NaN for one without area."""
    rings = shapely.get_exterior_ring(polygons)
    corners = shapely.get_num_coordinates(rings) - 1
    columns = np.full((len(NuclearShapes._fields), len(polygons)), np.nan)
    for count in np.unique(corners[corners >= 3]):
        rows = np.flatnonzero(corners == count)
        points = shapely.get_coordinates(rings[rows]).reshape(len(rows), count + 1, 2)[:, :-1]
        columns[:, rows] = np.array(measure_shapes(points * np.array(um_per_px)))
    columns[:, ~(columns[2] > 0)] = np.nan
    return NuclearShapes(*columns)


@njit(cache=True, nogil=True)
def _measure(outlines, out):  # pragma: no cover (compiled)
    """Fill the rows of `out` in the order of `NuclearShapes`."""
    n = outlines.shape[1]
    x, y = np.empty(n), np.empty(n)
    deque = np.empty(2 * n + 2, np.int64)
    for i in range(outlines.shape[0]):
        # Corners count from the first one: moments of far-away coordinates would cancel.
        x0, y0 = outlines[i, 0, 0], outlines[i, 0, 1]
        for k in range(n):
            x[k] = outlines[i, k, 0] - x0
            y[k] = outlines[i, k, 1] - y0
        area, perimeter, cx, cy, variance_x, variance_y, covariance = _moments(x, y)
        out[0, i] = x0 + cx
        out[1, i] = y0 + cy
        out[2, i] = area
        out[3, i] = perimeter
        middle = (variance_x + variance_y) / 2
        spread = np.sqrt(((variance_x - variance_y) / 2) ** 2 + covariance**2)
        largest, smallest = middle + spread, max(middle - spread, 0.0)
        out[4, i] = 4 * np.sqrt(largest)
        out[5, i] = 4 * np.sqrt(smallest)
        flat = area <= 0
        out[6, i] = 0.0 if flat else min(4 * np.pi * area / perimeter**2, 1.0)
        out[7, i] = 0.0 if flat else np.sqrt(max(1 - smallest / largest, 0.0))
        out[8, i] = 0.0 if flat else min(area / _hull_area(x, y, deque), 1.0)


@njit(cache=True, nogil=True)
def _moments(x, y):  # pragma: no cover (compiled)
    """Area, perimeter, centroid, variances and covariance of a uniform fill."""
    n = len(x)
    area2 = perimeter = sx = sy = sxx = syy = sxy = 0.0
    ax, ay = x[n - 1], y[n - 1]
    for k in range(n):
        bx, by = x[k], y[k]
        cross = ax * by - bx * ay
        area2 += cross
        perimeter += np.sqrt((bx - ax) ** 2 + (by - ay) ** 2)
        sx += cross * (ax + bx)
        sy += cross * (ay + by)
        sxx += cross * (ax * ax + ax * bx + bx * bx)
        syy += cross * (ay * ay + ay * by + by * by)
        sxy += cross * (2 * ax * ay + ax * by + bx * ay + 2 * bx * by)
        ax, ay = bx, by
    if area2 == 0:
        return 0.0, perimeter, x.mean(), y.mean(), 0.0, 0.0, 0.0
    cx, cy = sx / (3 * area2), sy / (3 * area2)
    variance_x = max(sxx / (6 * area2) - cx * cx, 0.0)
    variance_y = max(syy / (6 * area2) - cy * cy, 0.0)
    return abs(area2) / 2, perimeter, cx, cy, variance_x, variance_y, sxy / (12 * area2) - cx * cy


@njit(cache=True, nogil=True, inline="always")
def _turn(x, y, a, b, c):  # pragma: no cover (compiled)
    """Twice the signed area of the triangle of corners a, b, c: positive for a turn from +x towards +y."""
    return (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])


@njit(cache=True, nogil=True)
def _hull_area(x, y, deque):  # pragma: no cover (compiled)
    """Area of the convex hull of a simple polygon (Melkman 1987, doi:10.1016/0020-0190(87)90086-X).

    `deque` (2 n + 2,) holds the hull's corners from `low` to `high`, the last one at both ends.
    """
    n = len(x)
    first = 0
    while first < n and _turn(x, y, first, (first + 1) % n, (first + 2) % n) == 0:
        first += 1
    a, b, c = first % n, (first + 1) % n, (first + 2) % n
    low, high = n - 2, n + 1
    deque[low] = deque[high] = c
    left = _turn(x, y, a, b, c) > 0
    deque[low + 1], deque[low + 2] = (a, b) if left else (b, a)
    for _ in range(3, n):
        c = c + 1 if c + 1 < n else 0
        below = _turn(x, y, deque[low], deque[low + 1], c) <= 0
        above = _turn(x, y, deque[high - 1], deque[high], c) <= 0
        if not (below or above):
            continue
        while low + 1 < high and _turn(x, y, deque[low], deque[low + 1], c) <= 0:
            low += 1
        low -= 1
        deque[low] = c
        while low + 1 < high and _turn(x, y, deque[high - 1], deque[high], c) <= 0:
            high -= 1
        high += 1
        deque[high] = c
    area2 = 0.0
    for k in range(low, high):
        area2 += x[deque[k]] * y[deque[k + 1]] - x[deque[k + 1]] * y[deque[k]]
    return area2 / 2
