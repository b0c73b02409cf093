"""Which classes touch more often than their tissues make them."""

from collections.abc import Mapping

from histome.metrics.declaration import Family
from histome.metrics.families.patterns.contacts import contact_pairs, contact_table
from histome.metrics.randomness.relabeling import NULL_MODEL, log2_templates, log2_within_tissues
from histome.metrics.results import Result
from histome.metrics.specimen import Specimen, cross_count

TEMPLATES = log2_templates("CONTACT_IN_TISSUE_LOG2", pairs="contacts", which="contacts between {touching}")


def contacts_in_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the contacts of two classes against relabeling within each nucleated tissue.

    n is the number of contacts expected. Contacts as in the family contacts.
    """
    edges, tissue = specimen.once(contact_pairs), specimen.nucleated
    shape = (len(tissue), specimen.tissue_counts.shape[1])
    degree = cross_count(edges[:, 0], tissue[edges[:, 1]], shape)
    degree += cross_count(edges[:, 1], tissue[edges[:, 0]], shape)
    return log2_within_tissues(TEMPLATES, specimen, specimen.once(contact_table), degree)


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
)
