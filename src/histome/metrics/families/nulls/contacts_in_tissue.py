"""Which classes touch more often than their tissues make them."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.axes import PAIR_CODES
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.families.patterns.contacts import contact_pairs
from histome.metrics.randomness.relabeling import (
    FEWEST_PAIRS,
    LOG2_NULLS,
    SD_NULLS,
    graph_of,
    log2_results,
    relabeled,
)
from histome.metrics.results import Result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen, cross_count

_COUNTS = "contacts expected, rounded down"

TEMPLATES = in_loops(
    ("touching",),
    Template(
        "CONTACT_IN_TISSUE_LOG2_{touching}",
        "1",
        "log2 of the contacts between {touching} / their mean under relabeling within each tissue",
        LOG2_NULLS,
        UNBOUNDED,
        smallest_sample=FEWEST_PAIRS,
        counts=_COUNTS,
    ),
    Template(
        "CONTACT_IN_TISSUE_LOG2_NULL_SD_{touching}",
        "1",
        "SD of that log2 under relabeling within each tissue: SD of the contacts / (their mean x ln 2)",
        SD_NULLS,
        smallest_sample=FEWEST_PAIRS,
        counts=_COUNTS,
    ),
)


def contacts_in_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the contacts of two classes against relabeling within each nucleated tissue.

    n is the number of contacts expected. Contacts as in the family contacts.
    """
    edges = specimen.once(contact_pairs)
    label, tissue, counts = specimen.cells.label, specimen.nucleated, specimen.tissue_counts
    tissues = counts.shape[1]
    shape = (len(label), tissues)
    degree = cross_count(edges[:, 0], tissue[edges[:, 1]], shape)
    degree += cross_count(edges[:, 1], tissue[edges[:, 0]], shape)
    low, high = np.sort(label[edges], axis=1).T
    table = cross_count(low, high, (N_CELL_CLASSES, N_CELL_CLASSES))
    pairs = tuple(PAIR_CODES.values())
    orders = np.array([1 + (a == b) for a, b in pairs])
    mean, sd = (moment / orders for moment in relabeled(graph_of(degree, tissue), counts, pairs))
    fold, spread = log2_results(np.array([table[pair] for pair in pairs]), mean, sd)
    return {
        "CONTACT_IN_TISSUE_LOG2_{touching}": fold,
        "CONTACT_IN_TISSUE_LOG2_NULL_SD_{touching}": spread,
    }


FAMILY = Family(
    "contacts-in-tissue",
    "Contacts within tissues",
    "Contacts (Delaunay edges of at most 30 um) against all exchanges of the classes among the cells of one "
    "nucleated tissue: exact mean and SD. 0 where who touches whom follows from the tissues alone; within "
    "two SD of 0 it is no finding. n is the number of contacts expected.",
    TEMPLATES,
    contacts_in_tissue,
    source="Join counts without replacement: Cliff and Ord 1981, Spatial Processes; here within strata",
    null_model="exchange of the classes among the cells of one nucleated tissue",
)
