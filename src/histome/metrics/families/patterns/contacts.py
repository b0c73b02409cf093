"""Which classes touch: Delaunay edges of limited length, found locally."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.axes import PAIR_CODES
from histome.metrics.declaration import SHARE, UNBOUNDED, Family, Template, in_loops
from histome.metrics.families.patterns.enrichment import ordered_pair_moments
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio
from histome.metrics.uncertainty.significance import two_sided

LONGEST_UM = 30.0
# A shared Voronoi edge shorter than this is four cells on one circle, and the rounding of their coordinates.
_SHORTEST_FACE_UM = 1e-6
# Of the cells near a cell, the nearest in each eighth of a turn bound its Voronoi cell: what lies farther off
# than 2 ** 0.5 times the farthest of these neither touches it nor parts it from those that do.
_SECTORS = 8
# Rows and columns of the pairs of classes in a table of classes.
_PLACES = np.array(list(PAIR_CODES.values())).T
_NONE = "there are no contacts"
_UNSEEN = "there are no such contacts"
_ALL_OF_THEM = "all contacts are such contacts"
_CERTAIN = "relabeling cannot change the contact fraction"
_COUNTS = "contacts of the slide, between any two classes"

TEMPLATES = in_loops(
    ("touching",),
    Template(
        "CONTACT_FRACTION_{touching}",
        "1",
        "contacts between {touching} / all contacts",
        (_NONE,),
        SHARE,
        smallest_sample=1,
        counts=_COUNTS,
    ),
    Template(
        "CONTACT_LOG_ODDS_{touching}",
        "1",
        "ln of the odds of the contact fraction of {touching} / its odds under relabeling",
        (_NONE, _UNSEEN, _ALL_OF_THEM, _CERTAIN),
        UNBOUNDED,
        smallest_sample=1,
        derived="from CONTACT_FRACTION and the two CELL_COUNT",
        counts=_COUNTS,
    ),
)


def contacts(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the share of contacts per unordered pair of classes; n is the number of contacts.

    A contact is a Delaunay edge of at most 30 um. Log odds: ln of the odds of that share over the odds of its
    expectation when the classes are exchanged among the cells.
    """
    table = specimen.once(contact_table)
    total = table.sum()
    counts = specimen.class_counts.astype(float)
    seen = table[*_PLACES]
    fraction = quotient(seen, total)
    expected = _expected(counts[None])[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_odds = _log_odds(fraction, expected)
    nulls = (
        (total == 0, _NONE),
        (seen == 0, _UNSEEN),
        (seen == total, _ALL_OF_THEM),
        (~(expected > 0) | ~(expected < 1), _CERTAIN),
    )
    return {
        "CONTACT_FRACTION_{touching}": result(fraction, total, nulls[0]),
        "CONTACT_LOG_ODDS_{touching}": result(log_odds, total, *nulls),
    }


def _contacts_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    seen = np.zeros((len(blocks) * N_CELL_CLASSES, N_CELL_CLASSES), np.int64)
    label = specimen.cells.label
    _count_ends(specimen.for_now(contact_pairs), blocks.of_cell * N_CELL_CLASSES + label, label, seen)
    pairs = _unordered(seen.reshape(len(blocks), N_CELL_CLASSES, N_CELL_CLASSES))[:, *_PLACES]
    total = pairs.sum(axis=1, keepdims=True)
    return {
        "CONTACT_FRACTION_{touching}": ratio(pairs, total),
        "CONTACT_LOG_ODDS_{touching}": BlockSums(
            lambda of_pair, of_all, counts: _log_odds(quotient(of_pair, of_all), _expected(counts)),
            (pairs, total, blocks.per_class(specimen)),
        ),
    }


def _tests(specimen: Specimen, results: Mapping[str, Result]) -> Mapping[str, NDArray[np.float64]]:
    """Test the number of contacts against all exchanges of the classes, by their exact mean and SD."""
    pairs, counts = specimen.for_now(contact_pairs), specimen.class_counts.tolist()
    degree = contacts_by_kind(pairs, np.zeros(len(specimen.cells), np.int64), 1)[:, 0].astype(np.int64)
    graph = len(pairs), int((degree * (degree - 1)).sum())
    moments = [ordered_pair_moments((counts[a], counts[b]), a == b, sum(counts), graph) for a, b in _PLACES.T]
    mean, sd = np.array(moments).T
    seen = specimen.once(contact_table)[*_PLACES] * (1 + (_PLACES[0] == _PLACES[1]))
    pattern = "CONTACT_LOG_ODDS_{touching}"
    told = np.isfinite(results[pattern].value)
    return {pattern: two_sided(np.where(told, quotient(seen - mean, sd), np.nan))}


FAMILY = Family(
    "contacts",
    "Contacts",
    "Contact = two cells at most 30 um apart whose Voronoi cells share an edge (a Delaunay edge); four cells "
    "on one circle make no diagonal contact, nor do two at one place. Unordered pairs of classes.",
    TEMPLATES,
    contacts,
    source="Delaunay 1934; as cell graphs in Schapiro et al. 2017, doi:10.1038/nmeth.4391",
    null_model="of the log odds: exchange of the classes among the counted cells of the slide, whatever "
    "their tissue, so that classes that share a tissue come out above 0 without any interaction; of the "
    "fraction: none",
    alias="S5",
    block_sums=_contacts_per_block,
    tests=_tests,
)


def contact_pairs(specimen: Specimen) -> NDArray[np.int32]:
    """Return the contacts of a specimen, (m, 2) rows of its cells, each once."""
    return _find_pairs(specimen.cells.x_um, specimen.cells.y_um, workers=specimen.maps.workers)


def contact_table(specimen: Specimen) -> NDArray[np.int64]:
    """Count the contacts of a specimen by their classes, (9, 9), in the upper triangle."""
    return _table(specimen.for_now(contact_pairs), specimen.cells.label)


def contacts_by_kind(pairs: NDArray[np.int32], kind: NDArray[np.integer], kinds: int) -> NDArray[np.int32]:
    """Count the contacts of each cell by the kind (n,) of the other cell, (n, kinds)."""
    found = np.zeros((len(kind), kinds), np.int32)
    own = np.arange(len(kind))
    for ends in (pairs, pairs[:, ::-1]):
        _count_ends(ends, own, kind, found)
    return found


def _unordered(table: NDArray[Any]) -> NDArray[Any]:
    """Return counts (..., 9, 9) of ordered pairs as those of unordered ones, in the upper triangle."""
    return np.triu(table) + np.triu(np.swapaxes(table, -1, -2), 1)


def _expected(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the contact fraction of each pair of classes under relabeling, from counts (any, classes)."""
    a, b = _PLACES
    ways = np.where(a == b, counts[:, a] * (counts[:, b] - 1), 2 * counts[:, a] * counts[:, b])
    total = counts.sum(axis=1, keepdims=True)
    return quotient(ways, total * (total - 1))


def _log_odds(fraction: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(fraction / (1 - fraction)) - np.log(expected / (1 - expected))


def contact_counts(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], label: NDArray[np.int64], *, workers: int = 1
) -> NDArray[np.int64]:
    """Count the contacts between classes, (9, 9), in the upper triangle."""
    return _table(_find_pairs(x_um, y_um, workers=workers), label)


def _table(pairs: NDArray[np.int32], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count pairs of rows by their classes, (9, 9), in the upper triangle."""
    ordered = np.zeros((N_CELL_CLASSES, N_CELL_CLASSES), np.int64)
    _count_ends(pairs, label, label, ordered)
    return _unordered(ordered)


@njit(cache=True, nogil=True)
def _count_ends(pairs, first, second, table):
    """Add each pair of rows to table[first of the one, second of the other]; a negative second is none."""
    for k in range(len(pairs)):
        other = second[pairs[k, 1]]
        if other >= 0:
            table[first[pairs[k, 0]], other] += 1


def _find_pairs(x_um: NDArray[np.float64], y_um: NDArray[np.float64], *, workers: int) -> NDArray[np.int32]:
    """Return the contacts between points, (m, 2) rows, each once."""
    grid = build_grid(x_um, y_um, LONGEST_UM / 2)
    parts = run_chunks(
        lambda lo, hi: grid.order[_contacts_of_span(grid, (lo, hi))].astype(np.int32),
        len(x_um),
        workers=workers,
    )
    return np.concatenate([np.empty((0, 2), np.int32), *parts])


@njit(cache=True, nogil=True)
def _contacts_of_span(grid, span):
    """Return the contacts of the sorted cells of `span` with later cells, (m, 2) sorted positions."""
    # A planar graph has at most 3 edges a point; cells at one position share theirs.
    found = np.empty((3 * (span[1] - span[0]) + 1, 2), np.int64)
    m = 0
    near = np.empty(256, np.int64)
    for i in range(span[0], span[1]):
        near, n = _gather(grid, i, near)
        for k in range(_SECTORS, n):
            j = near[k]
            dx, dy = grid.x[j] - grid.x[i], grid.y[j] - grid.y[i]
            d2 = dx * dx + dy * dy
            if j > i and d2 > 0.0 and _is_contact(grid, (i, j), near, n):
                if m == len(found):
                    longer = np.empty((2 * m, 2), np.int64)
                    longer[:m] = found
                    found = longer
                found[m, 0], found[m, 1] = i, j
                m += 1
    return found[:m]


@njit(cache=True, nogil=True)
def _gather(grid, i, near):
    """Return the sorted cells within LONGEST_UM of cell i that matter to it, i left out, and how many.

    Before them, and counted, stand the nearest of each sector once more; i itself where there is none.
    """
    n = _SECTORS
    near[:n] = i
    x, y = grid.x[i], grid.y[i]
    r0, r1, c0, c1 = bin_span(grid, x, y, LONGEST_UM)
    for row in range(r0, r1):
        for j in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
            dx, dy = grid.x[j] - x, grid.y[j] - y
            d2 = dx * dx + dy * dy
            if j != i and d2 <= LONGEST_UM * LONGEST_UM:
                if n == len(near):
                    longer = np.empty(2 * n, np.int64)
                    longer[:n] = near
                    near = longer
                near[n] = j
                n += 1
                sector = (dx > 0) + 2 * (dy > 0) + 4 * (abs(dx) > abs(dy))
                if d2 > 0.0 and (near[sector] == i or d2 < _squared(grid, i, near[sector])):
                    near[sector] = j
    return near, _within_reach(grid, i, near, n)


@njit(cache=True, nogil=True)
def _squared(grid, i, j):
    """Return the squared distance of two sorted cells."""
    dx, dy = grid.x[j] - grid.x[i], grid.y[j] - grid.y[i]
    return dx * dx + dy * dy


@njit(cache=True, nogil=True)
def _within_reach(grid, i, near, n):
    """Leave those of the first n near cells that may matter to cell i, in their order; returns how many."""
    farthest = 0.0
    for sector in range(_SECTORS):
        if near[sector] == i:
            return n
        farthest = max(farthest, _squared(grid, i, near[sector]))
    left = _SECTORS
    for k in range(_SECTORS, n):
        if _squared(grid, i, near[k]) <= 2.0 * farthest * (1 + 1e-9):
            near[left] = near[k]
            left += 1
    return left


@njit(cache=True, nogil=True)
def _clip(grid, frame, k, face):
    """Narrow `face` to the circle centers that keep cell k out of the circle.

    The centers of circles through two cells lie at middle + t normal; `frame` is (middle x, y, normal x, y,
    half the distance of the cells), `face` the open interval of t.
    """
    vx, vy = grid.x[k] - frame[0], grid.y[k] - frame[1]
    along = vx * frame[2] + vy * frame[3]
    power = vx * vx + vy * vy - frame[4] * frame[4]
    low, high = face
    if along > 0:
        high = min(high, power / (2 * along))
    elif along < 0:
        low = max(low, power / (2 * along))
    elif power < 0:
        low, high = 0.0, -1.0  # between the two: no circle at all
    return low, high


@njit(cache=True, nogil=True)
def _is_contact(grid, pair, near, n):
    """Tell whether the Voronoi cells of a pair share an edge: a circle through both holds no third cell."""
    i, j = pair
    x, y = grid.x[i], grid.y[i]
    dx, dy = grid.x[j] - x, grid.y[j] - y
    distance = np.sqrt(dx * dx + dy * dy)
    frame = (x + dx / 2, y + dy / 2, -dy / distance, dx / distance, distance / 2)
    face = (-np.inf, np.inf)
    for m in range(n):
        if _apart(grid, near[m], pair):
            face = _clip(grid, frame, near[m], face)
            if face[1] - face[0] <= _SHORTEST_FACE_UM:
                return False
    while True:
        t = min(max(0.0, face[0]), face[1])  # the smallest circle that is left
        radius = np.sqrt(frame[4] * frame[4] + t * t)
        if 2 * radius <= LONGEST_UM:  # every cell in it is among the near ones
            return True
        narrower = _clip_by_circle(grid, pair, frame, (t, radius), face)
        if narrower[1] - narrower[0] <= _SHORTEST_FACE_UM:
            return False
        if narrower[0] == face[0] and narrower[1] == face[1]:
            return True
        face = narrower


@njit(cache=True, nogil=True)
def _apart(grid, k, pair):
    """Tell whether cell k is at neither position of the pair."""
    i, j = pair
    return (grid.x[k] != grid.x[i] or grid.y[k] != grid.y[i]) and (
        grid.x[k] != grid.x[j] or grid.y[k] != grid.y[j]
    )


@njit(cache=True, nogil=True)
def _clip_by_circle(grid, pair, frame, circle, face):
    """Narrow `face` by the cells inside one circle, until it is empty or all were seen."""
    t, radius = circle
    cx, cy = frame[0] + t * frame[2], frame[1] + t * frame[3]
    r0, r1, _, _ = bin_span(grid, cx, cy, radius)
    for row in range(r0, r1):
        # The chord of the circle over this row of bins.
        top = grid.y_min + row * grid.bin_um
        dy = max(0.0, max(top - cy, cy - top - grid.bin_um))
        half = np.sqrt(max(radius * radius - dy * dy, 0.0))
        c0 = max(int(np.floor((cx - half - grid.x_min) / grid.bin_um)), 0)
        c1 = min(int(np.floor((cx + half - grid.x_min) / grid.bin_um)) + 1, grid.cols)
        if c0 >= c1:
            continue
        for k in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
            dx, dy = grid.x[k] - cx, grid.y[k] - cy
            if dx * dx + dy * dy < radius * radius and _apart(grid, k, pair):
                face = _clip(grid, frame, k, face)
                if face[1] - face[0] <= _SHORTEST_FACE_UM:
                    return face
    return face
