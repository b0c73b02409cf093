"""One nucleus at a seam: what the windows either side of a border saw, settled by a local rule.

Windows with other surroundings may put one nucleus' winning grid cell at other places. Near a border that
loses it (each window thinks it is the other's) or keeps it twice. So each window also reports what it sees
just beyond its core, and then, among the nuclei near seams:
1. of two nuclei from different windows that overlap, one is kept: owned before foreign, higher score first;
2. a foreign nucleus is kept only where its owner saw it too, but took it for another window's.
The rule looks at nothing but the nuclei, so workers and their timing cannot change what is kept.
"""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.cells.windows import Nuclei

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
# As polygons they take 3 kB each.
_AT_ONCE = 16_384


def settle_seams(nuclei: Nuclei, *, overlap: float) -> NDArray[np.bool_]:
    """Return which nuclei are kept, (n,).

    Parameters
    ----------
    nuclei : Nuclei
        Those of all windows.
    overlap : float, 0-1
        Largest share of the smaller of two nuclei that the other may cover (the card's `nms`).
    """
    keep = nuclei.owner == nuclei.window
    rows = np.flatnonzero(nuclei.at_seam)
    if len(rows):
        keep[rows] = _settle(nuclei if len(rows) == len(keep) else nuclei.select(rows), overlap)
    return keep


def _settle(nuclei: Nuclei, overlap: float) -> NDArray[np.bool_]:
    owned = nuclei.owner == nuclei.window
    first, second = _overlapping(nuclei, overlap)
    # Rank by what the nuclei are, never by the row they came in.
    x, y = nuclei.outline_px[:, 0, 0], nuclei.outline_px[:, 0, 1]
    rank = np.empty(len(owned), np.int64)
    rank[np.lexsort((nuclei.window, x, y, -nuclei.score, ~owned))] = np.arange(len(owned))
    keep = owned.copy()
    for one, other in ((first, second), (second, first)):
        keep[one[nuclei.window[other] == nuclei.owner[one]]] = True
    better = np.where(rank[first] < rank[second], first, second)
    worse = np.where(rank[first] < rank[second], second, first)
    # By rank of the worse one: when a pair is settled, all pairs that could drop its better one are.
    for pair in np.lexsort((rank[better], rank[worse])):
        if keep[better[pair]]:
            keep[worse[pair]] = False
    return keep


def _overlapping(nuclei: Nuclei, overlap: float) -> Pairs:
    """Pairs of nuclei from different windows of which one covers more than `overlap` of the other."""
    y_px = nuclei.outline_px[:, :, 1]
    order = np.argsort(y_px.min(axis=1), kind="stable")
    tops, bottoms = y_px.min(axis=1)[order], y_px.max(axis=1)[order]
    found: list[Pairs] = []
    for at in range(0, len(order), _AT_ONCE):
        # Those that begin below the lowest of these overlap none of them.
        end = int(np.searchsorted(tops, bottoms[at : at + _AT_ONCE].max(), side="right"))
        found.append(_pairs(nuclei, order[at:end], overlap))
    first, second = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return first, second


def _pairs(nuclei: Nuclei, rows: NDArray[np.int64], overlap: float) -> Pairs:
    """Return those pairs of which one is among the first `_AT_ONCE` rows and the other anywhere behind it."""
    outlines: Any = shapely.polygons(nuclei.outline_px[rows].astype(np.float64))
    crossed = ~shapely.is_valid(outlines)
    outlines[crossed] = shapely.make_valid(outlines[crossed])
    one, other = shapely.STRtree(outlines).query(outlines[:_AT_ONCE])
    window = nuclei.window[rows]
    once = (one < other) & (window[one] != window[other])
    one, other = one[once], other[once]
    area, boxes = np.atleast_1d(shapely.area(outlines)), shapely.bounds(outlines).reshape(-1, 4)
    sides = np.minimum(boxes[one, 2:], boxes[other, 2:]) - np.maximum(boxes[one, :2], boxes[other, :2])
    # They share no more than their boxes do, which is known in no time.
    likely = sides.prod(axis=1) > overlap * np.minimum(area[one], area[other])
    one, other = one[likely], other[likely]
    turned = rows[one] > rows[other]
    first, second = np.where(turned, other, one), np.where(turned, one, other)
    shared = shapely.area(shapely.intersection(outlines[first], outlines[second]))
    above = shared > overlap * np.minimum(area[first], area[second])
    return rows[first[above]], rows[second[above]]
