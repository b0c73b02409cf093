"""Areas of the quality classes."""

from collections.abc import Mapping

import numpy as np

from histome.classes import QC_CLASSES
from histome.metrics.declaration import PERCENT, Family, Template, in_loops
from histome.metrics.reasons import NO_QUALITY_MAP
from histome.metrics.results import Result, all_null, quotient, result
from histome.metrics.specimen import Specimen

# Quality classes that make up what is on the glass: the denominator of the relative areas.
_ON_THE_GLASS = ("VALID_TISSUE", "TISSUE_ARTIFACT", "OUT_OF_FOCUS", "MARKER")
_OFF_THE_GLASS = "no tissue is no part of what is on the glass"
_EMPTY_GLASS = "nothing is on the glass"

TEMPLATES = in_loops(
    ("qc",),
    Template(
        "ABSOLUTE_AREA_{qc}",
        "um2",
        "pixels of class {qc} in the quality map x the scanned area of each",
        (NO_QUALITY_MAP,),
        counts="pixels of {qc} in the quality map",
    ),
    Template(
        "RELATIVE_AREA_{qc}",
        "%",
        "100 x area of {qc} / area of valid tissue, tissue artifact, out of focus and marker together",
        (NO_QUALITY_MAP, _OFF_THE_GLASS, _EMPTY_GLASS),
        PERCENT,
        derived="from the ABSOLUTE_AREA of the quality classes",
        counts="pixels of valid tissue, tissue artifact, out of focus and marker together",
    ),
)


def qc_areas(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the quality classes: area, um2, and share of what is on the glass, %; n counts pixels."""
    names = ("ABSOLUTE_AREA_{qc}", "RELATIVE_AREA_{qc}")
    quality = specimen.maps.quality
    if quality is None:
        return {name: all_null((len(QC_CLASSES),), NO_QUALITY_MAP) for name in names}
    pixels = quality.areas_px()[1:]
    glass = np.isin(QC_CLASSES, _ON_THE_GLASS)
    total = pixels[glass].sum()
    return {
        names[0]: result(pixels * quality.mpp**2, pixels),
        names[1]: result(
            quotient(pixels, total, scale=100), total, (~glass, _OFF_THE_GLASS), (total == 0, _EMPTY_GLASS)
        ),
    }


FAMILY = Family(
    "qc-areas",
    "Quality control areas",
    "Area of each quality class of the whole scan.",
    TEMPLATES,
    qc_areas,
    of_cells=False,
    core=True,
    no_interval="measured on the whole slide, not sampled",
)
