"""Neighborhood enrichment against relabeling within each tissue, in closed form."""

from collections.abc import Mapping

import numpy as np

from histome.geometry.grid import neighbor_counts
from histome.metrics.axes import PAIR_CODES
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.families.patterns.enrichment import RADIUS_UM, near_counts
from histome.metrics.randomness.relabeling import (
    FEWEST_PAIRS,
    LOG2_NULLS,
    SD_NULLS,
    graph_of,
    log2_results,
    relabeled,
)
from histome.metrics.results import Result
from histome.metrics.specimen import Specimen

_COUNTS = "pairs expected, rounded down"

TEMPLATES = in_loops(
    ("touching",),
    Template(
        "ENRICHMENT_IN_TISSUE_LOG2_{touching}_40",
        "1",
        "log2 of the pairs of {touching} within 40 um / their mean under relabeling within each tissue",
        LOG2_NULLS,
        UNBOUNDED,
        smallest_sample=FEWEST_PAIRS,
        counts=_COUNTS,
    ),
    Template(
        "ENRICHMENT_IN_TISSUE_LOG2_NULL_SD_{touching}_40",
        "1",
        "SD of that log2 under relabeling within each tissue: SD of the pairs / (their mean x ln 2)",
        SD_NULLS,
        smallest_sample=FEWEST_PAIRS,
        counts=_COUNTS,
    ),
)


def enrichment_in_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the pairs of two classes within 40 um against relabeling within each nucleated tissue.

    n is the number of pairs expected. The classes are exchanged among the cells of one tissue: 0 where the
    classes of neighbors depend on nothing but their tissues.
    """
    cells = specimen.cells
    near = specimen.once(near_counts)
    tissues = specimen.tissue_counts.shape[1]
    degree = neighbor_counts(
        cells.x_um,
        cells.y_um,
        specimen.nucleated,
        radii_um=(RADIUS_UM,),
        n_classes=tissues,
        workers=specimen.maps.workers,
    )[:, 0].astype(np.int64)
    pairs = tuple(PAIR_CODES.values())
    graph = graph_of(degree, specimen.nucleated)
    # Of one class the pairs are seen in both orders.
    orders = np.array([1 + (a == b) for a, b in pairs])
    observed = [near[cells.label == a, b].sum(dtype=np.int64) for a, b in pairs]
    seen = np.array(observed) // orders
    mean, sd = (moment / orders for moment in relabeled(graph, specimen.tissue_counts, pairs))
    fold, spread = log2_results(seen, mean, sd)
    return {
        "ENRICHMENT_IN_TISSUE_LOG2_{touching}_40": fold,
        "ENRICHMENT_IN_TISSUE_LOG2_NULL_SD_{touching}_40": spread,
    }


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
    null_model="exchange of the classes among the cells of one nucleated tissue",
)
