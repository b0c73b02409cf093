"""How unevenly each class is spread over tiles of three sizes."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.axes import TILE_SIZES_UM
from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import (
    NONE_IN_TILES,
    SMALL_TILE_UM,
    VERY_FEW_TILES,
    VERY_FEWEST_TILES,
    gini,
    small_tiles,
    tiles_of,
)
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.tile_sums import cv_sums, empty_sums

_COUNTS = "tiles of {tile} um that are at least a quarter nucleated tissue"

TEMPLATES = in_loops(
    ("cell", "tile"),
    Template(
        "HETEROGENEITY_CV_{cell}_{tile}",
        "1",
        "SD (n - 1) / mean of the density of {cell} in tiles of {tile} um",
        (VERY_FEW_TILES, NONE_IN_TILES),
        smallest_sample=VERY_FEWEST_TILES,
        counts=_COUNTS,
    ),
    Template(
        "HETEROGENEITY_GINI_{cell}_{tile}",
        "1",
        "Gini coefficient of the density of {cell} in tiles of {tile} um",
        (VERY_FEW_TILES, NONE_IN_TILES),
        SHARE,
        smallest_sample=VERY_FEWEST_TILES,
        counts=_COUNTS,
    ),
    Template(
        "HETEROGENEITY_P90_{cell}_{tile}",
        "cells/mm2",
        "90th percentile of the density of {cell} in tiles of {tile} um",
        (VERY_FEW_TILES,),
        smallest_sample=VERY_FEWEST_TILES,
        counts=_COUNTS,
    ),
    Template(
        "HETEROGENEITY_EMPTY_SHARE_{cell}_{tile}",
        "1",
        "share of tiles of {tile} um without {cell}",
        (VERY_FEW_TILES,),
        SHARE,
        smallest_sample=VERY_FEWEST_TILES,
        counts=_COUNTS,
    ),
)


def heterogeneity(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the spread of the densities of each class over tiles of three sizes; n counts tiles."""
    shape = (N_CELL_CLASSES, len(TILE_SIZES_UM))
    cv, concentration, high, empty, n = (np.full(shape, np.nan) for _ in range(5))
    absent = np.zeros(shape, np.bool_)
    for k, size_um in enumerate(TILE_SIZES_UM):
        tiles = specimen.once(small_tiles) if size_um == SMALL_TILE_UM else tiles_of(specimen, float(size_um))
        density = tiles.density[tiles.used]
        n[:, k] = len(density)
        absent[:, k] = density.sum(axis=0) == 0
        if len(density) < VERY_FEWEST_TILES:
            continue
        cv[:, k] = quotient(density.std(axis=0, ddof=1), density.mean(axis=0))
        concentration[:, k] = gini(density)
        high[:, k] = np.percentile(density, 90, axis=0)
        empty[:, k] = np.mean(tiles.counts[tiles.used] == 0, axis=0)
    few, none = (n < VERY_FEWEST_TILES, VERY_FEW_TILES), (absent, NONE_IN_TILES)
    return {
        "HETEROGENEITY_CV_{cell}_{tile}": result(cv, n, few, none),
        "HETEROGENEITY_GINI_{cell}_{tile}": result(concentration, n, few, none),
        "HETEROGENEITY_P90_{cell}_{tile}": result(high, n, few),
        "HETEROGENEITY_EMPTY_SHARE_{cell}_{tile}": result(empty, n, few),
    }


def _tiles_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    sizes = [tiles_of(specimen, float(size_um)) for size_um in TILE_SIZES_UM]
    return {
        "HETEROGENEITY_CV_{cell}_{tile}": cv_sums(blocks, sizes),
        "HETEROGENEITY_EMPTY_SHARE_{cell}_{tile}": empty_sums(blocks, sizes),
    }


FAMILY = Family(
    "heterogeneity",
    "Heterogeneity between tiles",
    "Densities of a class in square tiles of which at least a quarter is nucleated tissue; the tiles cover "
    "the upright bounding box of the analyzed tissue and are centered on it. Densities are per nucleated "
    "tissue of the tile; every tile that is used weighs the same.",
    TEMPLATES,
    heterogeneity,
    null_model="none: at random, too, the CV and the Gini coefficient grow as cells get fewer (CV^2 about "
    "1 / mean cells a tile), so they compare between classes and slides of like abundance only",
    alias="H1",
    block_sums=_tiles_per_block,
    no_interval="Gini coefficients and quantiles are no function of sums over blocks of tissue, and tiles "
    "larger than a block belong to none",
)
