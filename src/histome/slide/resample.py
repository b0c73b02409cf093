"""Exact area averaging along two axes, the same for a pixel whichever region it is read in."""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

# Edges are rounded to this share of a source pixel: float noise cannot move a weight from one read to the next.
EDGE_STEPS_PER_PX = 65536
LATTICE_TOLERANCE = 1e-6


class Taps(NamedTuple):
    """Which source pixels make each output pixel of one axis: `first` int64 (n,), `weights` float32 (n, t)."""

    first: NDArray[np.int64]
    weights: NDArray[np.float32]

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


def output_edges_px(start_px: float, step_px: float, count: int) -> NDArray[np.float64]:
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
    """Return the two-pixel linear interpolation at the middle of each interval: used where nothing finer exists."""
    edges = np.round(edges * EDGE_STEPS_PER_PX) / EDGE_STEPS_PER_PX
    center = (edges[:-1] + edges[1:]) / 2 - 0.5
    first = np.floor(center).astype(np.int64)
    fraction = center - first
    return Taps(first, np.stack([1 - fraction, fraction], axis=1).astype(np.float32))


def axis_taps(start_px: float, step_px: float, count: int, *, downsample: float) -> Taps:
    """Return the taps of one axis, for output pixels of `step_px` level-0 px read from a level of `downsample`."""
    edges = output_edges_px(start_px, step_px, count) / downsample
    # A level up to 1 % coarser than asked counts as fine enough (see Slide._level_for); below that, interpolate.
    return area_taps(edges) if step_px / downsample > 0.985 else linear_taps(edges)


@numba.njit(nogil=True, cache=True)
def average_columns(
    source: NDArray[np.uint8], start: int, first: NDArray[np.int64], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return source rows (h, w, 3), whose column 0 is source column `start`, averaged along x: (h, n, 3)."""
    rows, count, taps = source.shape[0], first.shape[0], weights.shape[1]
    out = np.empty((rows, count, 3), np.float32)
    for row in range(rows):
        for column in range(count):
            red = green = blue = np.float32(0)
            x = first[column] - start
            for tap in range(taps):
                weight = weights[column, tap]
                red += weight * np.float32(source[row, x + tap, 0])
                green += weight * np.float32(source[row, x + tap, 1])
                blue += weight * np.float32(source[row, x + tap, 2])
            out[row, column, 0] = red
            out[row, column, 1] = green
            out[row, column, 2] = blue
    return out


@numba.njit(nogil=True, cache=True)
def add_rows(
    total: NDArray[np.float32],
    band: NDArray[np.float32],
    start: int,
    first: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Add a band of averaged rows, whose row 0 is source row `start`, into the output rows that cover it."""
    count, taps = weights.shape
    stop = start + band.shape[0]
    for row in range(count):
        low, high = max(first[row], start), min(first[row] + taps, stop)
        for y in range(low, high):
            weight = weights[row, y - first[row]]
            if weight == 0:
                continue
            for x in range(band.shape[1]):
                total[row, x, 0] += weight * band[y - start, x, 0]
                total[row, x, 1] += weight * band[y - start, x, 1]
                total[row, x, 2] += weight * band[y - start, x, 2]


@numba.njit(nogil=True, cache=True)
def to_bytes(total: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the totals rounded half up to uint8."""
    out = np.empty(total.shape, np.uint8)
    flat, result = total.ravel(), out.ravel()
    for index in range(flat.size):
        # 1e-4: a true half that float32 sums made 0.49999 still rounds up.
        result[index] = np.uint8(min(max(flat[index] + np.float32(0.5001), 0.0), 255.0))
    return out
