"""How many cells of each class there are in each nucleated tissue."""

from collections.abc import Mapping

from histome.metrics.declaration import PERCENT, Family, Template
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, ratio

_NO_CELLS = "there are no cells in {nucleated}"
_NO_TISSUE = "there is no {nucleated}"

# Inside loops over the classes and the tissues, which the catalogue holds.
TEMPLATES = (
    Template(
        "CELL_COUNT_{cell}_{nucleated}",
        "cells",
        "number of {cell} in {nucleated}",
        counts="{cell} in {nucleated}",
    ),
    Template(
        "CELL_PERCENTAGE_{cell}_{nucleated}",
        "%",
        "100 x {cell} in {nucleated} / all cells in {nucleated}",
        (_NO_CELLS,),
        PERCENT,
        smallest_sample=1,
        derived="from CELL_COUNT_(cell)_(tissue) of the nine classes",
        counts="cells of all classes in {nucleated}",
    ),
    Template(
        "CELL_DENSITY_{cell}_{nucleated}",
        "cells/um2",
        "{cell} in {nucleated} / area of {nucleated}",
        (_NO_TISSUE,),
        derived="CELL_COUNT_(cell)_(tissue) / ABSOLUTE_AREA_(tissue)",
        counts="{cell} in {nucleated}",
    ),
)


def cells_by_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Measure number, share and density per class in each nucleated tissue, (9, 5)."""
    counts, area_um2 = specimen.tissue_counts, specimen.maps.nucleated_um2
    total = counts.sum(axis=0)
    return {
        "CELL_COUNT_{cell}_{nucleated}": result(counts, counts),
        "CELL_PERCENTAGE_{cell}_{nucleated}": result(
            quotient(counts, total, scale=100), total, (total == 0, _NO_CELLS)
        ),
        "CELL_DENSITY_{cell}_{nucleated}": result(
            quotient(counts, area_um2), counts, (area_um2 == 0, _NO_TISSUE)
        ),
    }


def _cells_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    counts = blocks.per_tissue(specimen)
    area_mm2 = blocks.tissue_mm2[:, None, list(specimen.maps.nucleated_codes)]
    return {
        "CELL_COUNT_{cell}_{nucleated}": expected(counts, area_mm2),
        "CELL_PERCENTAGE_{cell}_{nucleated}": ratio(counts, counts.sum(axis=1, keepdims=True), scale=100),
        "CELL_DENSITY_{cell}_{nucleated}": ratio(counts, area_mm2 * 1e6),
    }


FAMILY = Family(
    "cells-by-tissue",
    "Cells per class and tissue",
    "Number, share and density in each tissue class; a cell belongs to the tissue at its center.",
    TEMPLATES,
    cells_by_tissue,
    core=True,
    block_sums=_cells_per_block,
)
