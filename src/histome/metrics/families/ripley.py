"""Second-order and nearest-neighbor statistics in the window of nucleated tissue (families S1, S2, S3)."""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.axes import L_RADII_UM, RADII_UM
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene

SMALLEST_SAMPLE = 20
_PAIRS = (N_CELL_CLASSES, N_CELL_CLASSES)


def nearest_distances(scene: Scene) -> Mapping[str, Values]:
    """Measure the distance to the nearest other cell of each class, um; n is the number of centers.

    Mean, median and SD (n - 1); Clark and Evans 1954, doi:10.2307/1931034, without border correction.
    """
    numbers = np.full((3, *_PAIRS), np.nan)
    n = np.zeros(_PAIRS, np.int64)
    for center in range(N_CELL_CLASSES):
        rows = np.flatnonzero(scene.cells.label == center)
        for neighbor in range(N_CELL_CLASSES):
            distance = np.sqrt(scene.nearest_squared[neighbor, rows])
            if not len(rows) or not np.isfinite(distance[0]):  # all are finite or none is
                continue
            n[neighbor, center] = len(rows)
            sd = distance.std(ddof=1) if len(rows) > 1 else np.nan
            numbers[:, neighbor, center] = distance.mean(), np.median(distance), sd
    nulls = _no_pair(scene)
    one = (n == 1, "there is one of the {center} only")
    return {
        "NN_DISTANCE_MEAN_OF_{neighbor}_FROM_{center}": values(numbers[0], n, *nulls),
        "NN_DISTANCE_MEDIAN_OF_{neighbor}_FROM_{center}": values(numbers[1], n, *nulls),
        "NN_DISTANCE_SD_OF_{neighbor}_FROM_{center}": values(numbers[2], n, *nulls, one),
    }


def cross_g(scene: Scene) -> Mapping[str, Values]:
    """Measure the share of centers with a neighbor within a radius; n is the number of centers.

    The cross-type G function without border correction (Diggle 2013).
    """
    limits = np.asarray(RADII_UM, float) ** 2
    counts = np.zeros((*_PAIRS, len(RADII_UM)), np.int64)
    for neighbor, squared in enumerate(scene.nearest_squared):
        for q, limit in enumerate(limits):
            near = scene.cells.label[squared <= limit]
            counts[neighbor, :, q] = np.bincount(near, minlength=N_CELL_CLASSES)
    n = np.broadcast_to(scene.class_counts[None, :, None], counts.shape)
    return {
        "CROSS_G_{neighbor}_FROM_{center}_{radius}": values(
            quotient(counts, n), n, (n == 0, "there are no {center}")
        )
    }


def cross_l(scene: Scene) -> Mapping[str, Values]:
    """Measure L(R) - R of each class around each, um; n is the number of centers far enough from the border.

    K(R) = A x pairs / (centers x neighbors) over the centers at least R inside the window of nucleated tissue
    (reduced sample; Ripley 1988, doi:10.1017/CBO9780511624131; spatstat's Kcross with the border correction);
    of one class, the neighbors are one fewer. A neighbor at exactly R counts.
    """
    window = scene.nucleated >= 0
    border_um = scene.per_cell(border_distance)[window]
    cells = scene.cells.select(window)
    pairs, centers = _count_pairs(
        cells.x_um, cells.y_um, (cells.label, border_um), workers=scene.ground.workers
    )
    counts = np.bincount(cells.label, minlength=N_CELL_CLASSES)
    neighbors = counts[:, None] - np.eye(N_CELL_CLASSES, dtype=np.int64)
    k = scene.ground.nucleated_um2.sum() * quotient(pairs, centers[None] * neighbors[:, :, None])
    n = np.broadcast_to(centers[None], pairs.shape)
    return {
        "CROSS_L_{neighbor}_{center}_{l_radius}": values(
            np.sqrt(k / np.pi) - np.asarray(L_RADII_UM, float),
            n,
            (neighbors[:, :, None] <= 0, "there are no other {neighbor} in nucleated tissue"),
            (
                n < SMALLEST_SAMPLE,
                "fewer than 20 {center} lie at least {l_radius} um from the border of the nucleated tissue",
            ),
        )
    }


def border_distance(scene: Scene) -> NDArray[np.float64]:
    """Return each cell's distance to the border of the nucleated tissue, um; 0 outside it."""
    ground = scene.ground
    rows, columns, inside = ground.pixel_of(scene.cells.x_um, scene.cells.y_um)
    distance = np.zeros(len(scene.cells))
    distance[inside] = ground.distance_to_border().at(rows[inside], columns[inside]) * ground.tissue.mpp
    return distance


def _no_pair(scene: Scene) -> tuple[tuple[NDArray[np.bool_], str], ...]:
    """Return the reasons why there is no distance between two classes, (neighbor, center)."""
    counts = scene.class_counts
    others = counts[:, None] - np.eye(N_CELL_CLASSES, dtype=np.int64)
    return (
        (np.broadcast_to(counts == 0, _PAIRS), "there are no {center}"),
        (others <= 0, "there are no other {neighbor}"),
    )


def _count_pairs(
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    marks: tuple[NDArray[np.int64], NDArray[np.float64]],
    *,
    workers: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (neighbor, center, radius) and centers (center, radius) a radius inside the border."""
    radii = np.asarray(L_RADII_UM, float)
    grid = build_grid(x_um, y_um, radii[-1] / 2)
    label, border = marks[0][grid.order], marks[1][grid.order]
    parts = run_chunks(
        lambda lo, hi: _pairs_of_span(grid, (label, border), radii, (lo, hi)), len(x_um), workers=workers
    )
    shape = (*_PAIRS, len(radii))
    pairs = np.sum([np.zeros(shape, np.int64), *(part[0] for part in parts)], axis=0)
    centers = np.sum([np.zeros(shape[1:], np.int64), *(part[1] for part in parts)], axis=0)
    return pairs, centers


@njit(cache=True, nogil=True)
def _pairs_of_span(grid, marks, radii, span):
    """Count the pairs of the centers of `span` by neighbor class, center class and radius, cumulative."""
    label, border = marks
    n_radii = len(radii)
    limits = radii * radii
    pairs = np.zeros((N_CELL_CLASSES, N_CELL_CLASSES, n_radii), np.int64)
    centers = np.zeros((N_CELL_CLASSES, n_radii), np.int64)
    seen = np.zeros((N_CELL_CLASSES, n_radii), np.int64)
    for i in range(span[0], span[1]):
        usable = 0
        while usable < n_radii and border[i] >= radii[usable]:
            usable += 1
        if usable == 0:
            continue
        seen[:] = 0
        x, y = grid.x[i], grid.y[i]
        far = limits[usable - 1]
        r0, r1, c0, c1 = bin_span(grid, x, y, radii[usable - 1])
        for row in range(r0, r1):
            for j in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
                dx, dy = grid.x[j] - x, grid.y[j] - y
                d2 = dx * dx + dy * dy
                if d2 <= far and j != i:
                    q = 0
                    while d2 > limits[q]:
                        q += 1
                    seen[label[j], q] += 1
        for q in range(usable):
            centers[label[i], q] += 1
        for k in range(N_CELL_CLASSES):
            total = 0
            for q in range(usable):
                total += seen[k, q]
                pairs[k, label[i], q] += total
    return pairs, centers
