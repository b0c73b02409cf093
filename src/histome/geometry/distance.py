"""Exact Euclidean distance to a mask, in next to no memory, read where it is needed.

A float distance map of a whole slide at 2 um/px is 600 MB and there are several masks to measure from. Of the
two passes of Meijster et al. 2000 (doi:10.1007/0-306-47025-X_36) the first is kept at the ends of blocks of
rows alone, a sixtieth of that; the blocks are filled in, and the second pass is made along their rows, when
a use asks for the points or sums that it wants.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.coverage import Shares
from histome.threads import ordered_map

# Rows per unit of work; fixed, so that the worker count never changes a result.
_BLOCK_ROWS = 128
# Columns without any pixel of the mask; also the farthest vertical distance that is told apart.
_NONE = 65_535
# A row's points are looked up one by one until that costs as much as the whole row.
_WIDTHS = 4

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DistanceField:
    """Distances in px between pixel centers, from every pixel to the nearest pixel of a mask.

    Attributes
    ----------
    codes, chosen : (h, w) uint8, (codes,) bool
        The mask: pixels of a chosen code.
    above, below : (blocks, w) uint16, px
        Distance within the column from the row before each block of rows upwards, and from the row behind it
        downwards; 65,535 where there is none.
    workers : int
        Threads.
    outside : bool
        Everything beyond the array belongs to the mask too.
    """

    codes: NDArray[np.uint8]
    chosen: NDArray[np.bool_]
    above: NDArray[np.uint16]
    below: NDArray[np.uint16]
    workers: int = 1
    outside: bool = False

    def within(self, radius_px: float) -> NDArray[np.bool_]:
        """Return where the mask is at most `radius_px` away, bool (h, w): the mask dilated by a disc."""
        near = np.zeros(self.codes.shape, np.bool_)
        limit = float(radius_px) ** 2
        self._by_rows(lambda vertical, lo, hi: _fill_within(vertical, self.outside, limit, near[lo:hi]))
        return near

    def at(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], *, reach_px: float = np.inf
    ) -> NDArray[np.float64]:
        """Return the distance at pixels inside the map, (n,); inf when the mask is empty.

        Distances beyond `reach_px` may come out too large, or inf; a short reach is faster.
        """
        reach = min(reach_px, _NONE - 1)
        order, found = np.argsort(rows, kind="stable"), np.empty(len(rows))
        start = np.searchsorted(rows[order], np.arange(len(self.codes) + 1))
        self._by_rows(
            lambda vertical, lo, hi: _fill_at(
                vertical, self.outside, reach, (order, start[lo : hi + 1], columns, found)
            ),
            lambda lo, hi: start[lo] < start[hi],
        )
        return found

    def histogram(
        self,
        codes: NDArray[np.uint8],
        code_set: tuple[int, ...],
        edges_px: NDArray[np.float64],
        *,
        shares: Shares | None = None,
    ) -> NDArray[np.float64]:
        """Count pixels of some codes, by their shares, in the bands edges[k] < distance <= edges[k + 1]."""
        height, width = self.codes.shape
        one_tile = np.zeros(height, np.int64), np.zeros(width, np.int64)
        return self.histogram_by_tile(codes, code_set, edges_px, one_tile, shares=shares)[0, 0]

    def histogram_by_tile(
        self,
        codes: NDArray[np.uint8],
        code_set: tuple[int, ...],
        edges_px: NDArray[np.float64],
        tiles: tuple[NDArray[np.int64], NDArray[np.int64]],
        *,
        shares: Shares | None = None,
    ) -> NDArray[np.float64]:
        """Count pixels as `histogram` does, by tile: (tile rows, tile columns, bands).

        `tiles` are the tile of each row of pixels (h,) and of each column (w,), ascending.
        """
        chosen, (row_share, column_share) = _chosen(code_set), self._shares(shares)
        limits, (rows, columns) = np.asarray(edges_px, np.float64) ** 2, tiles
        total = np.zeros((*(int(tile.max(initial=0)) + 1 for tile in tiles), len(limits) - 1))

        def count(vertical: NDArray[np.uint16], lo: int, hi: int) -> tuple[int, NDArray[np.float64]]:
            first = int(rows[lo])
            counts = np.zeros((int(rows[hi - 1]) - first + 1, *total.shape[1:]))
            pixels = (codes[lo:hi], chosen, row_share[lo:hi], column_share)
            _band_counts(vertical, self.outside, pixels, limits, (rows[lo:hi] - first, columns), counts)
            return first, counts

        for first, counts in self._by_rows(count):
            total[first : first + len(counts)] += counts
        return total

    def tail(
        self, codes: NDArray[np.uint8], code_set: tuple[int, ...], *, shares: Shares | None = None
    ) -> NDArray[np.float64]:
        """Count pixels of some codes, by their shares, at least 0, 1, 2 ... px away, until none is left."""
        chosen, (row_share, column_share) = _chosen(code_set), self._shares(shares)
        longest = int(np.hypot(*self.codes.shape)) + 2
        counts = self._by_rows(
            lambda vertical, lo, hi: _whole_counts(
                vertical, self.outside, (codes[lo:hi], chosen, row_share[lo:hi], column_share), longest
            )
        )
        total = np.sum([np.zeros(longest), *counts], axis=0)
        return np.trim_zeros(np.cumsum(total[::-1])[::-1], "b")

    def _shares(self, shares: Shares | None) -> Shares:
        height, width = self.codes.shape
        return (np.ones(height), np.ones(width)) if shares is None else shares

    def _by_rows(
        self, work: Callable[..., Any], wanted: Callable[[int, int], bool] = lambda _lo, _hi: True
    ) -> list[Any]:
        """Return work(vertical distances, lo, hi) of the blocks of rows lo:hi that are wanted, in order."""

        def one(k: int) -> Any:
            lo, hi = _span(k, len(self.codes))
            return work(_between(self.codes[lo:hi], self.chosen, self.above[k], self.below[k]), lo, hi)

        blocks = [k for k in range(len(self.above)) if wanted(*_span(k, len(self.codes)))]
        return list(ordered_map(one, blocks, min(self.workers, len(blocks))))


def distance_to(mask: NDArray[np.bool_], *, workers: int = 1, outside: bool = False) -> DistanceField:
    """Return the distances to the True pixels of a mask (h, w), and to all beyond its array if `outside`."""
    return distance_to_codes(mask.view(np.uint8), np.array([False, True]), workers=workers, outside=outside)


def distance_to_codes(
    codes: NDArray[np.uint8], chosen: NDArray[np.bool_], *, workers: int = 1, outside: bool = False
) -> DistanceField:
    """Return the distances to the pixels of a map (h, w) whose codes are chosen, (codes,) bool.

    No mask is made: of a slide it is 200 MB.
    """
    height, width = codes.shape
    spans = [_span(k, height) for k in range(-(-height // _BLOCK_ROWS))]
    ends = list(ordered_map(lambda span: _ends(codes[slice(*span)], chosen), spans, workers))
    above, below = np.full((2, len(spans), width), 0 if outside else _NONE, np.uint16)
    for k in range(1, len(spans)):
        above[k] = _carried(ends[k - 1][1], above[k - 1], _BLOCK_ROWS)
        lo, hi = spans[-k]
        below[-k - 1] = _carried(ends[-k][0], below[-k], hi - lo)
    return DistanceField(codes, chosen, above, below, workers, outside)


def _span(block: int, height: int) -> tuple[int, int]:
    """Return the rows of a block, the end exclusive."""
    return block * _BLOCK_ROWS, min((block + 1) * _BLOCK_ROWS, height)


def _carried(own: NDArray[np.uint16], before: NDArray[np.uint16], rows: int) -> NDArray[np.uint16]:
    """Return the distances on the far side of a block: its own where it has pixels, else those before it."""
    through = np.minimum(before.astype(np.int64) + rows, _NONE).astype(np.uint16)
    return np.where(own < _NONE, own, through)


def _chosen(code_set: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return whether each of 256 codes is in a set."""
    chosen = np.zeros(256, np.bool_)
    chosen[list(code_set)] = True
    return chosen


