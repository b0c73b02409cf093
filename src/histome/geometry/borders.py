"""Lengths of the borders between pixels, by Crofton's formula in twelve directions."""

import numba
import numpy as np
from numpy.typing import NDArray

# From a pixel to another, (dx, dy) over half a turn, each for the directions up to half way to the next: no
# straight line comes out more than 0.65 % too long or short, the best that 12 steps can do.
_STEPS = np.array(
    [(1, 0), (3, 1), (2, 1), (1, 1), (1, 2), (1, 3), (0, 1), (-1, 3), (-1, 2), (-1, 1), (-2, 1), (-3, 1)]
)
_TURNS = np.diff(np.arctan2(_STEPS[:, 1], _STEPS[:, 0]), append=np.pi)
_WEIGHTS = (_TURNS + np.roll(_TURNS, 1)) / 4 / np.hypot(_STEPS[:, 0], _STEPS[:, 1])


def border_length_px(codes: NDArray[np.uint8], here: int, there: int) -> float:
    """Return the length of the border between the pixels of two codes of a map, in pixels.

    Cauchy-Crofton formula (Lehmann and Legland, 2012, hdl:10380/3342): a border's length follows
    from how often lines of each direction cross it. Within 0.7 % of a straight border of any direction, the
    same after a quarter turn; each corner costs 0.8 pixels.
    """
    return float(_crossings(codes, np.uint8(here), np.uint8(there), _STEPS) @ _WEIGHTS)


def perimeter_px(mask: NDArray[np.uint8]) -> float:
    """Return the length of the border of a 0/1 mask, that of its holes included, in pixels."""
    return border_length_px(np.pad(mask, np.abs(_STEPS).max()), 1, 0)


@numba.njit(cache=True, nogil=True)
def _met(row, other, here, there):  # pragma: no cover (compiled)
    """How many pixels of two rows, side by side, hold both codes."""
    n = np.int32(0)
    for c in range(len(row)):
        a, b = row[c], other[c]
        n += np.int32(((a == here) & (b == there)) | ((a == there) & (b == here)))
    return n


@numba.njit(cache=True, nogil=True)
def _crossings(codes, here, there, steps):  # pragma: no cover (compiled)
    """How many pairs of pixels one step apart hold both codes, for each step."""
    height, width = codes.shape
    pairs = np.zeros(len(steps), np.int64)
    for r in range(height):
        for k in range(len(steps)):
            dx, dy = steps[k]
            if r + dy < height:
                first, end = max(0, -dx), min(width, width - dx)
                pairs[k] += _met(codes[r, first:end], codes[r + dy, first + dx : end + dx], here, there)
    return pairs
