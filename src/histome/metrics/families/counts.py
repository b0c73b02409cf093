"""How many cells: number, share and density per class and tissue, and the mean shape of the nuclei."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene

# Readout name -> column of the cells table.
_SHAPES = {
    "AREA": "area_um2",
    "ROUNDNESS": "roundness",
    "MAJ_AXIS": "major_axis_um",
    "MNR_AXIS": "minor_axis_um",
    "PERIMETER": "perimeter_um",
}


def all_cells(scene: Scene) -> Mapping[str, Values]:
    """Measure the number of all cells and the mean shape of their nuclei; n is the number of cells."""
    n = len(scene.cells)
    found = {"CELL_N_TOTAL": values(n, n)}
    for name, column in _SHAPES.items():
        sums, counts = _class_sums(scene, column)
        found[f"NUCLEUS_AVG_{name}"] = _mean(sums.sum(), counts.sum(), "there are no cells with an outline")
    found["NUCLEUS_AVG_ECCENTRICITY"] = _complement(found["NUCLEUS_AVG_ROUNDNESS"])
    return found


def cells_per_class(scene: Scene) -> Mapping[str, Values]:
    """Measure number, share of all cells, density over all tissue and mean nuclear shape per class, (9,)."""
    counts, total = scene.class_counts, len(scene.cells)
    area_um2 = scene.ground.tissue_um2.sum()
    found = {
        "CELL_COUNT_{cell}": values(counts, counts),
        "CELL_PERCENTAGE_{cell}": values(
            quotient(counts, total, scale=100), total, (total == 0, "there are no cells")
        ),
        "CELL_DENSITY_{cell}": values(
            quotient(counts, area_um2), counts, (area_um2 == 0, "there is no analyzed tissue")
        ),
    }
    for name in ("AREA", "ROUNDNESS", "PERIMETER"):
        sums, with_outline = _class_sums(scene, _SHAPES[name])
        found[f"NUCLEUS_AVG_{name}_{{cell}}"] = _mean(
            sums, with_outline, "there are no {cell} with an outline"
        )
    found["NUCLEUS_AVG_ECCENTRICITY_{cell}"] = _complement(found["NUCLEUS_AVG_ROUNDNESS_{cell}"])
    return found


def cells_by_tissue(scene: Scene) -> Mapping[str, Values]:
    """Measure number, share and density per class in each nucleated tissue, (9, 5)."""
    counts, area_um2 = scene.tissue_counts, scene.ground.nucleated_um2
    total = counts.sum(axis=0)
    return {
        "CELL_COUNT_{cell}_{nucleated}": values(counts, counts),
        "CELL_PERCENTAGE_{cell}_{nucleated}": values(
            quotient(counts, total, scale=100), total, (total == 0, "there are no cells in {nucleated}")
        ),
        "CELL_DENSITY_{cell}_{nucleated}": values(
            quotient(counts, area_um2), counts, (area_um2 == 0, "there is no {nucleated}")
        ),
    }


def _class_sums(scene: Scene, column: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum of a feature and the number of nuclei that have it, per class."""
    if column not in scene.cells.features:
        return np.zeros(N_CELL_CLASSES), np.zeros(N_CELL_CLASSES, np.int64)
    feature = scene.cells.features[column]
    known = np.isfinite(feature)
    label = scene.cells.label[known]
    sums = np.bincount(label, weights=feature[known], minlength=N_CELL_CLASSES)
    return sums.astype(np.float64), np.bincount(label, minlength=N_CELL_CLASSES)


def _mean(sums: NDArray[np.float64], counts: NDArray[np.int64], why: str) -> Values:
    return values(quotient(sums, counts), counts, (counts == 0, why))


def _complement(roundness: Values) -> Values:
    """Return 1 - roundness, null for the same reasons."""
    return Values(1 - roundness.value, roundness.n, roundness.reason)
