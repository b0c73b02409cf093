"""Exact area averaging along two axes, the same for a pixel whichever region it is read in."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

# Edges are rounded to this share of a source pixel: float noise cannot move a weight between reads.
EDGE_STEPS_PER_PX = 65536
LATTICE_TOLERANCE = 1e-6


class Taps(NamedTuple):
    """The source pixels of each output pixel of one axis: `first` int64 (n,), `weights` float32 (n, t)."""

    first: NDArray[np.int64]
    weights: NDArray[np.float32]
    interpolated: bool = False

    @property
    def start(self) -> int:
        """First source pixel used."""
        return int(self.first[0])

    @property
    def stop(self) -> int:
        """One past the last source pixel used."""
        return int(self.first[-1]) + self.weights.shape[1]

    @property
    def is_copy(self) -> bool:
        """Whether each output pixel is one whole source pixel."""
        return self.weights.shape[1] == 1 and len(self.first) == self.stop - self.start


def output_edges_px(start_px: float, step_px: float, count: int) -> NDArray[Any]:
    """Return the `count` + 1 edges, in level-0 px, of output pixels of `step_px` from `start_px` on.

    A start on the lattice of multiples of `step_px` is counted in whole steps, so that neighboring reads
    compute bit-identical edges.
    """
    steps = start_px / step_px
    nearest = round(steps)
    if abs(steps - nearest) < LATTICE_TOLERANCE:
        return (nearest + np.arange(count + 1)) * step_px
    return start_px + np.arange(count + 1) * step_px


def area_taps(edges: NDArray[np.float64]) -> Taps:
    """Return the share of each source pixel in each interval between consecutive `edges` (source px)."""
    edges = np.round(edges * EDGE_STEPS_PER_PX) / EDGE_STEPS_PER_PX
    low, high = edges[:-1, None], edges[1:, None]
    first = np.floor(edges[:-1]).astype(np.int64)
    taps = int(np.max(np.ceil(edges[1:]).astype(np.int64) - first))
    source = first[:, None] + np.arange(taps)
    overlap = np.clip(np.minimum(high, source + 1) - np.maximum(low, source), 0, None)
    return Taps(first, (overlap / (high - low)).astype(np.float32))


def linear_taps(edges: NDArray[np.float64]) -> Taps:
    """Return two-pixel linear interpolation at the middle of each interval: where nothing finer exists."""
    edges = np.round(edges * EDGE_STEPS_PER_PX) / EDGE_STEPS_PER_PX
    center = (edges[:-1] + edges[1:]) / 2 - 0.5
    first = np.floor(center).astype(np.int64)
    fraction = center - first
    return Taps(first, np.stack([1 - fraction, fraction], axis=1).astype(np.float32), True)


def axis_taps(start_px: float, step_px: float, count: int, *, downsample: float) -> Taps:
    """Return the taps of one axis: output pixels of `step_px` level-0 px from a level of `downsample`."""
    edges = output_edges_px(start_px, step_px, count) / downsample
    # A level up to 1 % coarser than asked counts as fine enough (LEVEL_TOLERANCE of reader.py).
    return area_taps(edges) if step_px / downsample > 0.985 else linear_taps(edges)


class Averager:
    """Averages source rows, handed over in bands from top to bottom, into one output image.

    The sum of an output pixel runs over its source pixels in order, whatever the bands: same bytes.
    """

    def __init__(self, columns: Taps, rows: Taps) -> None:
        """Start an output of len(rows.first) x len(columns.first) pixels."""
        self._columns = columns
        self._rows = rows
        self._next = 0
        self._pending = np.zeros(3 * (columns.stop - columns.start), np.float32)
        self.pixels = np.empty((len(rows.first), len(columns.first), 3), np.uint8)

    def add(self, band: NDArray[np.uint8], top: int) -> None:
        """Take (n, columns.stop - columns.start, 3) source rows from `top` on, right below the last ones."""
        columns, rows = self._columns, self._rows
        self._next = _average_band(
            band.reshape(len(band), -1),
            top,
            (columns.first - columns.start, columns.weights),
            (rows.first, rows.weights),
            self._next,
            self._pending,
            self.pixels,
        )


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _average_band(band: Any, top: int, columns: Any, rows: Any, row: int, pending: Any, out: Any) -> int:
    """Finish the output rows that end in the band; keep the one that goes on in `pending`, return its number.

    First down, over whole rows (contiguous, so vectorized), then across: half the work of the other order.
    """
    column_first, column_weights = columns
    row_first, row_weights = rows
    bottom, taps = top + band.shape[0], row_weights.shape[1]
    while row < row_first.shape[0]:
        for tap in range(taps):
            y, weight = row_first[row] + tap, row_weights[row, tap]
            if weight == 0 or y < top:
                continue
            if y >= bottom:
                return row
            source = band[y - top]
            for x in range(source.shape[0]):
                pending[x] += weight * np.float32(source[x])
        _average_row(pending, column_first, column_weights, out[row])
        pending[:] = 0
        row += 1
    return row


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _average_row(source: Any, first: Any, weights: Any, out: Any) -> None:
    for column in range(first.shape[0]):
        red = green = blue = np.float32(0)
        at = 3 * first[column]
        for tap in range(weights.shape[1]):
            weight = weights[column, tap]
            red += weight * source[at]
            green += weight * source[at + 1]
            blue += weight * source[at + 2]
            at += 3
        # Half up; the extra 1e-4 lets a true half that float32 sums made 0.49999 still round up.
        out[column, 0] = np.uint8(red + np.float32(0.5001))
        out[column, 1] = np.uint8(green + np.float32(0.5001))
        out[column, 2] = np.uint8(blue + np.float32(0.5001))
