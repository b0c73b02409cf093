"""Which classes touch more often than their tissues make them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import PAIR_CODES
from histome.metrics.declaration import Family
from histome.metrics.families.patterns.contacts import contact_pairs, contact_table, contacts_by_kind
from histome.metrics.randomness.relabeling import NULL_MODEL, log2_templates, log2_within_tissues
from histome.metrics.results import Result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.pair_sums import log2_sums
from histome.metrics.uncertainty.significance import two_sided, z_of_log2

TEMPLATES = log2_templates("CONTACT_IN_TISSUE_LOG2", pairs="contacts", which="contacts between {touching}")


def contacts_in_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the contacts of two classes against relabeling within each nucleated tissue.

    n is the number of contacts expected. Contacts as in the family contacts.
    """
    edges, tissues = specimen.for_now(contact_pairs), specimen.tissue_counts.shape[1]
    degree = contacts_by_kind(edges, specimen.nucleated, tissues)
    return log2_within_tissues(TEMPLATES, specimen, specimen.once(contact_table), degree)


def _contacts_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    edges, tissues = specimen.for_now(contact_pairs), specimen.tissue_counts.shape[1]
    near = contacts_by_kind(edges, specimen.cells.label, N_CELL_CLASSES)
    degree = contacts_by_kind(edges, specimen.nucleated, tissues)
    sums = log2_sums(specimen, blocks, near, degree, tuple(PAIR_CODES.values()))
    return {"CONTACT_IN_TISSUE_LOG2_{touching}": sums}


def _tests(_specimen: Specimen, results: Mapping[str, Result]) -> Mapping[str, NDArray[np.float64]]:
    fold, sd = (results[f"CONTACT_IN_TISSUE_LOG2_{name}{{touching}}"] for name in ("", "NULL_SD_"))
    return {"CONTACT_IN_TISSUE_LOG2_{touching}": two_sided(z_of_log2(fold.value, sd.value))}


FAMILY = Family(
    "contacts-in-tissue",
    "Contacts within tissues",
    "Contacts (Delaunay edges of at most 30 um) against all exchanges of the classes among the cells of one "
    "nucleated tissue: exact mean and SD. 0 where who touches whom follows from the tissues alone; within "
    "two SD of 0 it is no finding. n is the number of contacts expected.",
    TEMPLATES,
    contacts_in_tissue,
    source="Join counts without replacement: Cliff and Ord 1981, Spatial Processes; here within strata",
    null_model=NULL_MODEL,
    block_sums=_contacts_per_block,
    tests=_tests,
    no_interval="the SD under the null model is exact",
    beside="contacts",
)
