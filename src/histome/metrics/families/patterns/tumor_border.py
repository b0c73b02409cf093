"""Cells either side of the border between carcinoma and stroma."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.axes import BORDER_BANDS_UM
from histome.metrics.declaration import Family, Template, in_loops
from histome.metrics.distances import to_carcinoma, to_stroma
from histome.metrics.reasons import NO_CARCINOMA, NO_STROMA
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen, cross_count

_EDGES_UM = np.array([0.0, *(high for _, high in BORDER_BANDS_UM)])
_EMPTY = "the band is empty"

TEMPLATES = in_loops(
    ("side", "band", "cell"),
    Template(
        "CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}",
        "cells/mm2",
        "{cell} / area, in the band of {band} um {side} the carcinoma-stroma border",
        (NO_CARCINOMA, NO_STROMA, _EMPTY),
        counts="{cell} in the band",
    ),
)


def tumor_border(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the density of each class in bands either side of the border, /mm2; n is the number of cells.

    Inside: carcinoma by its distance to the nearest stroma; outside: stroma by its distance to the nearest
    carcinoma.
    """
    maps = specimen.maps
    bands = len(BORDER_BANDS_UM)
    counts = np.zeros((N_CELL_CLASSES, 2, bands), np.int64)
    for side, (distance_of, here) in enumerate(((to_stroma, "CARCINOMA"), (to_carcinoma, "STROMA"))):
        band = np.searchsorted(_EDGES_UM, specimen.per_cell(distance_of), side="left") - 1
        band[(band >= bands) | (specimen.cells.tissue != maps.tissue.code(here))] = -1
        counts[:, side] = cross_count(specimen.cells.label, band, (N_CELL_CLASSES, bands))
    area_mm2 = maps.mm2_of(maps.border_px)
    nulls = (
        (not maps.has("CARCINOMA"), NO_CARCINOMA),
        (not maps.has("STROMA"), NO_STROMA),
        (area_mm2 == 0, _EMPTY),
    )
    return {"CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}": result(quotient(counts, area_mm2), counts, *nulls)}


FAMILY = Family(
    "tumor-border",
    "Densities either side of the border",
    "Bands of distance to the carcinoma-stroma border: IN = carcinoma by its distance to the nearest stroma, "
    "OUT = stroma by its distance to the nearest carcinoma; distances between pixel centers, upper end "
    "included.",
    TEMPLATES,
    tumor_border,
    source="Exact distance transform: Meijster et al. 2000, doi:10.1007/0-306-47025-X_36",
    alias="I1",
)
