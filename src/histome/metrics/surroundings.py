"""Who is near whom: surroundings of a class of cells in a place, and its neighbors of every class.

A place is one of the five nucleated tissues or, last, the whole tumor region. The neighbors of a center may
lie anywhere; a cell is not its own neighbor; a cell at exactly the radius is a neighbor.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES
from histome.geometry.discs import union_area
from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.axes import RADII_UM
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks

N_PLACES = len(NUCLEATED_TISSUES) + 1
_TUMOR = N_PLACES - 1
_GROUPS = N_CELL_CLASSES * N_PLACES


class Surroundings(NamedTuple):
    """What lies around the centers; axes: neighbor class (9), center class (9), place (6), radius (2)."""

    centers: NDArray[np.int64]  # (center, place): how many
    area_um2: NDArray[np.float64]  # (center, place, radius): union of discs
    touched: NDArray[np.int64]  # (neighbor, center, place, radius): cells within the radius of a center
    with_neighbor: NDArray[np.int64]  # (neighbor, center, place, radius): centers with such a neighbor
    distance_um: NDArray[np.float64]  # the same, summed distance of those centers to the nearest such


def surroundings(specimen: Specimen) -> Surroundings:
    """Measure all centers, places and radii of a specimen; linear in cells but for the tree's logarithm."""
    places = specimen.for_now(places_of)
    touched = _touched(specimen)
    limits = np.asarray(RADII_UM, float) ** 2
    shape = (N_CELL_CLASSES, N_CELL_CLASSES, N_PLACES, len(RADII_UM))
    with_neighbor, distance_um = np.zeros(shape, np.int64), np.zeros(shape)
    for neighbor, squared in enumerate(specimen.nearest_squared):
        _add_nearest(
            squared, (specimen.cells.label, places), limits, (with_neighbor[neighbor], distance_um[neighbor])
        )
    centers = np.zeros(shape[1:3], np.int64)
    for place in range(N_PLACES):
        centers[:, place] = np.bincount(specimen.cells.label[places[:, place]], minlength=N_CELL_CLASSES)
    return Surroundings(centers, _areas(specimen, places), touched, with_neighbor, distance_um)


def in_tissues(specimen: Specimen) -> Surroundings:
    """Return the surroundings of the centers in the nucleated tissues."""
    return _at(specimen.once(surroundings), slice(_TUMOR))


def in_tumor_region(specimen: Specimen) -> Surroundings:
    """Return the surroundings of the centers in the whole tumor region."""
    return _at(specimen.once(surroundings), _TUMOR)


class SurroundingsPerBlock(NamedTuple):
    """Sums per block of what `Surroundings` holds, (blocks, neighbor, center, place, radius).

    A center is counted in its own block, a cell that is touched in its own too. `area_mm2` is that of the
    places, (blocks, 1, 1, place, 1).
    """

    touched: NDArray[np.int64]
    with_neighbor: NDArray[np.int64]
    distance_um: NDArray[np.float64]
    area_mm2: NDArray[np.float64]

    def at(self, place: int | slice) -> "SurroundingsPerBlock":
        """Return the sums in one place or some places."""
        return SurroundingsPerBlock(
            self.touched[:, :, :, place],
            self.with_neighbor[:, :, :, place],
            self.distance_um[:, :, :, place],
            self.area_mm2[:, :, :, place],
        )


def surroundings_per_block(specimen: Specimen, blocks: Blocks) -> SurroundingsPerBlock:
    """Return the sums per block of all centers, places and radii."""
    code = blocks.of_cell * N_CELL_CLASSES + specimen.cells.label
    touched = np.zeros((len(blocks) * N_CELL_CLASSES, _GROUPS, len(RADII_UM)), np.int64)
    _count_groups(specimen.for_now(near_groups), code, touched)
    touched = _unfolded(touched.reshape(len(blocks), N_CELL_CLASSES, _GROUPS, len(RADII_UM)))
    shape = (N_CELL_CLASSES, len(blocks) * N_CELL_CLASSES, N_PLACES, len(RADII_UM))
    with_neighbor, distance_um = np.zeros(shape, np.int64), np.zeros(shape)
    for neighbor, squared in enumerate(specimen.nearest_squared):
        cells, sums = (code, specimen.for_now(places_of)), (with_neighbor[neighbor], distance_um[neighbor])
        _add_nearest(squared, cells, np.asarray(RADII_UM, float) ** 2, sums)
    per_block = (N_CELL_CLASSES, len(blocks), *touched.shape[2:])
    tissues = blocks.tissue_mm2[:, list(specimen.maps.nucleated_codes)]
    area = np.column_stack([tissues, blocks.zones_mm2()[:, -1]])
    return SurroundingsPerBlock(
        touched,
        with_neighbor.reshape(per_block).swapaxes(0, 1),
        distance_um.reshape(per_block).swapaxes(0, 1),
        area[:, None, None, :, None],
    )


def in_tissues_per_block(specimen: Specimen, blocks: Blocks) -> SurroundingsPerBlock:
    """Return the sums per block of the centers in the nucleated tissues."""
    return specimen.for_now(surroundings_per_block, blocks).at(slice(_TUMOR))


