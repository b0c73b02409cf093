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

N_PLACES = len(NUCLEATED_TISSUES) + 1
_TUMOR = N_PLACES - 1


class Surroundings(NamedTuple):
    """What lies around the centers; axes: neighbor class (9), center class (9), place (6), radius (2)."""

    centers: NDArray[np.int64]  # (center, place): how many
    area_um2: NDArray[np.float64]  # (center, place, radius): union of discs
    touched: NDArray[np.int64]  # (neighbor, center, place, radius): cells within the radius of a center
    with_neighbor: NDArray[np.int64]  # (neighbor, center, place, radius): centers with such a neighbor
    distance_um: NDArray[np.float64]  # the same, summed distance of those centers to the nearest such


def surroundings(specimen: Specimen) -> Surroundings:
    """Measure all centers, places and radii of a specimen; linear in cells but for the tree's logarithm."""
    places = _places(specimen)
    touched = _touched(specimen, places)
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


def _at(around: Surroundings, place: int | slice) -> Surroundings:
    """Return the surroundings in one place or some places."""
    return Surroundings(
        around.centers[:, place],
        around.area_um2[:, place],
        around.touched[:, :, place],
        around.with_neighbor[:, :, place],
        around.distance_um[:, :, place],
    )


def _places(specimen: Specimen) -> NDArray[np.bool_]:
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


def _touched(specimen: Specimen, places: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count, per class, the cells within each radius of another cell that is a center in a place."""
    cells = specimen.cells
    grid = build_grid(cells.x_um, cells.y_um, RADII_UM[-1] / 2)
    # One bit for each (class, place): 54 of 64.
    groups = np.left_shift(
        np.uint64(1), (cells.label[:, None] * N_PLACES + np.arange(N_PLACES)).astype(np.uint64)
    )
    bits = np.bitwise_or.reduce(np.where(places, groups, np.uint64(0)), axis=1)[grid.order]
    limits = np.asarray(RADII_UM, float) ** 2
    label = cells.label[grid.order]
    shape = (N_CELL_CLASSES, N_CELL_CLASSES * N_PLACES, len(RADII_UM))
    parts = run_chunks(
        lambda lo, hi: _count_touched(grid, (bits, label), limits, (lo, hi), np.zeros(shape, np.int64)),
        len(cells),
        workers=specimen.maps.workers,
    )
    total = np.sum([np.zeros(shape, np.int64), *parts], axis=0)
    return total.reshape(N_CELL_CLASSES, N_CELL_CLASSES, N_PLACES, len(RADII_UM))


@njit(cache=True, nogil=True)
def _count_touched(grid, cells, limits, span, table):
    """Add to table[class, group, radius] the cells of `span` with a member of the group within the radius."""
    bits, label = cells
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
        for q in range(n_radii):
            left = near[q]
            group = 0
            while left:
                if left & np.uint64(1):
                    table[label[i], group, q] += 1
                left >>= np.uint64(1)
                group += 1
    return table


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
