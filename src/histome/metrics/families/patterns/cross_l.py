"""Attraction of two classes: Ripley's L in the window of nucleated tissue."""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.axes import L_RADII_UM
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.distances import to_border
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen

_FEWEST = 20
_NO_OTHER = "there are no other {neighbor} in nucleated tissue"
_FEW = f"fewer than {_FEWEST} {{center}} lie at least {{l_radius}} um from the border of the nucleated tissue"
_PAIRS = (N_CELL_CLASSES, N_CELL_CLASSES)

TEMPLATES = in_loops(
    ("neighbor", "center", "l_radius"),
    Template(
        "CROSS_L_{neighbor}_{center}_{l_radius}",
        "um",
        "L({l_radius} um) - {l_radius} um of {neighbor} around {center}",
        (_NO_OTHER, _FEW),
        UNBOUNDED,
        smallest_sample=_FEWEST,
        counts="{center} at least {l_radius} um inside the nucleated tissue",
    ),
)


def cross_l(specimen: Specimen) -> Mapping[str, Result]:
    """Measure L(R) - R of each class around each, um; n is the number of centers far enough from the border.

    K(R) = A x pairs / (centers x neighbors) over the centers at least R inside the window of nucleated tissue
    (reduced sample; Ripley 1988, doi:10.1017/CBO9780511624131; spatstat's Kcross with the border correction);
    of one class, the neighbors are one fewer. A neighbor at exactly R counts.
    """
    window = specimen.nucleated >= 0
    border_um = specimen.per_cell(to_border)[window]
    cells = specimen.cells.select(window)
    pairs, centers = _count_pairs(
        cells.x_um, cells.y_um, (cells.label, border_um), workers=specimen.maps.workers
    )
    counts = np.bincount(cells.label, minlength=N_CELL_CLASSES)
    neighbors = counts[:, None] - np.eye(N_CELL_CLASSES, dtype=np.int64)
    k = specimen.maps.nucleated_um2.sum() * quotient(pairs, centers[None] * neighbors[:, :, None])
    n = np.broadcast_to(centers[None], pairs.shape)
    return {
        "CROSS_L_{neighbor}_{center}_{l_radius}": result(
            np.sqrt(k / np.pi) - np.asarray(L_RADII_UM, float),
            n,
            (neighbors[:, :, None] <= 0, _NO_OTHER),
            (n < _FEWEST, _FEW),
        )
    }


FAMILY = Family(
    "cross-l",
    "Cross L",
    "L - R with L = sqrt(K / pi); K = window area x pairs within R / (centers x neighbors), over centers at "
    "least R from the border of the window (reduced sample); the window is the nucleated tissue. 0 at "
    "random, above for attraction.",
    TEMPLATES,
    cross_l,
    source="Ripley 1988, doi:10.1017/CBO9780511624131; reduced sample as in spatstat "
    "Kcross(correction='border')",
    null_model="complete spatial randomness over one window, the whole nucleated tissue: classes that share "
    "a tissue come out as attracted, and those of different tissues as apart, without any interaction",
    alias="S3",
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
