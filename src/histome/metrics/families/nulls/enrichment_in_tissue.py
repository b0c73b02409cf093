"""Neighborhood enrichment against relabeling within each tissue, in closed form."""

from collections.abc import Mapping

import numpy as np

from histome.geometry.grid import neighbor_counts
from histome.metrics.declaration import Family
from histome.metrics.families.patterns.enrichment import RADIUS_UM, near_pairs
from histome.metrics.randomness.relabeling import NULL_MODEL, log2_templates, log2_within_tissues
from histome.metrics.results import Result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen

TEMPLATES = log2_templates(
    "ENRICHMENT_IN_TISSUE_LOG2", pairs="pairs", which="pairs of {touching} within 40 um", tail="_40"
)


def enrichment_in_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the pairs of two classes within 40 um against relabeling within each nucleated tissue.

    n is the number of pairs expected. The classes are exchanged among the cells of one tissue: 0 where the
    classes of neighbors depend on nothing but their tissues.
    """
    degree = neighbor_counts(
        specimen.cells.x_um,
        specimen.cells.y_um,
        specimen.nucleated,
        radii_um=(RADIUS_UM,),
        n_classes=specimen.tissue_counts.shape[1],
        workers=specimen.maps.workers,
    )[:, 0].astype(np.int64)
    # Of one class the pairs are seen in both orders.
    unordered = specimen.once(near_pairs) // (1 + np.eye(N_CELL_CLASSES, dtype=np.int64))
    return log2_within_tissues(TEMPLATES, specimen, unordered, degree)


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
)
