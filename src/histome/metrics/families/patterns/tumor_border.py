"""Cells either side of the border between carcinoma and stroma."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import BORDER_BANDS_UM
from histome.metrics.declaration import Family, Template, in_loops
from histome.metrics.distances import to_carcinoma, to_stroma
from histome.metrics.maps import TissueMaps
from histome.metrics.reasons import NO_CARCINOMA, NO_STROMA
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen, cross_count
from histome.metrics.tiles import from_squares, squares_over
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio

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
    band = specimen.for_now(_band_of_cells)
    counts = cross_count(specimen.cells.label, band, (N_CELL_CLASSES, 2 * len(BORDER_BANDS_UM)))
    counts = counts.reshape(N_CELL_CLASSES, 2, -1)
    area_mm2 = maps.mm2_of(maps.once(bands_per_square).sum(axis=(0, 1)))
    nulls = (
        (not maps.has("CARCINOMA"), NO_CARCINOMA),
        (not maps.has("STROMA"), NO_STROMA),
        (area_mm2 == 0, _EMPTY),
    )
    return {"CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}": result(quotient(counts, area_mm2), counts, *nulls)}


def _band_of_cells(specimen: Specimen) -> NDArray[np.int64]:
    """Return the band of each cell, those outside behind those inside, -1 in none, (n,)."""
    bands, tissue = len(BORDER_BANDS_UM), specimen.cells.tissue
    found = np.full(len(tissue), -1, np.int64)
    for side, (distance_of, here) in enumerate(((to_stroma, "CARCINOMA"), (to_carcinoma, "STROMA"))):
        band = np.searchsorted(_EDGES_UM, specimen.per_cell(distance_of), side="left") - 1
        held = (band >= 0) & (band < bands) & (tissue == specimen.maps.tissue.code(here))
        found[held] = side * bands + band[held]
    return found


def _bands_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    bands = len(BORDER_BANDS_UM)
    code = specimen.for_now(_band_of_cells)
    code = np.where(code >= 0, code + 2 * bands * specimen.cells.label.astype(np.int64), -1)
    counts = blocks.count(code, (N_CELL_CLASSES, 2, bands))
    assert blocks.lattice is not None
    maps = specimen.maps
    area = maps.mm2_of(from_squares(maps, maps.once(bands_per_square), blocks.lattice)[blocks.held])
    return {"CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}": ratio(counts, area[:, None])}


def bands_per_square(maps: TissueMaps) -> NDArray[np.float64]:
    """Return the area of each band in each square of 125 um, px, (rows, columns, 2, bands).

    Carcinoma by its distance to stroma and stroma by that to carcinoma; a pixel is where its center is.
    """
    squares = maps.once(squares_over)
    places = tuple(
        np.floor(((first + np.arange(count) + 0.5) * maps.tissue.mpp - start) / squares.size_um).astype(
            np.int64
        )
        for first, count, start in zip(
            maps.tissue.origin_px[::-1],
            maps.tissue.array.shape,
            (squares.top_um, squares.left_um),
            strict=True,
        )
    )
    px = np.zeros((squares.rows, squares.columns, 2, len(BORDER_BANDS_UM)))
    for side, (here, there) in enumerate((("CARCINOMA", "STROMA"), ("STROMA", "CARCINOMA"))):
        counts = maps.distance_to_tissue(there).histogram_by_tile(
            maps.tissue.array,
            (maps.tissue.code(here),),
            _EDGES_UM / maps.tissue.mpp,
            places,
            shares=maps.tissue.shares,
        )
        px[: counts.shape[0], : counts.shape[1], side] = counts
    return px


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
    block_sums=_bands_per_block,
)