@njit(cache=True, nogil=True)
def _ends(codes, chosen):
    """Distance in each column of a block: first row to first pixel of the mask, last row to last pixel."""
    height, width = codes.shape
    ends = np.full((2, width), _NONE, np.uint16)
    for r in range(height):
        for c in range(width):
            if chosen[codes[r, c]]:
                if ends[0, c] == _NONE:
                    ends[0, c] = r
                ends[1, c] = height - 1 - r
    return ends


@njit(cache=True, nogil=True)
def _between(codes, chosen, above, below):
    """Distance to the nearest pixel of the mask in its column, of the rows of a block."""
    height, width = codes.shape
    out = np.empty((height, width), np.uint16)
    none, one, before = np.uint16(_NONE), np.uint16(1), above
    for r in range(height):
        for c in range(width):
            up = before[c]
            out[r, c] = np.uint16(0) if chosen[codes[r, c]] else (up if up == none else up + one)
        before = out[r]
    before = below
    for r in range(height - 1, -1, -1):
        for c in range(width):
            down = before[c]
            if down < none and down + one < out[r, c]:
                out[r, c] = down + one
        before = out[r]
    return out


@njit(cache=True, nogil=True)
def _next_run(row, at):
    """Return begin and end of the next pixels off the mask, from `at` on; both the width after the last."""
    width = len(row)
    while at < width and row[at] == 0:
        at += 1
    start = at
    while at < width and row[at] > 0:
        at += 1
    return start, at