def in_tumor_region_per_block(specimen: Specimen, blocks: Blocks) -> SurroundingsPerBlock:
    """Return the sums per block of the centers in the whole tumor region."""
    return specimen.for_now(surroundings_per_block, blocks).at(_TUMOR)


def _at(around: Surroundings, place: int | slice) -> Surroundings:
    """Return the surroundings in one place or some places."""
    return Surroundings(
        around.centers[:, place],
        around.area_um2[:, place],
        around.touched[:, :, place],
        around.with_neighbor[:, :, place],
        around.distance_um[:, :, place],
    )


def places_of(specimen: Specimen) -> NDArray[np.bool_]:
    """Return whether each cell is in each place, (n, 6)."""
    places = np.zeros((len(specimen.cells), N_PLACES), np.bool_)
    places[:, :_TUMOR] = specimen.nucleated[:, None] == np.arange(_TUMOR)
    places[:, _TUMOR] = specimen.in_tumor_region
    return places


def _areas(specimen: Specimen, places: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the union of discs per center class, place and radius, um2."""
    area_um2 = np.zeros((N_CELL_CLASSES, N_PLACES, len(RADII_UM)))
    for center in range(N_CELL_CLASSES):
        of_class = specimen.cells.label == center
        for place in np.flatnonzero(places[of_class].any(axis=0)):
            rows = of_class & places[:, place]
            for q, radius in enumerate(RADII_UM):
                area_um2[center, place, q] = union_area(
                    specimen.cells.x_um[rows],
                    specimen.cells.y_um[rows],
                    radius,
                    workers=specimen.maps.workers,
                )
    return area_um2


def _touched(specimen: Specimen) -> NDArray[np.int64]:
    """Count, per class, the cells within each radius of another cell that is a center in a place."""
    near = specimen.for_now(near_groups)
    table = np.zeros((N_CELL_CLASSES, _GROUPS, len(RADII_UM)), np.int64)
    _count_groups(near, specimen.cells.label, table)
    return _unfolded(table)


def _unfolded(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (..., class x place, radius) as (..., class, place, radius)."""
    return table.reshape(*table.shape[:-2], N_CELL_CLASSES, N_PLACES, len(RADII_UM))


def near_groups(specimen: Specimen) -> NDArray[np.uint64]:
    """Return which groups have another cell within each radius of each cell, (n, radii).

    A group is a class in a place: one bit for each.
    """
    cells, places = specimen.cells, specimen.for_now(places_of)
    grid = build_grid(cells.x_um, cells.y_um, RADII_UM[-1] / 2)
    # One bit for each (class, place): 54 of 64.
    first, bits = (cells.label * N_PLACES).astype(np.uint64), np.zeros(len(cells), np.uint64)
    for place in range(N_PLACES):
        inside = places[:, place]
        bits[inside] |= np.left_shift(np.uint64(1), first[inside] + np.uint64(place))
    bits = bits[grid.order]
    limits = np.asarray(RADII_UM, float) ** 2
    near = np.zeros((len(cells), len(RADII_UM)), np.uint64)
    run_chunks(
        lambda lo, hi: _find_near(grid, bits, limits, (lo, hi), near),
        len(cells),
        workers=specimen.maps.workers,
    )
    return near


@njit(cache=True, nogil=True)
def _find_near(grid, bits, limits, span, found):
    """Set found[cell, radius] to the groups that have a member within the radius of each cell of `span`."""
    n_radii = len(limits)
    near = np.zeros(n_radii, np.uint64)
    reach = np.sqrt(limits[n_radii - 1])
    for i in range(span[0], span[1]):
        near[:] = 0
        x, y = grid.x[i], grid.y[i]
        r0, r1, c0, c1 = bin_span(grid, x, y, reach)
        for row in range(r0, r1):
            for j in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
                dx, dy = grid.x[j] - x, grid.y[j] - y
                d2 = dx * dx + dy * dy
                if j != i:
                    for q in range(n_radii):
                        if d2 <= limits[q]:
                            near[q] |= bits[j]
        found[grid.order[i]] = near


@njit(cache=True, nogil=True)
def _count_groups(near, code, table):
    """Add to table[code, group, radius] the cells that are near the group."""
    for i in range(len(near)):
        for q in range(near.shape[1]):
            left = near[i, q]
            group = 0
            while left:
                if left & np.uint64(1):
                    table[code[i], group, q] += 1
                left >>= np.uint64(1)
                group += 1


@njit(cache=True, nogil=True)
def _add_nearest(squared, cells, limits, sums):
    """Add each center with its nearest neighbor of one class to (counts, distances)[class, place, radius]."""
    label, places = cells
    counts, distances = sums
    for i in range(len(squared)):
        for q in range(len(limits)):
            if squared[i] <= limits[q]:
                distance = np.sqrt(squared[i])
                for place in range(places.shape[1]):
                    if places[i, place]:
                        counts[label[i], place, q] += 1
                        distances[label[i], place, q] += distance
