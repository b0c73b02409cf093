"""How many pairs of cells, and how much tissue, lie within distances of 20 to 500 um of each other."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES
from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.axes import FAR_RADII_UM
from histome.metrics.maps import TissueMaps
from histome.metrics.randomness.discs import FieldRows, sums_in_discs
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import Lattice, lattice_over, mm2_per_tile, tile_of

N_TISSUES = len(NUCLEATED_TISSUES)
# Up to here cells are paired one by one; the neighbors of a cell grow with the square of the radius.
NEAR_UM = tuple(radius for radius in FAR_RADII_UM if radius <= 100)
FAR_UM = FAR_RADII_UM[len(NEAR_UM) :]
# Pixels of the sums beyond: an eighth of the smallest radius there.
PIXEL_UM = 25.0
_ROWS = 64


class PairTables(NamedTuple):
    """Ordered pairs within each of FAR_RADII_UM, of the cells in nucleated tissue and of its points.

    Beyond 100 um cells are paired by the probability that they are so near, given their pixels of 25 um.
    """

    of_classes: NDArray[np.float64]  # (radii, 9, 9)
    of_tissues: NDArray[np.float64]  # (radii, 5, 5): cells of any class
    of_points_um4: NDArray[np.float64]  # (radii, 5, 5): integral of the set cross-covariance over the disc


def pair_tables(specimen: Specimen) -> PairTables:
    """Count the pairs of a specimen; near-linear in cells, linear in area."""
    near = _near(specimen).reshape(len(NEAR_UM), N_CELL_CLASSES, N_TISSUES, N_CELL_CLASSES, N_TISSUES)
    far = _far(specimen)
    first, last = slice(0, N_CELL_CLASSES), slice(N_CELL_CLASSES, None)
    return PairTables(
        np.concatenate([near.sum(axis=(2, 4)), far[:, first, first]]),
        np.concatenate([near.sum(axis=(1, 3)), far[:, last, last]]),
        specimen.maps.once(point_pairs),
    )


def point_pairs(maps: TissueMaps) -> NDArray[np.float64]:
    """Return the integrals of the tissues' set cross-covariances over discs, um4, (radii, 5, 5)."""
    return np.concatenate(
        [
            sums_in_discs(fields, [radius / lattice.size_um for radius in radii])
            for lattice, fields, radii in point_fields(maps)
        ]
    )


def point_fields(maps: TissueMaps) -> Iterator[tuple[Lattice, FieldRows, tuple[int, ...]]]:
    """Yield the pixels that points are paired on, um2 of each tissue in them, and for which radii.

    Those beyond 100 um are summed up while the first are asked for, all of which are.
    """
    coarse = lattice_over(maps, PIXEL_UM)
    fine = Lattice(PIXEL_UM / 2, 2 * coarse.rows, 2 * coarse.columns, coarse.top_um, coarse.left_um)
    merged = np.zeros((N_TISSUES, coarse.rows, coarse.columns))

    @lru_cache(maxsize=1)
    def rows(lo: int, hi: int) -> NDArray[np.float64]:
        rows.cache_clear()  # two strips are not held at once
        strip = np.empty((N_TISSUES, hi - lo, fine.columns))
        for top in range(lo, hi, _ROWS):  # areas of all codes are twice as much as the strip
            end = min(top + _ROWS, hi)
            area_mm2 = mm2_per_tile(maps.tissue, fine, (top, end))
            strip[:, top - lo : end - lo] = np.moveaxis(1e6 * area_mm2[..., maps.nucleated_codes], -1, 0)
        first, end = -(-lo // 2), hi // 2  # whole rows of coarse pixels: the strips overlap
        own = strip[:, 2 * first - lo : 2 * end - lo]
        merged[:, first:end] = own.reshape(N_TISSUES, end - first, 2, coarse.columns, 2).sum(axis=(2, 4))
        return strip

    shape = (N_TISSUES, fine.rows, fine.columns)
    yield fine, FieldRows(shape, lambda lo, hi, across: rows(lo, hi)[:, :, across].copy()), NEAR_UM
    rows.cache_clear()
    yield coarse, FieldRows.of(merged), FAR_UM


def _far(specimen: Specimen) -> NDArray[np.float64]:
    """Return the pairs beyond 100 um by class and, behind the classes, by tissue, (radii, 14, 14)."""
    _, fields = cell_fields(specimen)
    pairs = sums_in_discs(fields, [radius / PIXEL_UM for radius in FAR_UM])
    each = np.arange(N_CELL_CLASSES + N_TISSUES)
    # No cell is its own neighbor.
    pairs[:, each, each] -= np.concatenate(
        [specimen.tissue_counts.sum(axis=1), specimen.tissue_counts.sum(axis=0)]
    )
    return pairs.round(3)  # the rounding errors of the transform


def cell_fields(specimen: Specimen) -> tuple[Lattice, FieldRows]:
    """Return the pixels that far cells are paired on, and the cells of each class, then tissue, in them."""
    lattice = lattice_over(specimen.maps, PIXEL_UM)
    inside = specimen.nucleated >= 0
    places = tile_of(lattice, specimen.cells.x_um[inside], specimen.cells.y_um[inside])
    row, column = (each.astype(np.int32) for each in places)
    kinds = [
        each[inside].astype(np.int8) for each in (specimen.cells.label, N_CELL_CLASSES + specimen.nucleated)
    ]
    del places, inside  # what is held while the fields are asked for is 10 bytes a cell
    shape = (N_CELL_CLASSES + N_TISSUES, lattice.rows, lattice.columns)

    def part(lo: int, hi: int, across: slice) -> NDArray[np.float64]:
        left, right, _ = across.indices(lattice.columns)
        here = np.flatnonzero((row >= lo) & (row < hi) & (column >= left) & (column < right))
        fields = np.zeros((shape[0], hi - lo, right - left))
        for kind in kinds:
            np.add.at(fields, (kind[here], row[here] - lo, column[here] - left), 1)
        return fields

    return lattice, FieldRows(shape, part)


def _near(specimen: Specimen) -> NDArray[np.float64]:
    """Return the pairs up to 100 um by class and tissue of both cells, (radii, 45, 45)."""
    cells, inside = specimen.cells, specimen.nucleated >= 0
    code = (cells.label * N_TISSUES + specimen.nucleated).astype(np.int8)[inside]
    grid = build_grid(cells.x_um[inside], cells.y_um[inside], NEAR_UM[-1] / 4)
    code = code[grid.order]
    limits = np.asarray(NEAR_UM, float) ** 2
    kinds = N_CELL_CLASSES * N_TISSUES
    parts = run_chunks(
        lambda lo, hi: _later_pairs(grid, code, limits, (lo, hi), kinds),
        len(code),
        workers=specimen.maps.workers,
    )
    later = np.sum([np.zeros((len(limits), kinds, kinds), np.int64), *parts], axis=0).cumsum(axis=0)
    return (later + later.transpose(0, 2, 1)).astype(np.float64)


@njit(cache=True, nogil=True)
def _later_pairs(grid, code, limits, span, kinds):
    """Count the pairs of the sorted cells of `span` with later cells by ring and code of both."""
    table = np.zeros((len(limits), kinds, kinds), np.int64)
    far = limits[-1]
    reach = np.sqrt(far)
    for i in range(span[0], span[1]):
        x, y, own = grid.x[i], grid.y[i], code[i]
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
                    table[q, own, code[j]] += 1
    return table