@njit(cache=True, nogil=True)
def _fill_run(row, run, rules, work, squared):
    """Fill the squared distance of a run of pixels off the mask; -1 when no column has a pixel within reach.

    Only the run and the columns beside it decide. `rules` are (outside, reach): what is farther may come out
    too far. `work` (2, width + 2) holds the lower envelope: column of each parabola and where it begins.
    """
    outside, reach = rules
    site, first = work[0], work[1]
    start, end = run
    width = len(row)
    q = -1
    for u in range(start - 1, end + 1):
        if u < 0 or u == width:
            if not outside:
                continue
            g = 0
        else:
            g = np.int64(row[u])
        if g > reach:
            continue
        begin = start
        while q >= 0:
            s = site[q]
            gs = np.int64(row[s]) if 0 <= s < width else 0
            # First column where the parabola of u lies below that of s.
            begin = int(np.floor((u * u - s * s + g * g - gs * gs) / (2.0 * (u - s)))) + 1
            if begin > first[q]:
                break
            q -= 1
        if q < 0:
            begin = start
        if begin < end:
            q += 1
            site[q] = u
            first[q] = begin
    if q < 0:
        squared[start:end] = -1
        return
    while q >= 0:
        s = site[q]
        gs = np.int64(row[s]) if 0 <= s < width else 0
        for u in range(first[q], end):
            squared[u] = (u - s) * (u - s) + gs * gs
        end = first[q]
        q -= 1


@njit(cache=True, nogil=True)
def _fill_row(row, rules, work, squared):
    """Fill the squared distance along one row."""
    squared[:] = 0
    start, end = _next_run(row, 0)
    while start < end:
        _fill_run(row, (start, end), rules, work, squared)
        start, end = _next_run(row, end)


@njit(cache=True, nogil=True)
def _fill_within(vertical, outside, limit, near):
    """Mark the pixels of a block whose squared distance is at most `limit`."""
    height, width = vertical.shape
    work, squared = np.empty((2, width + 2), np.int64), np.empty(width, np.int64)
    reach = min(np.sqrt(limit), _NONE - 1)
    for r in range(height):
        _fill_row(vertical[r], (outside, reach), work, squared)
        for c in range(width):
            near[r, c] = 0 <= squared[c] <= limit


