"""The sums over blocks of tissue behind pairs of cells, and of points, by distance.

A pair belongs to the block of its first cell; its second may lie in another, whose number of cells tells
what is expected. So pairs of places where the first class is expected with cells of the second are summed
twice, by the block of the place and by that of the cell. Both have one total, and draws of the latter over
draws of the former turn the number of second cells in a block into that near it (Hamilton 1993,
doi:10.1086/173288, has the same in the estimate itself). Without it intervals of L at 500 um held the truth
in 100 %.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.randomness.discs import FieldRows, within_discs
from histome.metrics.randomness.pair_tables import (
    FAR_UM,
    N_TISSUES,
    NEAR_UM,
    cell_fields,
    point_fields,
)
from histome.metrics.results import quotient
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import Lattice
from histome.metrics.uncertainty.blocks import Blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Nearer than the first of these next to no pair lies in two blocks.
_MOVED_UM = (*NEAR_UM[1:], *FAR_UM)
_TISSUE_PAIRS = [(s, t) for s in range(N_TISSUES) for t in range(N_TISSUES)]


class BlockPairs(NamedTuple):
    """Pairs within each of FAR_RADII_UM by the block of one of the two."""

    of_classes: Floats  # (blocks, radii, pairs): unordered
    of_tissues: Floats  # (blocks, radii, 5, 5): ordered, cells of any class
    of_points_um4: Floats  # (blocks, radii, 5, 5): ordered, points of the tissues
    by_place: Floats  # (blocks, nulls, radii from 50 um on, pairs): second cells near expected first ones
    by_cell: Floats  # the same by the block of the second cell


def block_pairs(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]]) -> BlockPairs:
    """Count the pairs of `PairTables` by block, of the pairs of classes given."""
    near_classes, near_tissues = _near(specimen, blocks, pairs)
    points, areas = [], []
    for lattice, fields, radii in point_fields(specimen.maps):
        points.append(_sums_by_block((lattice, fields), radii, blocks, _TISSUE_PAIRS)[0])
        areas.append(fields)
    far = _far(specimen, blocks, pairs, areas[-1])
    return BlockPairs(
        np.concatenate([near_classes, far.of_classes], axis=1),
        np.concatenate([near_tissues, far.of_tissues], axis=1),
        _by_tissues(np.concatenate(points, axis=1)),
        far.by_place,
        far.by_cell,
    )


def _orders(pairs: Sequence[tuple[int, int]]) -> Ints:
    """Return in how many orders each pair of classes is seen: one class with itself in both."""
    return np.array([1 + (first == second) for first, second in pairs])


def _by_tissues(sums: Floats) -> Floats:
    """Return sums (..., 25) as (..., 5, 5)."""
    return sums.reshape(*sums.shape[:-1], N_TISSUES, N_TISSUES)


def _sums_by_block(
    given: tuple[Lattice, FieldRows],
    radii_um: Sequence[float],
    blocks: Blocks,
    pairs: Sequence[tuple[int, int]],
) -> tuple[Floats, Floats]:
    """Sum fields on a lattice by the blocks of their pixels.

    Returns
    -------
    of_pairs : (blocks, radii, pairs)
        Of the first field of each pair times the second within the radius.
    own : (blocks, fields)
        Of each field.
    """
    lattice, fields = given
    found, own = np.zeros((len(blocks), len(radii_um), len(pairs))), np.zeros((len(blocks), fields.shape[0]))
    first, second = np.transpose(pairs)
    for part in within_discs(fields, [radius / lattice.size_um for radius in radii_um]):
        row, column = np.nonzero(part.own.any(axis=0))
        block = blocks.at(
            lattice.left_um + (part.column + column.astype(np.float64) + 0.5) * lattice.size_um,
            lattice.top_um + (part.row + row.astype(np.float64) + 0.5) * lattice.size_um,
        )
        order = np.argsort(block, kind="stable")
        row, column = row[order], column[order]
        here, begin = np.unique(block[order], return_index=True)
        spans = list(zip(here, begin, [*begin[1:], len(block)], strict=True))
        values = part.own[:, row, column]
        own[here] += np.add.reduceat(values, begin, axis=1).T
        for q, around in enumerate(part.around):
            near = around[:, row, column]
            for at, lo, hi in spans:
                found[at, q] += (values[:, lo:hi] @ near[:, lo:hi].T)[first, second]
    return found, own


class _FarPairs(NamedTuple):
    of_classes: Floats
    of_tissues: Floats
    by_place: Floats
    by_cell: Floats


def _far(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]], areas: FieldRows) -> _FarPairs:
    """Return the parts of `BlockPairs` beyond 100 um; `areas` are those of the tissues on the same pixels."""
    lattice, cells = cell_fields(specimen)
    firsts = sorted({first for first, _ in pairs})
    fields = _with_expected(specimen, cells, areas, firsts)
    place = [cells.shape[0] + firsts.index(first) for first, _ in pairs]
    expected = [
        (at + null * len(firsts), b) for null in range(2) for at, (_, b) in zip(place, pairs, strict=True)
    ]
    seen = [*pairs, *((N_CELL_CLASSES + s, N_CELL_CLASSES + t) for s, t in _TISSUE_PAIRS)]
    wanted = [*seen, *expected, *((b, a) for a, b in expected)]
    found, own = _sums_by_block((lattice, fields), _MOVED_UM, blocks, wanted)
    for k, (first, second) in enumerate(seen):
        if first == second:  # no cell is its own neighbor
            found[:, :, k] -= own[:, None, first]
    of_classes, of_tissues, *both = np.split(
        found, np.cumsum([len(pairs), len(_TISSUE_PAIRS), len(expected)]), axis=2
    )
    by_place, by_cell = (np.swapaxes(each.reshape(*each.shape[:2], 2, len(pairs)), 1, 2) for each in both)
    return _FarPairs(
        of_classes[:, -len(FAR_UM) :] / _orders(pairs),
        _by_tissues(of_tissues[:, -len(FAR_UM) :]),
        by_place,
        by_cell,
    )


def _with_expected(
    specimen: Specimen, cells: FieldRows, areas: FieldRows, classes: Sequence[int]
) -> FieldRows:
    """Append to the fields of cells those of classes as expected: all scattered evenly, then exchanged."""
    counts = specimen.tissue_counts
    evenly, exchanged = (
        np.nan_to_num(quotient(counts, whole))[classes]
        for whole in (specimen.maps.nucleated_um2, counts.sum(axis=0))
    )

    def part(lo: int, hi: int, across: slice) -> Floats:
        here = cells.part(lo, hi, across)
        nulls = zip((evenly, exchanged), (areas.part(lo, hi, across), here[N_CELL_CLASSES:]), strict=True)
        return np.concatenate([here, *(np.tensordot(share, on, 1) for share, on in nulls)])

    count, height, width = cells.shape
    return FieldRows((count + 2 * len(classes), height, width), part)


def _near(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """Return pairs up to 100 um of classes (blocks, radii, pairs) and tissues (blocks, radii, 5, 5)."""
    inside = specimen.nucleated >= 0
    grid = build_grid(specimen.cells.x_um[inside], specimen.cells.y_um[inside], NEAR_UM[-1] / 4)
    marks = (specimen.cells.label, specimen.nucleated, blocks.of_cell)
    label, tissue, owner = (each[inside][grid.order] for each in marks)
    place = np.full((N_CELL_CLASSES, N_CELL_CLASSES), -1, np.int64)
    for k, (a, b) in enumerate(pairs):
        place[a, b] = k
    limits = np.asarray(NEAR_UM, float) ** 2
    of_classes = np.zeros((len(blocks), len(limits), len(pairs)))
    of_tissues = np.zeros((len(blocks), len(limits), N_TISSUES, N_TISSUES))

    def count(lo: int, hi: int) -> tuple[NDArray[np.integer], ...]:
        # A chunk of neighbors lies in few blocks.
        here, own = np.unique(owner[lo:hi], return_inverse=True)
        shape = (len(here), len(pairs))
        return here, *_ordered_pairs(grid, (label, tissue, own), (limits, place), (lo, hi), shape)

    workers = specimen.maps.workers
    for here, classes, tissues in run_chunks(count, len(label), workers=workers):
        of_classes[here] += classes.cumsum(axis=1)
        of_tissues[here] += tissues.cumsum(axis=1)
    return of_classes / _orders(pairs), of_tissues


@njit(cache=True, nogil=True)
def _ordered_pairs(grid, marks, rules, span, shape):
    """Count pairs of the sorted cells of `span` with others by block, ring, and classes or tissues."""
    label, tissue, own = marks
    limits, place = rules
    classes = np.zeros((shape[0], len(limits), shape[1]), np.int64)
    tissues = np.zeros((shape[0], len(limits), N_TISSUES, N_TISSUES), np.int64)
    far = limits[-1]
    reach = np.sqrt(far)
    for i in range(span[0], span[1]):
        x, y, block = grid.x[i], grid.y[i], own[i - span[0]]
        r0, r1, c0, c1 = bin_span(grid, x, y, reach)
        for row in range(r0, r1):
            for j in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
                dx, dy = grid.x[j] - x, grid.y[j] - y
                d2 = dx * dx + dy * dy
                if d2 <= far and j != i:
                    q = 0
                    while d2 > limits[q]:
                        q += 1
                    tissues[block, q, tissue[i], tissue[j]] += 1
                    k = place[label[i], label[j]]
                    if k >= 0:
                        classes[block, q, k] += 1
    return classes, tissues
