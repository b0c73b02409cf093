"""How many cells there are, and the mean shape of their nuclei."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.declaration import Family, Template
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, ratio

# Readout name -> column of the cells table.
_SHAPES = {
    "AREA": "area_um2",
    "ROUNDNESS": "roundness",
    "MAJ_AXIS": "major_axis_um",
    "MNR_AXIS": "minor_axis_um",
    "PERIMETER": "perimeter_um",
}
_NO_OUTLINE = "there are no cells with an outline"


def shape_templates(suffix: str, whose: str, no_outline: str) -> dict[str, Template]:
    """Declare the mean nuclear shapes that all cells and single classes share, by name of the shape."""
    less = suffix.replace("{", "(").replace("}", ")")
    shapes = (
        ("AREA", "um2", f"mean nuclear area of {whose}", None, ""),
        ("ROUNDNESS", "1", f"mean of 4 pi area / perimeter^2 over the nuclei of {whose}", 1.0, ""),
        (
            "ECCENTRICITY",
            "1",
            f"mean of 1 - roundness over the nuclei of {whose}; not the eccentricity of an ellipse",
            1.0,
            f"1 - NUCLEUS_AVG_ROUNDNESS{less}",
        ),
        ("PERIMETER", "um", f"mean length of the nuclear outline of {whose}", None, ""),
    )
    return {
        name: Template(
            f"NUCLEUS_AVG_{name}{suffix}",
            unit,
            formula,
            (no_outline,),
            (0.0, high),
            1,
            derived=derived,
            counts=f"{whose} with that shape measured",
        )
        for name, unit, formula, high, derived in shapes
    }


def _axis(name: str, words: str) -> Template:
    """Declare the mean of one axis over all nuclei."""
    formula = f"mean {words} axis of the equal-moment ellipse over all nuclei"
    return Template(
        f"NUCLEUS_AVG_{name}",
        "um",
        formula,
        (_NO_OUTLINE,),
        smallest_sample=1,
        counts="all cells with that shape measured",
    )


_MEANS = shape_templates("", "all cells", _NO_OUTLINE)
TEMPLATES = (
    Template(
        "CELL_N_TOTAL",
        "cells",
        "number of cells",
        counts="cells",
    ),
    *(_MEANS[name] for name in ("AREA", "ROUNDNESS", "ECCENTRICITY")),
    _axis("MAJ_AXIS", "major"),
    _axis("MNR_AXIS", "minor"),
    _MEANS["PERIMETER"],
)


def all_cells(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the number of all cells and the mean shape of their nuclei; n is the number of cells."""
    n = len(specimen.cells)
    found = {"CELL_N_TOTAL": result(n, n)}
    for name in _SHAPES:
        sums, counts = shape_sums(specimen, name)
        found[f"NUCLEUS_AVG_{name}"] = mean_shape(sums.sum(), counts.sum(), _NO_OUTLINE)
    found["NUCLEUS_AVG_ECCENTRICITY"] = one_minus(found["NUCLEUS_AVG_ROUNDNESS"])
    return found


def _all_cells_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    area = blocks.tissue_mm2[:, 1:].sum(axis=1)
    shapes = {name: mean_shape_per_block(specimen, blocks, name) for name in _SHAPES}
    found = {
        f"NUCLEUS_AVG_{name}": ratio(sums.sum(axis=1), counts.sum(axis=1))
        for name, (sums, counts) in shapes.items()
    }
    found["NUCLEUS_AVG_ECCENTRICITY"] = one_minus_sums(found["NUCLEUS_AVG_ROUNDNESS"])
    return found | {"CELL_N_TOTAL": expected(blocks.per_class(specimen).sum(axis=1), area)}


FAMILY = Family(
    "all-cells",
    "All cells",
    "Number of cells and mean shape of their nuclei, over all nucleated tissue: a cell is counted where the "
    "tissue map has carcinoma, epithelial, stroma, vessel or other tissue at its center. Shapes are those of "
    "the polygon that outlines the nucleus.",
    TEMPLATES,
    all_cells,
    core=True,
    alias="cells",
    block_sums=_all_cells_per_block,
)


def shape_sums(specimen: Specimen, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum of a shape and the number of nuclei that have it, per class."""
    column = _SHAPES[name]
    if column not in specimen.cells.features:
        return np.zeros(N_CELL_CLASSES), np.zeros(N_CELL_CLASSES, np.int64)
    feature = specimen.cells.features[column]
    known = np.isfinite(feature)
    label = specimen.cells.label[known]
    sums = np.bincount(label, weights=feature[known], minlength=N_CELL_CLASSES)
    return sums.astype(np.float64), np.bincount(label, minlength=N_CELL_CLASSES)


def mean_shape(sums: NDArray[np.float64], counts: NDArray[np.int64], no_outline: str) -> Result:
    """Return sums / counts, null where there are none."""
    return result(quotient(sums, counts), counts, (counts == 0, no_outline))


def one_minus(roundness: Result) -> Result:
    """Return 1 - roundness, null for the same reasons."""
    return Result(1 - roundness.value, roundness.n, roundness.reason)


def mean_shape_per_block(
    specimen: Specimen, blocks: Blocks, name: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum of a shape and the number of nuclei that have it, per block and class."""
    feature = specimen.cells.features.get(_SHAPES[name], np.full(len(specimen.cells), np.nan))
    code = np.where(np.isfinite(feature), specimen.cells.label, -1)
    return blocks.count(code, (N_CELL_CLASSES,), feature), blocks.count(code, (N_CELL_CLASSES,))


def one_minus_sums(roundness: BlockSums) -> BlockSums:
    """Return the sums of 1 - roundness."""
    return BlockSums(lambda *totals: 1 - roundness.value(*totals), roundness.sums)
