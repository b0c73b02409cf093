"""How much tissue there is."""

from collections.abc import Mapping

from histome.metrics.declaration import Family, Template
from histome.metrics.results import Result, result
from histome.metrics.specimen import Specimen


def total_area(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the area of the seven tissue classes together, um2; n is the number of pixels."""
    return {"ABSOLUTE_AREA": result(specimen.maps.tissue_um2.sum(), specimen.maps.tissue_px.sum())}


FAMILY = Family(
    "total-area",
    "Total area",
    "Area of all analyzed tissue.",
    (
        Template(
            "ABSOLUTE_AREA",
            "um2",
            "area of the seven tissue classes together, in the tissue map",
            counts="pixels of analyzed tissue",
        ),
    ),
    total_area,
    of_cells=False,
    core=True,
    no_interval="measured on the whole slide, not sampled",
)
