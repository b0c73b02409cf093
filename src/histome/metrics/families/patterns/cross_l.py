"""Attraction of two classes: Ripley's L in the window of nucleated tissue."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from histome.geometry.grid import bin_span, build_grid, run_chunks
from histome.metrics.axes import L_RADII_UM
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.distances import to_border
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums

_FEWEST = 20
_NO_OTHER = "there are no other {neighbor} in nucleated tissue"
_FEW = f"fewer than {_FEWEST} {{center}} lie at least {{l_radius}} um from the border of the nucleated tissue"

TEMPLATES = in_loops(
    ("neighbor", "center", "l_radius"),
    Template(
        "CROSS_L_{neighbor}_{center}_{l_radius}",
        "um",
        "L({l_radius} um) - {l_radius} um of {neighbor} around {center}",
        (_NO_OTHER, _FEW),
        UNBOUNDED,
        smallest_sample=_FEWEST,
        along="l_radius",
        counts="{center} at least {l_radius} um inside the nucleated tissue",
    ),
)


def cross_l(specimen: Specimen) -> Mapping[str, Result]:
    """Measure L(R) - R of each class around each, um; n is the number of centers far enough from the border.

    K(R) = A x pairs / (centers x neighbors) over the centers at least R inside the window of nucleated tissue
    (reduced sample; Ripley 1988, doi:10.1017/CBO9780511624131; spatstat's Kcross with the border correction);
    of one class, the neighbors are one fewer. A neighbor at exactly R counts.
    """
    cells, inside = specimen.cells, specimen.nucleated >= 0
    pairs, centers = (each[0] for each in _count_pairs(specimen, np.zeros(len(cells), np.int64), 1))
    counts = np.bincount(cells.label[inside], minlength=N_CELL_CLASSES)
    neighbors = counts[:, None] - np.eye(N_CELL_CLASSES, dtype=np.int64)
    n = np.broadcast_to(centers[None], pairs.shape)
    return {
        "CROSS_L_{neighbor}_{center}_{l_radius}": result(
            _l_less_r(pairs, centers, counts, specimen.maps.nucleated_um2.sum()),
            n,
            (neighbors[:, :, None] <= 0, _NO_OTHER),
            (n < _FEWEST, _FEW),
        )
    }


def _l_less_r(
    pairs: NDArray[Any],
    centers: NDArray[Any],
    counts: NDArray[Any],
    window_um2: ArrayLike,
) -> NDArray[np.float64]:
    """Return L - R from pairs (..., 9, 9, radii), centers (..., 9, radii), cells (..., 9) and area (...)."""
    neighbors = (counts[..., :, None] - np.eye(N_CELL_CLASSES))[..., None]
    k = np.asarray(window_um2)[..., None, None, None] * quotient(pairs, centers[..., None, :, :] * neighbors)
    return np.sqrt(k / np.pi) - np.asarray(L_RADII_UM, float)


def _pairs_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    pairs, centers = _count_pairs(specimen, blocks.of_cell, len(blocks))
    inside = np.where(specimen.nucleated >= 0, specimen.cells.label, -1)
    window_um2 = 1e6 * blocks.tissue_mm2[:, list(specimen.maps.nucleated_codes)].sum(axis=1)
    sums = (pairs, centers, blocks.count(inside, (N_CELL_CLASSES,)), window_um2)
    return {"CROSS_L_{neighbor}_{center}_{l_radius}": BlockSums(_l_less_r, sums)}


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
    block_sums=_pairs_per_block,
)


def _count_pairs(
    specimen: Specimen, block: NDArray[np.int64], blocks: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (blocks, neighbor, center, radius) and centers (blocks, center, radius) inside the border.

    The centers are those at least the radius inside the border, by the block of each cell (n,).
    """
    inside = specimen.nucleated >= 0
    border_um, radii = specimen.per_cell(to_border)[inside], np.asarray(L_RADII_UM, float)
    grid = build_grid(specimen.cells.x_um[inside], specimen.cells.y_um[inside], radii[-1] / 2)
    label, border, owner = (
        each[grid.order] for each in (specimen.cells.label[inside], border_um, block[inside])
    )
    pairs = np.zeros((blocks, N_CELL_CLASSES, N_CELL_CLASSES, len(radii)), np.int64)
    centers = np.zeros((blocks, N_CELL_CLASSES, len(radii)), np.int64)

    def count(lo: int, hi: int) -> tuple[NDArray[np.integer], ...]:
        # A chunk of neighbors lies in few blocks.
        here, own = np.unique(owner[lo:hi], return_inverse=True)
        return here, *_pairs_of_span(grid, (label, border, own), radii, (lo, hi), len(here))

    for here, of_pairs, of_centers in run_chunks(count, len(label), workers=specimen.maps.workers):
        pairs[here] += of_pairs
        centers[here] += of_centers
    return pairs, centers


@njit(cache=True, nogil=True)
def _pairs_of_span(grid, marks, radii, span, blocks):
    """Count the pairs of the centers of `span` by block, neighbor, center and radius, cumulative."""
    label, border, own = marks
    n_radii = len(radii)
    limits = radii * radii
    pairs = np.zeros((blocks, N_CELL_CLASSES, N_CELL_CLASSES, n_radii), np.int64)
    centers = np.zeros((blocks, N_CELL_CLASSES, n_radii), np.int64)
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
            centers[own[i - span[0]], label[i], q] += 1
        for k in range(N_CELL_CLASSES):
            total = 0
            for q in range(usable):
                total += seen[k, q]
                pairs[own[i - span[0]], k, label[i], q] += total
    return pairs, centers
