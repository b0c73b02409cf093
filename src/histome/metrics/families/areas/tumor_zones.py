"""The area of the tumor's zones."""

from collections.abc import Mapping

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.reasons import NO_TUMOR
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen

TEMPLATES = in_loops(
    ("zone",),
    Template(
        "ABSOLUTE_AREA_{zone}",
        "mm2",
        "area of analyzed tissue in the {zone}",
        (NO_TUMOR,),
        counts="pixels of analyzed tissue in the {zone}",
    ),
    Template(
        "RELATIVE_AREA_{zone}",
        "1",
        "area of the {zone} / area of all analyzed tissue",
        (NO_TUMOR,),
        SHARE,
        derived="ABSOLUTE_AREA_(zone) / ABSOLUTE_AREA",
        counts="pixels of analyzed tissue",
    ),
)


def tumor_zones(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the analyzed tissue of each zone, mm2, and its share of all; n is the number of pixels."""
    pixels = specimen.maps.zone_px.sum(axis=0)
    total = specimen.maps.tissue_px.sum()
    none = (not specimen.maps.has_tumor, NO_TUMOR)
    return {
        "ABSOLUTE_AREA_{zone}": result(specimen.maps.mm2_of(pixels), pixels, none),
        "RELATIVE_AREA_{zone}": result(quotient(pixels, total), total, none),
    }


FAMILY = Family(
    "tumor-zones",
    "Zone areas",
    "Tumor = carcinoma closed by a disc of 100 um radius, its holes filled but for those with more than 0.8 "
    "mm2 of living tissue other than carcinoma (setting largest_hole_mm2), pieces under 0.05 mm2 dropped; "
    "core = more than 500 um inside it; inner and outer margin = 500 um either side of its front; "
    "extratumoral = the other analyzed tissue; whole tumor region = core and inner margin. Only analyzed "
    "tissue counts. RELATIVE_AREA_STROMA_IN_TUMOR_CORE is the share of stroma in the core.",
    TEMPLATES,
    tumor_zones,
    source="Margins: Hendry et al. 2017, doi:10.1097/PAP.0000000000000162",
    of_cells=False,
    alias="W1",
    no_interval="zones are measured on the whole slide, not sampled",
)
