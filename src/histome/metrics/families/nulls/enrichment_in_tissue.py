"""Neighborhood enrichment against relabeling within each tissue, in closed form."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.geometry.grid import neighbor_counts
from histome.metrics.axes import PAIR_CODES
from histome.metrics.declaration import Family
from histome.metrics.families.patterns.enrichment import RADIUS_UM, near_counts, near_pairs
from histome.metrics.randomness.relabeling import NULL_MODEL, log2_templates, log2_within_tissues
from histome.metrics.results import Result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.pair_sums import log2_sums
from histome.metrics.uncertainty.significance import two_sided, z_of_log2

TEMPLATES = log2_templates(
    "ENRICHMENT_IN_TISSUE_LOG2", pairs="pairs", which="pairs of {touching} within 40 um", tail="_40"
)


def enrichment_in_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the pairs of two classes within 40 um against relabeling within each nucleated tissue.

    n is the number of pairs expected. The classes are exchanged among the cells of one tissue: 0 where the
    classes of neighbors depend on nothing but their tissues.
    """
    # Of one class the pairs are seen in both orders.
    unordered = specimen.once(near_pairs) // (1 + np.eye(N_CELL_CLASSES, dtype=np.int64))
    return log2_within_tissues(TEMPLATES, specimen, unordered, specimen.for_now(_near_by_tissue))


def _near_by_tissue(specimen: Specimen) -> NDArray[np.uint16]:
    """Count the cells within 40 um of each cell by their tissue, (n, tissues)."""
    near = neighbor_counts(
        specimen.cells.x_um,
        specimen.cells.y_um,
        specimen.nucleated,
        radii_um=(RADIUS_UM,),
        n_classes=specimen.tissue_counts.shape[1],
        workers=specimen.maps.workers,
    )
    return near[:, 0]


def _pairs_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    near, degree = specimen.for_now(near_counts), specimen.for_now(_near_by_tissue)
    sums = log2_sums(specimen, blocks, near, degree, tuple(PAIR_CODES.values()))
    return {"ENRICHMENT_IN_TISSUE_LOG2_{touching}_40": sums}


def _tests(_specimen: Specimen, results: Mapping[str, Result]) -> Mapping[str, NDArray[np.float64]]:
    fold, sd = (results[f"ENRICHMENT_IN_TISSUE_LOG2_{name}{{touching}}_40"] for name in ("", "NULL_SD_"))
    return {"ENRICHMENT_IN_TISSUE_LOG2_{touching}_40": two_sided(z_of_log2(fold.value, sd.value))}


FAMILY = Family(
    "enrichment-in-tissue",
    "Neighborhood enrichment within tissues",
    "Unordered pairs of cells within 40 um, against all exchanges of the classes among the cells of one "
    "nucleated tissue: exact mean and SD, no permutations drawn. 0 where neighbors have no more to do with "
    "each other than their tissues make them; within two SD of 0 it is no finding. n is the number of pairs "
    "expected.",
    TEMPLATES,
    enrichment_in_tissue,
    source="Join counts without replacement: Cliff and Ord 1981, Spatial Processes; here within strata",
    null_model=NULL_MODEL,
    block_sums=_pairs_per_block,
    tests=_tests,
    no_interval="the SD under the null model is exact",
    beside="enrichment",
)
