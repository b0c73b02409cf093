"""The sums over blocks of tissue behind pairs of cells, and of points, by distance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.randomness.discs import within_discs
from histome.metrics.randomness.pair_tables import (
    FAR_UM,
    N_TISSUES,
    NEAR_UM,
    PIXEL_UM,
    cell_fields,
    point_fields,
)
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import Lattice, centers_of
from histome.metrics.uncertainty.blocks import Blocks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        _tissue_pairs(fields, _block_of_pixels(blocks, lattice), len(blocks), radius / lattice.size_um)
        for lattice, fields, radii in point_fields(specimen.maps)
        for radius in radii
    ]
    return BlockPairs(
        np.concatenate([near_classes, far_classes], axis=1),
        np.concatenate([near_tissues, far_tissues], axis=1),
        np.stack(points, axis=1),
    )


def _block_of_pixels(blocks: Blocks, lattice: Lattice) -> Ints:
    """Return the block of each pixel, by its center, (pixels,)."""
    return blocks.at(*(each.ravel() for each in centers_of(lattice)))


def _summed(field: Floats, block: Ints, n_blocks: int) -> Floats:
    return np.asarray(np.bincount(block, weights=field.ravel(), minlength=n_blocks), np.float64)


def _tissue_pairs(fields: Floats, block: Ints, n_blocks: int, radius_px: float) -> Floats:
    """Return the ordered pairs of pixels by the block of the first, (blocks, 5, 5)."""
    found = np.zeros((n_blocks, len(fields), len(fields)))
    for t, around in enumerate(within_discs(fields, radius_px)):
        for s, own in enumerate(fields):
            if own.any():
                found[:, s, t] = _summed(own * around, block, n_blocks)
    return found


def _far(specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """Return pairs beyond 100 um of classes (blocks, radii, pairs) and tissues (blocks, radii, 5, 5)."""
    lattice, fields = cell_fields(specimen)
    block, n = _block_of_pixels(blocks, lattice), len(blocks)
    classes, tissues = fields[:N_CELL_CLASSES], fields[N_CELL_CLASSES:]
    own_tissue = np.stack([_summed(field, block, n) for field in tissues], axis=-1)
    of_classes, of_tissues = np.zeros((n, len(FAR_UM), len(pairs))), []
    for k, radius in enumerate(FAR_UM):
        for b, around in enumerate(within_discs(classes, radius / PIXEL_UM)):
            for place, (first, second) in enumerate(pairs):
                if second == b:
                    same = first == second  # no cell is its own neighbor, and both orders are one pair
                    found = _summed(classes[first] * (around - same), block, n)
                    of_classes[:, k, place] = found / (1 + same)
        table = _tissue_pairs(tissues, block, n, radius / PIXEL_UM)
        of_tissues.append(table - own_tissue[:, :, None] * np.eye(N_TISSUES))
    return of_classes, np.stack(of_tissues, axis=1)


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
