"""How many cells of each class there are, and the mean shape of their nuclei."""

from collections.abc import Mapping

from histome.metrics.declaration import PERCENT, Family, Template
from histome.metrics.families.cells.all_cells import (
    mean_shape,
    mean_shape_per_block,
    one_minus,
    one_minus_sums,
    shape_sums,
    shape_templates,
)
from histome.metrics.reasons import NO_CELLS, NO_TISSUE
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, ratio

_NO_OUTLINE = "there are no {cell} with an outline"

# Inside a loop over the classes, which the catalogue holds.
TEMPLATES = (
    Template(
        "CELL_COUNT_{cell}",
        "cells",
        "number of {cell}",
        counts="{cell}",
    ),
    *shape_templates("_{cell}", "{cell}", _NO_OUTLINE).values(),
    Template(
        "CELL_PERCENTAGE_{cell}",
        "%",
        "100 x {cell} / all cells",
        (NO_CELLS,),
        PERCENT,
        smallest_sample=1,
        derived="100 CELL_COUNT_(cell) / CELL_N_TOTAL",
        counts="cells of all classes",
    ),
    Template(
        "CELL_DENSITY_{cell}",
        "cells/um2",
        "{cell} / area of the seven tissue classes together",
        (NO_TISSUE,),
        derived="CELL_COUNT_(cell) / ABSOLUTE_AREA",
        counts="{cell}",
    ),
)


def cells_per_class(specimen: Specimen) -> Mapping[str, Result]:
    """Measure number, share of all cells, density over all tissue and mean nuclear shape per class, (9,)."""
    counts, total = specimen.class_counts, len(specimen.cells)
    area_um2 = specimen.maps.tissue_um2.sum()
    found = {
        "CELL_COUNT_{cell}": result(counts, counts),
        "CELL_PERCENTAGE_{cell}": result(quotient(counts, total, scale=100), total, (total == 0, NO_CELLS)),
        "CELL_DENSITY_{cell}": result(quotient(counts, area_um2), counts, (area_um2 == 0, NO_TISSUE)),
    }
    for name in ("AREA", "ROUNDNESS", "PERIMETER"):
        found[f"NUCLEUS_AVG_{name}_{{cell}}"] = mean_shape(*shape_sums(specimen, name), _NO_OUTLINE)
    found["NUCLEUS_AVG_ECCENTRICITY_{cell}"] = one_minus(found["NUCLEUS_AVG_ROUNDNESS_{cell}"])
    return found


def _cells_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    counts, area_mm2 = blocks.per_class(specimen), blocks.tissue_mm2[:, 1:].sum(axis=1, keepdims=True)
    found = {
        "CELL_COUNT_{cell}": expected(counts, area_mm2),
        "CELL_PERCENTAGE_{cell}": ratio(counts, counts.sum(axis=1, keepdims=True), scale=100),
        "CELL_DENSITY_{cell}": ratio(counts, area_mm2 * 1e6),
    }
    for name in ("AREA", "ROUNDNESS", "PERIMETER"):
        found[f"NUCLEUS_AVG_{name}_{{cell}}"] = ratio(*mean_shape_per_block(specimen, blocks, name))
    found["NUCLEUS_AVG_ECCENTRICITY_{cell}"] = one_minus_sums(found["NUCLEUS_AVG_ROUNDNESS_{cell}"])
    return found


FAMILY = Family(
    "cells-per-class",
    "Cells per class",
    "Number, share, density and mean nuclear shape per class. Cells are counted in nucleated tissue only; "
    "the densities divide by all seven tissue classes, necrosis and blood among them.",
    TEMPLATES,
    cells_per_class,
    core=True,
    block_sums=_cells_per_block,
)
