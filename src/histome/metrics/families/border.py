"""Cells by their distance to the carcinoma and either side of its border (families I1 and I2)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.geometry.distance import DistanceField
from histome.metrics.axes import BORDER_BANDS_UM
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene, cross_count

_EDGES_UM = np.array([0.0, *(high for _, high in BORDER_BANDS_UM)])
_NO_CARCINOMA = "there is no carcinoma"


def densities_at_border(scene: Scene) -> Mapping[str, Values]:
    """Measure the density of each class in bands either side of the border, /mm2; n is the number of cells.

    Inside: carcinoma by its distance to the nearest stroma; outside: stroma by its distance to the nearest
    carcinoma.
    """
    ground = scene.ground
    bands = len(BORDER_BANDS_UM)
    counts = np.zeros((N_CELL_CLASSES, 2, bands), np.int64)
    for side, (distance_of, here) in enumerate(
        ((_to_stroma, "CARCINOMA"), (distance_to_carcinoma, "STROMA"))
    ):
        band = np.searchsorted(_EDGES_UM, scene.per_cell(distance_of), side="left") - 1
        band[(band >= bands) | (scene.cells.tissue != ground.tissue.code(here))] = -1
        counts[:, side] = cross_count(scene.cells.label, band, (N_CELL_CLASSES, bands))
    area_mm2 = ground.border_px * ground.um2_per_px / 1e6
    nulls = (
        (not ground.has("CARCINOMA"), _NO_CARCINOMA),
        (not ground.has("STROMA"), "there is no stroma"),
        (area_mm2 == 0, "the band is empty"),
    )
    return {"CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}": values(quotient(counts, area_mm2), counts, *nulls)}


def distances_to_carcinoma(scene: Scene) -> Mapping[str, Values]:
    """Measure the distance of each class to the nearest carcinoma, um; n is its cells on the map."""
    distance = scene.per_cell(distance_to_carcinoma)
    numbers = np.full((4, N_CELL_CLASSES), np.nan)
    n = np.zeros(N_CELL_CLASSES, np.int64)
    for k in range(N_CELL_CLASSES):
        sample = distance[(scene.cells.label == k) & np.isfinite(distance)]
        n[k] = len(sample)
        if len(sample):
            numbers[:, k] = sample.mean(), *np.percentile(sample, (50, 90)), np.mean(sample <= 50)
    nulls = (
        (not scene.ground.has("CARCINOMA"), _NO_CARCINOMA),
        (n == 0, "there are no {cell} on the map"),
    )
    names = ("MEAN", "MEDIAN", "P90", "SHARE_WITHIN_50")
    return {
        f"DISTANCE_TO_CARCINOMA_{name}_{{cell}}": values(number, n, *nulls)
        for name, number in zip(names, numbers, strict=True)
    }


def distance_to_carcinoma(scene: Scene) -> NDArray[np.float64]:
    """Return each cell's distance to the nearest carcinoma, um; inf off the map or without carcinoma."""
    return _at_cells(scene, scene.ground.distance_to_tissue("CARCINOMA"))


def _to_stroma(scene: Scene) -> NDArray[np.float64]:
    """Return each cell's distance to the nearest stroma, um; right as far as the bands reach."""
    return _at_cells(scene, scene.ground.distance_to_tissue("STROMA"), reach_um=_EDGES_UM[-1])


def _at_cells(scene: Scene, field: DistanceField, *, reach_um: float = np.inf) -> NDArray[np.float64]:
    """Look a distance up at the pixels of the cells, in um; beyond `reach_um` it may come out too large."""
    rows, columns, inside = scene.ground.pixel_of(scene.cells.x_um, scene.cells.y_um)
    distance = np.full(len(scene.cells), np.inf)
    mpp = scene.ground.tissue.mpp
    distance[inside] = field.at(rows[inside], columns[inside], reach_px=reach_um / mpp) * mpp
    return distance
