"""Areas of the tissue classes."""

from collections.abc import Mapping

from histome.metrics.declaration import PERCENT, Family, Template, in_loops
from histome.metrics.reasons import NO_TISSUE
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio

TEMPLATES = in_loops(
    ("tissue",),
    Template(
        "ABSOLUTE_AREA_{tissue}",
        "um2",
        "pixels of {tissue} in the tissue map x the scanned area of each",
        counts="pixels of {tissue} in the tissue map",
    ),
    Template(
        "RELATIVE_AREA_{tissue}",
        "%",
        "100 x area of {tissue} / area of the seven tissue classes together",
        (NO_TISSUE,),
        PERCENT,
        derived="100 ABSOLUTE_AREA_(tissue) / ABSOLUTE_AREA",
        counts="pixels of analyzed tissue",
    ),
)


def tissue_areas(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the tissue classes: area, um2, and share of all tissue, %; n is the number of pixels."""
    area, pixels = specimen.maps.tissue_um2, specimen.maps.tissue_px
    total = area.sum()
    return {
        "ABSOLUTE_AREA_{tissue}": result(area, pixels),
        "RELATIVE_AREA_{tissue}": result(
            quotient(area, total, scale=100), pixels.sum(), (total == 0, NO_TISSUE)
        ),
    }


def _areas_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    area = blocks.tissue_mm2[:, 1:]
    return {"RELATIVE_AREA_{tissue}": ratio(area, area.sum(axis=1, keepdims=True), scale=100)}


FAMILY = Family(
    "tissue-areas",
    "Tissue areas",
    "Area of each tissue class in valid tissue.",
    TEMPLATES,
    tissue_areas,
    of_cells=False,
    core=True,
    block_sums=_areas_per_block,
    no_interval="measured on the whole slide, not sampled",
)