@njit(cache=True, nogil=True)
def _fill_at(vertical, outside, reach, points):
    """Write the distance of the points (order, row starts, columns, found) in the rows of a block."""
    order, start, columns, found = points
    height, width = vertical.shape
    work, squared = np.empty((2, width + 2), np.int64), np.empty(width, np.int64)
    for r in range(height):
        row, cost = vertical[r], 0
        for k in range(start[r], start[r + 1]):
            cost += min(np.int64(row[columns[order[k]]]), width)
        whole = cost > _WIDTHS * width
        if whole:
            _fill_row(row, (outside, reach), work, squared)
        for k in range(start[r], start[r + 1]):
            c = columns[order[k]]
            d2 = squared[c] if whole else _look_around(row, c, outside, reach)
            found[order[k]] = np.sqrt(d2) if d2 >= 0 else np.inf


@njit(cache=True, nogil=True)
def _look_around(row, column, outside, reach):
    """Return the squared distance of one pixel, from its columns outwards; -1 without one within reach."""
    width, g = len(row), np.int64(row[column])
    farthest = min(max(column + 1, width - column), reach)
    best = g * g if g <= reach else -1
    k = 1
    while k <= farthest and (best < 0 or k * k < best):
        for c in (column - k, column + k):
            if 0 <= c < width:
                g = np.int64(row[c])
            elif outside:
                g = np.int64(0)
            else:
                continue
            if g <= reach and (best < 0 or k * k + g * g < best):
                best = k * k + g * g
        k += 1
    return best


@njit(cache=True, nogil=True)
def _any_chosen(codes, chosen, run):
    found = False
    for c in range(run[0], run[1]):
        found |= chosen[codes[c]]
    return found


@njit(cache=True, nogil=True)
def _band_counts(vertical, outside, pixels, limits, tiles, counts):
    """Add the pixels (codes, chosen, shares) of a block to their tiles' bands of squared distance."""
    codes, chosen, row_share, column_share = pixels
    row_tile, column_tile = tiles
    height, width = vertical.shape
    work, squared = np.empty((2, width + 2), np.int64), np.empty(width, np.int64)
    last = len(limits) - 1
    rules = (outside, min(np.sqrt(limits[last]), _NONE - 1))
    for r in range(height):
        start, end = _next_run(vertical[r], 0)
        while start < end:
            if _any_chosen(codes[r], chosen, (start, end)):
                _fill_run(vertical[r], (start, end), rules, work, squared)
                for c in range(start, end):
                    d2 = squared[c]
                    if d2 >= 0 and chosen[codes[r, c]] and limits[0] < d2 <= limits[last]:
                        band = 0
                        while d2 > limits[band + 1]:
                            band += 1
                        counts[row_tile[r], column_tile[c], band] += row_share[r] * column_share[c]
            start, end = _next_run(vertical[r], end)


@njit(cache=True, nogil=True)
def _whole_counts(vertical, outside, pixels, longest):
    """Pixels of a block by the whole px of their distance; `pixels` are (codes, chosen, shares)."""
    codes, chosen, row_share, column_share = pixels
    height, width = vertical.shape
    work, squared = np.empty((2, width + 2), np.int64), np.empty(width, np.int64)
    counts = np.zeros(longest)
    for r in range(height):
        for c in range(width):
            if vertical[r, c] == 0 and chosen[codes[r, c]]:
                counts[0] += row_share[r] * column_share[c]
        start, end = _next_run(vertical[r], 0)
        while start < end:
            if _any_chosen(codes[r], chosen, (start, end)):
                _fill_run(vertical[r], (start, end), (outside, _NONE - 1), work, squared)
                for c in range(start, end):
                    if squared[c] >= 0 and chosen[codes[r, c]]:
                        counts[int(np.sqrt(squared[c]))] += row_share[r] * column_share[c]
            start, end = _next_run(vertical[r], end)
    return counts
