"""How unevenly each class is spread over tiles, beyond what its number alone brings about."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import TILE_SIZES_UM
from histome.metrics.declaration import SHARE, UNBOUNDED, Family, Template, in_loops
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import (
    FEWEST_SHARING,
    NONE_IN_TILES,
    VERY_FEW_TILES,
    VERY_FEWEST_TILES,
    Tiling,
    four_tilings,
    gini,
)
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.tile_sums import excess_sums, morisita_sums

_FEW_CELLS = (
    f"the tiles of {{tile}} um hold too few {{cell}}: fewer than {FEWEST_SHARING} pairs would share a tile "
    "at random"
)
# Scatterings that the Gini coefficient at random is the mean of: its standard error is below 0.01.
_DRAWS = 32

_TILES = "tiles of {tile} um that are at least a quarter nucleated tissue"
_SHARING = "pairs of {cell} that would share a tile at random, rounded down"

TEMPLATES = in_loops(
    ("cell", "tile"),
    Template(
        "HETEROGENEITY_CV_AT_RANDOM_{cell}_{tile}",
        "1",
        "HETEROGENEITY_CV as expected of as many {cell} scattered evenly over the nucleated tissue",
        (VERY_FEW_TILES, NONE_IN_TILES),
        smallest_sample=VERY_FEWEST_TILES,
        counts=_TILES,
    ),
    Template(
        "HETEROGENEITY_GINI_AT_RANDOM_{cell}_{tile}",
        "1",
        "HETEROGENEITY_GINI as expected of as many {cell} scattered evenly over the nucleated tissue",
        (VERY_FEW_TILES, NONE_IN_TILES),
        SHARE,
        smallest_sample=VERY_FEWEST_TILES,
        counts=_TILES,
    ),
    Template(
        "HETEROGENEITY_CV2_EXCESS_{cell}_{tile}",
        "1",
        "CV^2 - 1 / mean of the {cell} in tiles of {tile} um: the squared CV beyond that of counting",
        (VERY_FEW_TILES, _FEW_CELLS),
        UNBOUNDED,
        smallest_sample=FEWEST_SHARING,
        counts=_SHARING,
    ),
    Template(
        "HETEROGENEITY_MORISITA_{cell}_{tile}",
        "1",
        "Morisita's I: pairs of {cell} that share a tile of {tile} um / those of {cell} scattered evenly",
        (VERY_FEW_TILES, _FEW_CELLS),
        smallest_sample=FEWEST_SHARING,
        counts=_SHARING,
    ),
)


def tile_dispersion(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the spread of each class over tiles of three sizes, freed from how many cells there are.

    n counts tiles for the two at random, and the pairs that share a tile at random for the others, which are
    means over four origins of the tiles.
    """
    shape = (N_CELL_CLASSES, len(TILE_SIZES_UM))
    cv, concentration, excess, morisita = (np.full(shape, np.nan) for _ in range(4))
    tiles, sharing = np.zeros(shape, np.int64), np.zeros(shape)
    absent, enough = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for k, size_um in enumerate(TILE_SIZES_UM):
        tilings = four_tilings(specimen, float(size_um))
        tiles[:, k] = len(tilings[0].mm2)
        absent[:, k] = tilings[0].counts.sum(axis=0) == 0
        if tiles[0, k] >= VERY_FEWEST_TILES:
            cv[:, k], concentration[:, k] = cv_at_random(tilings[0]), gini_at_random(tilings[0])
        enough[:, k] = min(len(tiling.mm2) for tiling in tilings) >= VERY_FEWEST_TILES
        if enough[0, k]:
            sharing[:, k] = np.min([tiling.sharing() for tiling in tilings], axis=0)
            excess[:, k] = np.mean([cv2_excess(tiling) for tiling in tilings], axis=0)
            morisita[:, k] = np.mean([morisita_index(tiling) for tiling in tilings], axis=0)
    few, none = (tiles < VERY_FEWEST_TILES, VERY_FEW_TILES), (absent, NONE_IN_TILES)
    n = np.floor(sharing)
    beyond = ((~enough, VERY_FEW_TILES), (n < FEWEST_SHARING, _FEW_CELLS))
    return {
        "HETEROGENEITY_CV_AT_RANDOM_{cell}_{tile}": result(cv, tiles, few, none),
        "HETEROGENEITY_GINI_AT_RANDOM_{cell}_{tile}": result(concentration, tiles, few, none),
        "HETEROGENEITY_CV2_EXCESS_{cell}_{tile}": result(excess, n, *beyond),
        "HETEROGENEITY_MORISITA_{cell}_{tile}": result(morisita, n, *beyond),
    }


