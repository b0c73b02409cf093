"""The cells of the tumor's zones."""

from collections.abc import Mapping

from histome.metrics.declaration import PERCENT, Family, Template, in_loops
from histome.metrics.reasons import EMPTY_ZONE, NO_TUMOR
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, ratio

_NO_CELLS = "there are no cells in the {zone}"

TEMPLATES = in_loops(
    ("zone", "cell"),
    Template(
        "CELL_COUNT_{cell}_IN_{zone}",
        "cells",
        "number of {cell} in the {zone}",
        (NO_TUMOR,),
        counts="{cell} in the {zone}",
    ),
    Template(
        "CELL_PERCENTAGE_{cell}_IN_{zone}",
        "%",
        "100 x {cell} in the {zone} / all cells in the {zone}",
        (NO_TUMOR, _NO_CELLS),
        PERCENT,
        smallest_sample=1,
        derived="from CELL_COUNT_(cell)_IN_(zone) of the nine classes",
        counts="cells of all classes in the {zone}",
    ),
    Template(
        "CELL_DENSITY_{cell}_IN_{zone}",
        "cells/mm2",
        "{cell} in the {zone} / area of the {zone}",
        (NO_TUMOR, EMPTY_ZONE),
        derived="CELL_COUNT_(cell)_IN_(zone) / ABSOLUTE_AREA_(zone)",
        counts="{cell} in the {zone}",
    ),
)


def cells_in_zones(specimen: Specimen) -> Mapping[str, Result]:
    """Measure number, share and density of each class in each zone, (9, 5)."""
    counts = specimen.zone_counts
    total = counts.sum(axis=0)
    area_mm2 = specimen.maps.mm2_of(specimen.maps.zone_px.sum(axis=0))
    none = (not specimen.maps.has_tumor, NO_TUMOR)
    return {
        "CELL_COUNT_{cell}_IN_{zone}": result(counts, counts, none),
        "CELL_PERCENTAGE_{cell}_IN_{zone}": result(
            quotient(counts, total, scale=100), total, none, (total == 0, _NO_CELLS)
        ),
        "CELL_DENSITY_{cell}_IN_{zone}": result(
            quotient(counts, area_mm2), counts, none, (area_mm2 == 0, EMPTY_ZONE)
        ),
    }


def _cells_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    counts, area_mm2 = blocks.per_zone(specimen), blocks.zones_mm2()[:, None]
    return {
        "CELL_COUNT_{cell}_IN_{zone}": expected(counts, area_mm2),
        "CELL_PERCENTAGE_{cell}_IN_{zone}": ratio(counts, counts.sum(axis=1, keepdims=True), scale=100),
        "CELL_DENSITY_{cell}_IN_{zone}": ratio(counts, area_mm2),
    }


FAMILY = Family(
    "cells-in-zones",
    "Cells in zones",
    "Number, share and density of each class in each zone.",
    TEMPLATES,
    cells_in_zones,
    alias="W3",
    block_sums=_cells_per_block,
)
