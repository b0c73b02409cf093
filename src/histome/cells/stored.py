"""What the cells table keeps of a nucleus: the digits and the corners that mean something.

Without this 100,000 cells take 25 MB on disk, more than half of it the last digits of doubles: 12 MB with it.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numba import njit
from numpy.typing import NDArray

from histome.cells.windows import Nuclei

Float64 = NDArray[np.float64]

# A quarter of the pixel that the networks see: no outline is known to less.
TOLERANCE_UM = 0.125
# Corners lie on a grid of about this: a power of two of a level-0 px.
_CORNER_UM = 0.0625
# 4 nm.
POSITION_STEPS = 256
PROBABILITY_STEPS = 4096
# Of the mantissa: shapes and stains are kept to 0.025 %.
SIGNIFICANT_BITS = 11


def kept_digits(nuclei: Nuclei) -> Nuclei:
    """Return nuclei with the digits of position, shape, stain and probability that the table keeps."""
    shape = rounded(nuclei.shape)
    shape[:, :2] = placed(nuclei.shape[:, :2])
    stain, probability = rounded(nuclei.stain), in_steps(nuclei.probability)
    return nuclei._replace(shape=shape, stain=stain, probability=probability)


def in_steps(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities, (n, classes), in whole `PROBABILITY_STEPS`; what was largest alone stays so."""
    steps = np.round(probability * PROBABILITY_STEPS)
    if not steps.size:
        return probability
    best = probability.argmax(axis=1)[:, None]
    most = np.take_along_axis(steps, best, axis=1)
    beaten = (steps == most) & (np.arange(steps.shape[1]) != best)
    steps[beaten & (most > 0)] -= 1
    return steps / np.float32(PROBABILITY_STEPS)


def placed(position: Float64) -> Float64:
    """Return positions, px or um, on the grid of `POSITION_STEPS`.

    Down, not to the nearest: so no cell leaves its pixel of a map.
    """
    return np.floor(position * POSITION_STEPS) / POSITION_STEPS


def rounded(values: Float64) -> Float64:
    """Return values rounded to `SIGNIFICANT_BITS`, to 1 part in 4096."""
    mantissa, exponent = np.frexp(values)
    scale = 2.0**SIGNIFICANT_BITS
    return np.ldexp(np.round(mantissa * scale) / scale, exponent)


def stored_outlines(outline_px: NDArray[np.float32], mpp: Float64) -> tuple[pa.BinaryArray, Float64]:
    """Return outlines as the table has them: closed WKB polygons and their bounds, (n, 4), px.

    Each is a polygon through as few corners of the outline as leave no other farther than `TOLERANCE_UM` from
    it, enlarged and moved to the outline's area and center; `mpp` is (x, y), um per px.
    """
    polygons = thin_outlines(outline_px.astype(np.float64), mpp)
    return pa.array(shapely.to_wkb(polygons), pa.binary()), shapely.bounds(polygons).reshape(-1, 4)


def thin_outlines(outline_px: Float64, mpp: Float64) -> NDArray[np.object_]:
    """Return open outlines, (n, k, 2) px, as polygons of fewer corners; with all where those would cross."""
    corners_um = np.ascontiguousarray(outline_px * mpp)
    thin, counts = np.empty_like(corners_um), np.empty(len(corners_um), np.int64)
    _thin(corners_um, TOLERANCE_UM, thin, counts)
    steps = 2.0 ** np.round(np.log2(mpp / _CORNER_UM))
    owner = np.repeat(np.arange(len(counts)), counts)
    taken = np.arange(thin.shape[1]) < counts[:, None]
    polygons = _polygons(np.round(thin[taken] / mpp * steps) / steps, owner)
    crossed = ~shapely.is_valid(polygons)
    polygons[crossed] = shapely.polygons(outline_px[crossed])
    return polygons


def _polygons(corners: Float64, owner: NDArray[np.int64]) -> NDArray[np.object_]:
    rings: Any = shapely.linearrings(corners, indices=owner)
    return np.atleast_1d(np.asarray(shapely.polygons(rings), object))


@njit(cache=True, nogil=True)
def _thin(outlines, tolerance, out, counts):  # pragma: no cover (compiled)
    """Fill the first `counts[i]` corners of `out[i]`: the fewest, then brought to area and center."""
    n = outlines.shape[1]
    reach = np.empty(n, np.int64)
    for i in range(len(outlines)):
        corners = outlines[i]
        for first in range(n):
            reach[first] = _reach(corners, first, tolerance)
        at, count = _best_start(reach), 0
        end = at + n
        while at < end:
            out[i, count] = corners[at % n]
            at += reach[at % n]
            count += 1
        counts[i] = count
        area, x, y = _area_center(corners, n)
        thin_area, thin_x, thin_y = _area_center(out[i], count)
        if thin_area > 0 and area > 0:
            factor = np.sqrt(area / thin_area)
            for k in range(count):
                out[i, k, 0] = x + (out[i, k, 0] - thin_x) * factor
                out[i, k, 1] = y + (out[i, k, 1] - thin_y) * factor


@njit(cache=True, nogil=True, inline="always")
def _reach(corners, first, tolerance):  # pragma: no cover (compiled)
    """How many corners on the next may be that a straight line leads to; a third of the way round at most."""
    n, best = len(corners), 1
    x, y = corners[first]
    for step in range(2, n // 3 + 1):
        dx, dy = corners[(first + step) % n, 0] - x, corners[(first + step) % n, 1] - y
        length2 = dx * dx + dy * dy
        if length2 == 0:
            return best
        for between in range(1, step):
            px, py = corners[(first + between) % n, 0] - x, corners[(first + between) % n, 1] - y
            along = min(max((px * dx + py * dy) / length2, 0.0), 1.0)
            if (px - along * dx) ** 2 + (py - along * dy) ** 2 > tolerance * tolerance:
                return best
        best = step
    return best


@njit(cache=True, nogil=True, inline="always")
def _best_start(reach):  # pragma: no cover (compiled)
    """Corner from which the fewest steps lead round."""
    n = len(reach)
    fewest, best = n + 1, 0
    for start in range(n):
        at, count = start, 0
        while at < start + n and count < fewest:
            at += reach[at % n]
            count += 1
        if at >= start + n and count < fewest:
            fewest, best = count, start
    return best


@njit(cache=True, nogil=True)
def _area_center(corners, count):  # pragma: no cover (compiled)
    """Signed area and centroid of the first corners; from the first one, for far-away ones would cancel."""
    x0, y0 = corners[0]
    twice = sx = sy = 0.0
    for k in range(1, count - 1):
        ax, ay = corners[k, 0] - x0, corners[k, 1] - y0
        bx, by = corners[k + 1, 0] - x0, corners[k + 1, 1] - y0
        cross = ax * by - bx * ay
        twice += cross
        sx += cross * (ax + bx)
        sy += cross * (ay + by)
    if twice == 0:
        return 0.0, x0, y0
    return twice / 2, x0 + sx / (3 * twice), y0 + sy / (3 * twice)