def _tiles_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    sizes = [four_tilings(specimen, float(size_um)) for size_um in TILE_SIZES_UM]
    return {
        "HETEROGENEITY_CV2_EXCESS_{cell}_{tile}": excess_sums(blocks, sizes),
        "HETEROGENEITY_MORISITA_{cell}_{tile}": morisita_sums(blocks, sizes),
    }


FAMILY = Family(
    "tile-dispersion",
    "Heterogeneity beyond chance",
    "Counts of a class in square tiles of which at least a quarter is nucleated tissue, against as many "
    "cells scattered evenly over that tissue. CV and Gini at random belong to the tiles of the family "
    "heterogeneity; the excess (0 at random) and Morisita's index (1 at random) are means over those tiles "
    "and the same moved by half a tile along x, y and both, n the pairs of cells that would share a tile at "
    "random.",
    TEMPLATES,
    tile_dispersion,
    source="Morisita 1959, Mem. Fac. Sci. Kyushu Univ. E 2:215-235, for tiles of unequal area; negative "
    "binomial 1/k: Bliss and Fisher 1953, doi:10.2307/3001850",
    null_model="as many cells scattered evenly over the nucleated tissue",
    block_sums=_tiles_per_block,
    no_interval="what is expected at random is no estimate of the tissue; tiles larger than half a block, "
    "moved by half a tile, lie in several blocks, and intervals from them hold the truth too seldom (89 % "
    "for tiles of 500 um on blocks of 500 um): for these block_um = 1000 gives one",
)


def cv_at_random(tiling: Tiling) -> NDArray[np.float64]:
    """Return the expected CV of the densities of each class, (9,): root of mean(1 / area) / mean density."""
    density = tiling.counts / tiling.mm2[:, None]
    return np.sqrt(quotient(np.mean(1 / tiling.mm2), density.mean(axis=0)))


def gini_at_random(tiling: Tiling) -> NDArray[np.float64]:
    """Return the mean Gini coefficient of the densities of each class over draws from a fixed seed, (9,)."""
    # In the order of their areas: neither a turn nor a move of the slide changes what is drawn.
    mm2 = np.sort(tiling.mm2)
    found = np.full(N_CELL_CLASSES, np.nan)
    for k, cells in enumerate(tiling.counts.sum(axis=0)):
        if cells:
            rng = np.random.default_rng(0)
            drawn = rng.multinomial(cells, mm2 / mm2.sum(), size=_DRAWS)
            found[k] = gini((drawn / mm2).T).mean()
    return found


def cv2_excess(tiling: Tiling) -> NDArray[np.float64]:
    """Return the squared CV (n - 1) of the densities less that at random, (9,)."""
    density = tiling.counts / tiling.mm2[:, None]
    squared = quotient(density.var(axis=0, ddof=1), density.mean(axis=0) ** 2)
    return squared - cv_at_random(tiling) ** 2


def morisita_index(tiling: Tiling) -> NDArray[np.float64]:
    """Return Morisita's index of each class, (9,): sum k (k - 1) / (K (K - 1) sum p^2).

    k and K are the cells in a tile and in all, p is the tile's share of the area.
    """
    pairs = (tiling.counts * (tiling.counts - 1)).sum(axis=0) / 2
    return quotient(pairs, tiling.sharing())
