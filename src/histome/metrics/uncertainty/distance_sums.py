"""The sums over blocks of tissue behind pairs of cells, and of points, by distance."""

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
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import Lattice
from histome.metrics.uncertainty.blocks import Blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TISSUE_PAIRS = [(s, t) for s in range(N_TISSUES) for t in range(N_TISSUES)]


class BlockPairs(NamedTuple):
    """Pairs within each of FAR_RADII_UM by the block of one of the two."""

    of_classes: Floats  # (blocks, radii, pairs): unordered
    of_tissues: Floats  # (blocks, radii, 5, 5): ordered, cells of any class
    of_points_um4: Floats  # (blocks, radii, 5, 5): ordered, points of the tissues


def block_pairs(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]]) -> BlockPairs:
    """Count the pairs of `PairTables` by block, of the pairs of classes given."""
    near_classes, near_tissues = _near(specimen, blocks, pairs)
    far_classes, far_tissues = _far(specimen, blocks, pairs)
    points = [
        _sums_by_block((lattice, fields), radii, blocks, _TISSUE_PAIRS)[0]
        for lattice, fields, radii in point_fields(specimen.maps)
    ]
    return BlockPairs(
        np.concatenate([near_classes, far_classes], axis=1),
        np.concatenate([near_tissues, far_tissues], axis=1),
        _by_tissues(np.concatenate(points, axis=1)),
    )


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
    for part in within_discs(fields, [radius / lattice.size_um for radius in radii_um]):
        row, column = np.nonzero(part.own.any(axis=0))
        block = blocks.at(
            lattice.left_um + (part.column + column.astype(np.float64) + 0.5) * lattice.size_um,
            lattice.top_um + (part.row + row.astype(np.float64) + 0.5) * lattice.size_um,
        )
        values, around = part.own[:, row, column], part.around[:, :, row, column]
        for field, value in enumerate(values):
            own[:, field] += np.bincount(block, weights=value, minlength=len(blocks))
        for k, (first, second) in enumerate(pairs):
            if values[first].any():
                for q in range(len(radii_um)):
                    weights = values[first] * around[q, second]
                    found[:, q, k] += np.bincount(block, weights=weights, minlength=len(blocks))
    return found, own


def _far(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """Return pairs beyond 100 um of classes (blocks, radii, pairs) and tissues (blocks, radii, 5, 5)."""
    tissues = [(N_CELL_CLASSES + s, N_CELL_CLASSES + t) for s, t in _TISSUE_PAIRS]
    found, own = _sums_by_block(cell_fields(specimen), FAR_UM, blocks, [*pairs, *tissues])
    for k, (first, second) in enumerate((*pairs, *tissues)):
        if first == second:  # no cell is its own neighbor
            found[:, :, k] -= own[:, None, first]
    orders = np.array([1 + (first == second) for first, second in pairs])
    return found[:, :, : len(pairs)] / orders, _by_tissues(found[:, :, len(pairs) :])


def _near(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """Return pairs up to 100 um of classes (blocks, radii, pairs) and tissues (blocks, radii, 5, 5)."""
    inside = specimen.nucleated >= 0
    grid = build_grid(specimen.cells.x_um[inside], specimen.cells.y_um[inside], NEAR_UM[-1] / 4)
    marks = (specimen.cells.label, specimen.nucleated, blocks.of_cell)
    label, tissue, owner = (each[inside][grid.order] for each in marks)
    place = np.full((N_CELL_CLASSES, N_CELL_CLASSES), -1, np.int64)
    for k, (a, b) in enumerate(pairs):
        place[a, b] = place[b, a] = k
    limits = np.asarray(NEAR_UM, float) ** 2
    of_classes = np.zeros((len(blocks), len(limits), len(pairs)))
    of_tissues = np.zeros((len(blocks), len(limits), N_TISSUES, N_TISSUES))

    def count(lo: int, hi: int) -> tuple[Ints, ...]:
        # A chunk of neighbors lies in few blocks.
        here, own = np.unique(owner[lo:hi], return_inverse=True)
        shape = (len(here), len(pairs))
        return here, *_later_pairs(grid, (label, tissue, own), (limits, place), (lo, hi), shape)

    workers = specimen.maps.workers
    for here, classes, tissues in run_chunks(count, len(label), workers=workers):
        of_classes[here] += classes.cumsum(axis=1)
        within = tissues.cumsum(axis=1)
        of_tissues[here] += within + np.swapaxes(within, -1, -2)
    return of_classes, of_tissues


@njit(cache=True, nogil=True)
def _later_pairs(grid, marks, rules, span, shape):
    """Count pairs of the sorted cells of `span` with later cells by block, ring, and classes or tissues."""
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
            first = max(grid.start[row * grid.cols + c0], i + 1)
            for j in range(first, grid.start[row * grid.cols + c1]):
                dx, dy = grid.x[j] - x, grid.y[j] - y
                d2 = dx * dx + dy * dy
                if d2 <= far:
                    q = 0
                    while d2 > limits[q]:
                        q += 1
                    tissues[block, q, tissue[i], tissue[j]] += 1
                    k = place[label[i], label[j]]
                    if k >= 0:
                        classes[block, q, k] += 1
    return classes, tissues
