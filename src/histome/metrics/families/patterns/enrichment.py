"""Neighborhood enrichment against relabeling, in closed form."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from histome.geometry.grid import neighbor_counts
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.results import Result, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.significance import two_sided

RADIUS_UM = 40.0
_UNEXPECTED = "no such pair is expected"
_UNSEEN = "no such pair is seen"
_CERTAIN = "relabeling cannot change the number of pairs"
_COUNTS = "pairs of {center} with {neighbor} seen within 40 um; of one class each pair counts twice"

TEMPLATES = in_loops(
    ("neighbor", "center"),
    Template(
        "ENRICHMENT_LOG2FC_{neighbor}_AROUND_{center}",
        "1",
        "log2 of the pairs of {center} with {neighbor} within 40 um / their mean under relabeling",
        (_UNEXPECTED, _UNSEEN),
        UNBOUNDED,
        symmetric=True,
        counts=_COUNTS,
    ),
    Template(
        "ENRICHMENT_Z_{neighbor}_AROUND_{center}",
        "1",
        "(pairs of {center} with {neighbor} within 40 um - their mean under relabeling) / their SD",
        (_CERTAIN,),
        UNBOUNDED,
        symmetric=True,
        counts=_COUNTS,
    ),
)


def enrichment(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the pairs of two classes within 40 um against relabeling; n is the number of pairs seen.

    The classes are exchanged among the cells, their positions kept. Mean and variance of the number of pairs
    over all relabelings are exact (join counts, sampling without replacement: Cliff and Ord 1981), so no
    permutations are drawn; squidpy's nhood_enrichment estimates the same z by drawing them.
    """
    degree = specimen.for_now(near_counts).sum(axis=1, dtype=np.int64)
    return pair_enrichment(specimen.once(near_pairs), specimen.class_counts, degree)


def _pairs_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    near, label = specimen.for_now(near_counts), specimen.cells.label
    seen = [blocks.count(label, (N_CELL_CLASSES,), near[:, k]) for k in range(N_CELL_CLASSES)]
    pairs = np.stack(seen, axis=1)
    sums = (pairs, blocks.per_class(specimen))
    return {"ENRICHMENT_LOG2FC_{neighbor}_AROUND_{center}": BlockSums(_log2_fold, sums)}


def _tests(_specimen: Specimen, results: Mapping[str, Result]) -> Mapping[str, NDArray[np.float64]]:
    pattern = "ENRICHMENT_Z_{neighbor}_AROUND_{center}"
    return {pattern: two_sided(results[pattern].value)}


FAMILY = Family(
    "enrichment",
    "Neighborhood enrichment",
    "Pairs of a center and a neighbor within 40 um, against all relabelings of the cells: exact mean and "
    "variance, no permutations drawn. A pair at exactly 40 um counts. Symmetric in the two classes.",
    TEMPLATES,
    enrichment,
    source="Join counts without replacement: Cliff and Ord 1981, Spatial Processes; the quantity as "
    "Palla et al. 2022, doi:10.1038/s41592-021-01358-2",
    null_model="all exchanges of the classes among the counted cells of the slide, whatever their tissue: "
    "classes that share a tissue come out as enriched without any interaction; Z grows with the number of "
    "cells",
    alias="S4",
    block_sums=_pairs_per_block,
    tests=_tests,
    no_interval="z tests one slide, its size grows with it",
)


def pair_enrichment(
    observed: NDArray[np.int64], counts: NDArray[np.int64], degree: NDArray[np.int64]
) -> Mapping[str, Result]:
    """Return log2 fold change and z of ordered pairs (classes, classes), given each cell's degree."""
    edges = int(degree.sum()) // 2
    adjacent = int((degree * (degree - 1)).sum())
    mean, sd = np.zeros(observed.shape), np.zeros(observed.shape)
    for a, b in np.ndindex(observed.shape):
        pair = (int(counts[a]), int(counts[b]))
        mean[a, b], sd[a, b] = ordered_pair_moments(pair, a == b, int(counts.sum()), (edges, adjacent))
    with np.errstate(divide="ignore", invalid="ignore"):
        fold, z = np.log2(observed / mean), (observed - mean) / sd
    unseen = (observed == 0, _UNSEEN)
    return {
        "ENRICHMENT_LOG2FC_{neighbor}_AROUND_{center}": result(
            fold, observed, (mean == 0, _UNEXPECTED), unseen
        ),
        "ENRICHMENT_Z_{neighbor}_AROUND_{center}": result(z, observed, (sd == 0, _CERTAIN)),
    }


def ordered_pair_moments(
    pair: tuple[int, int], same: bool, n: int, graph: tuple[int, int]
) -> tuple[float, float]:
    """Return mean and SD of the ordered pairs of two classes over all relabelings of a graph.

    `graph` is (edges, ordered pairs of edges that share a cell). Integers and fractions all the way: the
    variance is a difference of numbers 1e10 times as large.
    """
    a, b = pair
    edges, adjacent = graph
    disjoint = edges * edges - edges - adjacent
    if same:
        two, three, four = (_falling(a, k) for k in (2, 3, 4))
    else:
        two, three, four = 2 * a * b, a * b * (a + b - 2), 4 * a * (a - 1) * b * (b - 1)
    mean = edges * _share(two, n, 2)
    variance = mean + adjacent * _share(three, n, 3) + disjoint * _share(four, n, 4) - mean * mean
    ordered = 2 if same else 1  # an edge within a class is two ordered pairs
    return float(ordered * mean), ordered * float(variance) ** 0.5


def _falling(n: int, k: int) -> int:
    """Return n (n - 1) ... (n - k + 1)."""
    product = 1
    for i in range(k):
        product *= max(n - i, 0)
    return product


def _share(ways: int, n: int, k: int) -> Fraction:
    """Return the probability of `ways` labelings of k given cells among n; 0 where there are no k cells."""
    return Fraction(ways, _falling(n, k)) if n >= k else Fraction(0)


def near_counts(specimen: Specimen) -> NDArray[np.uint16]:
    """Count the cells of each class within 40 um of every cell, (n, 9)."""
    cells = specimen.cells
    return neighbor_counts(
        cells.x_um,
        cells.y_um,
        cells.label,
        radii_um=(RADIUS_UM,),
        n_classes=N_CELL_CLASSES,
        workers=specimen.maps.workers,
    )[:, 0]


def near_pairs(specimen: Specimen) -> NDArray[np.int64]:
    """Count the ordered pairs of cells within 40 um by class of the first and of the second, (9, 9)."""
    near, label = specimen.for_now(near_counts), specimen.cells.label
    return np.array([near[label == k].sum(axis=0, dtype=np.int64) for k in range(N_CELL_CLASSES)])


def _log2_fold(pairs: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log2 of pairs (any, 9, 9) / their mean under relabeling, from the counts of classes (any, 9)."""
    others = counts[:, :, None] - np.eye(N_CELL_CLASSES)
    n = counts.sum(axis=1)
    share = counts[:, None, :] * others / (n * (n - 1))[:, None, None]
    return np.log2(pairs / (pairs.sum(axis=(1, 2), keepdims=True) * share))
