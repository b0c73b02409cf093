"""Exact Euclidean distance to a mask, in memory of two bytes a pixel, read where it is needed.

A float distance map of a whole slide at 2 um/px is 600 MB and there are several masks to measure from. The
first of the two passes of Meijster et al. 2000 (doi:10.1007/0-306-47025-X_36) is kept instead; the second
works row by row, so each use asks for the rows, points or sums that it wants.
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

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DistanceField:
    """Distances in px between pixel centers, from every pixel to the nearest pixel of a mask.

    Attributes
    ----------
    vertical : (h, w) uint16, px
        Distance within the column, 65,535 where the column has none.
    workers : int
        Threads.
    outside : bool
        Everything beyond the array belongs to the mask too.
    """

    vertical: NDArray[np.uint16]
    workers: int = 1
    outside: bool = False

    @property
    def empty(self) -> bool:
        """Whether the mask has no pixel, so that there is no distance."""
        return not (self.vertical < _NONE).any()

    def within(self, radius_px: float) -> NDArray[np.bool_]:
        """Return where the mask is at most `radius_px` away, bool (h, w): the mask dilated by a disc."""
        near = np.zeros(self.vertical.shape, np.bool_)
        self._by_rows(
            lambda lo, hi: _fill_within(self.vertical, self.outside, float(radius_px) ** 2, near, (lo, hi))
        )
        return near

    def at(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], *, reach_px: float = np.inf
    ) -> NDArray[np.float64]:
        """Return the distance at pixels inside the map, (n,); inf when the mask is empty.

        Distances beyond `reach_px` may come out too large, or inf; a short reach is faster.
        """
        reach = min(reach_px, _NONE - 1)
        order = np.argsort(rows, kind="stable")
        found = np.empty(len(rows))
        start = np.searchsorted(rows[order], np.arange(len(self.vertical) + 1))
        self._by_rows(
            lambda lo, hi: _fill_at(
                self.vertical, self.outside, reach, (order, start, columns, found), (lo, hi)
            )
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
        chosen = np.zeros(256, np.bool_)
        chosen[list(code_set)] = True
        limits = np.asarray(edges_px, np.float64) ** 2
        counts = self._by_rows(
            lambda lo, hi: _band_counts(
                self.vertical, self.outside, (codes, chosen, *self._shares(shares)), limits, (lo, hi)
            )
        )
        return np.sum([np.zeros(len(limits) - 1), *counts], axis=0)

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
        chosen = np.zeros(256, np.bool_)
        chosen[list(code_set)] = True
        limits = np.asarray(edges_px, np.float64) ** 2
        rows, columns = tiles
        total = np.zeros((int(rows[-1]) + 1, int(columns[-1]) + 1, len(limits) - 1))
        pixels = (codes, chosen, *self._shares(shares))
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        spans = zip(first.tolist(), [*first[1:].tolist(), len(rows)], strict=True)
        # A row of tiles is one thread's.
        for _ in ordered_map(
            lambda span: _tile_counts(
                self.vertical, self.outside, pixels, limits, (span, rows, columns), total
            ),
            spans,
            self.workers,
        ):
            pass
        return total

    def tail(
        self, codes: NDArray[np.uint8], code_set: tuple[int, ...], *, shares: Shares | None = None
    ) -> NDArray[np.float64]:
        """Count pixels of some codes, by their shares, at least 0, 1, 2 ... px away, until none is left."""
        chosen = np.zeros(256, np.bool_)
        chosen[list(code_set)] = True
        longest = int(np.hypot(*self.vertical.shape)) + 2
        counts = self._by_rows(
            lambda lo, hi: _whole_counts(
                self.vertical, self.outside, (codes, chosen, *self._shares(shares)), (lo, hi), longest
            )
        )
        total = np.sum([np.zeros(longest), *counts], axis=0)
        return np.trim_zeros(np.cumsum(total[::-1])[::-1], "b")

    def _shares(self, shares: Shares | None) -> Shares:
        height, width = self.vertical.shape
        return (np.ones(height), np.ones(width)) if shares is None else shares

    def _by_rows(self, work: Callable[[int, int], Any]) -> list[Any]:
        height = len(self.vertical)
        spans = [(lo, min(lo + _BLOCK_ROWS, height)) for lo in range(0, height, _BLOCK_ROWS)]
        return list(ordered_map(lambda span: work(*span), spans, min(self.workers, len(spans))))


def distance_to(mask: NDArray[np.bool_], *, workers: int = 1, outside: bool = False) -> DistanceField:
    """Return the distances to the True pixels of a mask (h, w), and to all beyond its array if `outside`."""
    codes = np.ascontiguousarray(mask).view(np.uint8)
    return distance_to_codes(codes, np.array([False, True]), workers=workers, outside=outside)


def distance_to_codes(
    codes: NDArray[np.uint8], chosen: NDArray[np.bool_], *, workers: int = 1, outside: bool = False
) -> DistanceField:
    """Return the distances to the pixels of a map (h, w) whose codes are chosen, (codes,) bool.

    No mask is made: of a slide it is 200 MB.
    """
    return DistanceField(_vertical(np.ascontiguousarray(codes), chosen, outside), workers, outside)


@njit(cache=True, nogil=True)
def _vertical(codes, chosen, outside):
    """Distance to the nearest pixel of a chosen code in its column, or beyond its ends if `outside`."""
    height, width = codes.shape
    out = np.empty((height, width), np.uint16)
    none = np.uint16(_NONE)
    for r in range(height):
        for c in range(width):
            above = out[r - 1, c] if r > 0 else (np.uint16(0) if outside else none)
            out[r, c] = (
                np.uint16(0) if chosen[codes[r, c]] else (above if above == none else above + np.uint16(1))
            )
    for r in range(height - 1, -1, -1):
        for c in range(width):
            below = out[r + 1, c] if r < height - 1 else (np.uint16(0) if outside else none)
            if below < none and below + np.uint16(1) < out[r, c]:
                out[r, c] = below + np.uint16(1)
    return out


@njit(cache=True, nogil=True)
def _envelope_distance(vertical_row, reach, work, squared):
    """Fill `squared` from the columns of the array alone, see `_row_distance`."""
    site, first = work[0], work[1]
    width = len(vertical_row)
    q = -1
    for u in range(width):
        g = np.int64(vertical_row[u])
        if g > reach:
            continue
        if g == 0 and q >= 0 and site[q] == u - 1 and vertical_row[u - 1] == 0:
            q += 1  # inside the mask: most pixels of most rows
            site[q] = u
            first[q] = u
            continue
        g2 = g * g
        begin = 0
        while q >= 0:
            s = site[q]
            gs = np.int64(vertical_row[s])
            # First column where the parabola of u lies below that of s.
            begin = int(np.floor((u * u - s * s + g2 - gs * gs) / (2.0 * (u - s)))) + 1
            if begin > first[q]:
                break
            q -= 1
        if q < 0:
            begin = 0
        if begin < width:
            q += 1
            site[q] = u
            first[q] = begin
    if q < 0:
        squared[:] = -1
        return
    end = width
    while q >= 0:
        s = site[q]
        gs = np.int64(vertical_row[s])
        for u in range(first[q], end):
            squared[u] = (u - s) * (u - s) + gs * gs
        end = first[q]
        q -= 1


@njit(cache=True, nogil=True)
def _row_distance(vertical_row, outside, reach, work, squared):
    """Fill `squared` with the squared distance along one row; -1 when no column has a pixel within reach.

    Distances beyond `reach` may come out too large. `work` (2, width) holds the lower envelope: the column
    of each parabola and where it begins.
    """
    _envelope_distance(vertical_row, reach, work, squared)
    if outside:
        width = len(vertical_row)
        for c in range(width):
            edge = min(c + 1, width - c)
            if squared[c] < 0 or edge * edge < squared[c]:
                squared[c] = edge * edge


@njit(cache=True, nogil=True)
def _fill_within(vertical, outside, limit, near, span):
    """Mark the pixels of rows `span` whose squared distance is at most `limit`."""
    width = vertical.shape[1]
    work = np.empty((2, width), np.int64)
    squared = np.empty(width, np.int64)
    reach = min(np.sqrt(limit), _NONE - 1)
    for r in range(span[0], span[1]):
        _row_distance(vertical[r], outside, reach, work, squared)
        for c in range(width):
            near[r, c] = 0 <= squared[c] <= limit


@njit(cache=True, nogil=True)
def _fill_at(vertical, outside, reach, points, span):
    """Write the distance of the points (order, row starts, columns, found) that lie in rows `span`."""
    order, start, columns, found = points
    width = vertical.shape[1]
    work = np.empty((2, width), np.int64)
    squared = np.empty(width, np.int64)
    for r in range(span[0], span[1]):
        if start[r] == start[r + 1]:
            continue
        _row_distance(vertical[r], outside, reach, work, squared)
        for k in range(start[r], start[r + 1]):
            d2 = squared[columns[order[k]]]
            found[order[k]] = np.sqrt(d2) if d2 >= 0 else np.inf


@njit(cache=True, nogil=True)
def _band_counts(vertical, outside, pixels, limits, span):
    """Pixels per band of squared distance, rows `span`; `pixels` are (codes, chosen, shares)."""
    codes, chosen, row_share, column_share = pixels
    width = vertical.shape[1]
    work = np.empty((2, width), np.int64)
    squared = np.empty(width, np.int64)
    bands = len(limits) - 1
    counts = np.zeros(bands)
    reach = min(np.sqrt(limits[bands]), _NONE - 1)
    for r in range(span[0], span[1]):
        _row_distance(vertical[r], outside, reach, work, squared)
        for c in range(width):
            d2 = squared[c]
            if d2 >= 0 and chosen[codes[r, c]] and limits[0] < d2 <= limits[bands]:
                counts[np.searchsorted(limits, d2, side="left") - 1] += row_share[r] * column_share[c]
    return counts


@njit(cache=True, nogil=True)
def _tile_counts(vertical, outside, pixels, limits, place, total):
    """Add the pixels of rows `span` to their tiles' bands of squared distance; `place` is (span, tiles)."""
    codes, chosen, row_share, column_share = pixels
    span, row_tile, column_tile = place
    width = vertical.shape[1]
    work = np.empty((2, width), np.int64)
    squared = np.empty(width, np.int64)
    bands = len(limits) - 1
    reach = min(np.sqrt(limits[bands]), _NONE - 1)
    for r in range(span[0], span[1]):
        _row_distance(vertical[r], outside, reach, work, squared)
        for c in range(width):
            d2 = squared[c]
            if d2 >= 0 and chosen[codes[r, c]] and limits[0] < d2 <= limits[bands]:
                band = np.searchsorted(limits, d2, side="left") - 1
                total[row_tile[r], column_tile[c], band] += row_share[r] * column_share[c]


@njit(cache=True, nogil=True)
def _whole_counts(vertical, outside, pixels, span, longest):
    """Pixels by the whole px of their distance, rows `span`; `pixels` are (codes, chosen, shares)."""
    codes, chosen, row_share, column_share = pixels
    width = vertical.shape[1]
    work = np.empty((2, width), np.int64)
    squared = np.empty(width, np.int64)
    counts = np.zeros(longest)
    for r in range(span[0], span[1]):
        _row_distance(vertical[r], outside, _NONE - 1, work, squared)
        for c in range(width):
            if squared[c] >= 0 and chosen[codes[r, c]]:
                counts[int(np.sqrt(squared[c]))] += row_share[r] * column_share[c]
    return counts
