"""The tissues of the tumor's zones."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.reasons import EMPTY_ZONE, NO_TUMOR
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen

TEMPLATES = in_loops(
    ("zone", "tissue"),
    Template(
        "ABSOLUTE_AREA_{tissue}_IN_{zone}",
        "mm2",
        "area of {tissue} in the {zone}",
        (NO_TUMOR,),
        counts="pixels of {tissue} in the {zone}",
    ),
    Template(
        "RELATIVE_AREA_{tissue}_IN_{zone}",
        "1",
        "area of {tissue} in the {zone} / area of the {zone}",
        (NO_TUMOR, EMPTY_ZONE),
        SHARE,
        derived="ABSOLUTE_AREA_(tissue)_IN_(zone) / ABSOLUTE_AREA_(zone)",
        counts="pixels of analyzed tissue in the {zone}",
    ),
)


def tissues_in_zones(specimen: Specimen) -> Mapping[str, Result]:
    """Measure each tissue in each zone, mm2, and its share of the zone, (7, 5); n is the number of pixels."""
    pixels = specimen.maps.zone_px
    none = (not specimen.maps.has_tumor, NO_TUMOR)
    total = np.broadcast_to(pixels.sum(axis=0), pixels.shape)
    return {
        "ABSOLUTE_AREA_{tissue}_IN_{zone}": result(specimen.maps.mm2_of(pixels), pixels, none),
        "RELATIVE_AREA_{tissue}_IN_{zone}": result(
            quotient(pixels, total), total, none, (total == 0, EMPTY_ZONE)
        ),
    }


FAMILY = Family(
    "tissues-in-zones",
    "Tissue areas in zones",
    "Area of each tissue class in each zone.",
    TEMPLATES,
    tissues_in_zones,
    of_cells=False,
    alias="W2",
    no_interval="zones are measured on the whole slide, not sampled",
)
