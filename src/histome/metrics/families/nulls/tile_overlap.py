"""How two classes share the tissue, tile by tile, beyond what their numbers alone bring about."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import (
    FEW_TILES,
    FEWEST_SHARING,
    FEWEST_TILES,
    SMALL_TILE_UM,
    USED_TILES,
    Tiling,
    four_tilings,
)
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.tile_sums import overlap_sums

_ABSENT = "one of the classes is absent"
_FEW_CELLS = (
    f"the tiles hold too few cells of one of the classes: fewer than {FEWEST_SHARING} pairs of it would "
    "share a tile at random"
)
_APART = "no two cells of one class share a tile"
_FIRST, _SECOND = np.array(list(combinations(range(N_CELL_CLASSES), 2))).T

TEMPLATES = in_loops(
    ("pair",),
    Template(
        "COLOCALIZATION_MORISITA_HORN_AT_RANDOM_{pair}",
        "1",
        "COLOCALIZATION_MORISITA_HORN as expected of as many {pair} scattered evenly over the tissue",
        (FEW_TILES, _ABSENT),
        SHARE,
        smallest_sample=FEWEST_TILES,
        counts=USED_TILES,
    ),
    Template(
        "COLOCALIZATION_MORISITA_{pair}",
        "1",
        "Morisita's overlap of {pair} in tiles of 250 um",
        (FEW_TILES, _FEW_CELLS, _APART),
        smallest_sample=FEWEST_SHARING,
        counts="pairs of the rarer class that would share a tile at random, rounded down",
    ),
)


def tile_overlap(specimen: Specimen) -> Mapping[str, Result]:
    """Measure how two classes share the tiles of 250 um, freed from how many cells there are.

    n counts tiles for the value at random, and for Morisita's overlap, a mean over four origins, the pairs of
    the rarer class that share a tile at random.
    """
    tilings = four_tilings(specimen, SMALL_TILE_UM)
    tiles = len(tilings[0].mm2)
    total = tilings[0].counts.sum(axis=0)
    absent = (total[_FIRST] == 0) | (total[_SECOND] == 0)
    sharing = np.floor(np.min([tiling.sharing() for tiling in tilings], axis=0))
    n = np.minimum(sharing[_FIRST], sharing[_SECOND])
    overlap = np.mean([morisita_overlap(tiling) for tiling in tilings], axis=0)
    fewest = min(len(tiling.mm2) for tiling in tilings)
    return {
        "COLOCALIZATION_MORISITA_HORN_AT_RANDOM_{pair}": result(
            horn_at_random(tilings[0]), tiles, (tiles < FEWEST_TILES, FEW_TILES), (absent, _ABSENT)
        ),
        "COLOCALIZATION_MORISITA_{pair}": result(
            overlap,
            n,
            (fewest < FEWEST_TILES, FEW_TILES),
            (n < FEWEST_SHARING, _FEW_CELLS),
            (np.isnan(overlap), _APART),
        ),
    }


def _tiles_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    tilings = four_tilings(specimen, SMALL_TILE_UM)
    return {"COLOCALIZATION_MORISITA_{pair}": overlap_sums(blocks, tilings, _FIRST, _SECOND)}


FAMILY = Family(
    "tile-overlap",
    "Co-localization beyond chance",
    "Over square tiles of 250 um of which at least a quarter is nucleated tissue. Morisita's overlap is the "
    "Morisita-Horn index with pairs of different cells in place of squares: 0 for separate classes and 1 for "
    "proportional ones, however few cells there are; a mean over the tiles of the family colocalization and "
    "the same moved by half a tile along x, y and both, n the pairs of the rarer class that would share a "
    "tile at random.",
    TEMPLATES,
    tile_overlap,
    source="Morisita 1959, Mem. Fac. Sci. Kyushu Univ. E 3:65-80; Horn 1966, doi:10.1086/282436",
    null_model="as many cells scattered evenly over the nucleated tissue",
    block_sums=_tiles_per_block,
    no_interval="what is expected at random is no estimate of the tissue; blocks of 250 um are too small for "
    "tiles of 250 um that are moved by half a tile",
)


def horn_at_random(tiling: Tiling) -> NDArray[np.float64]:
    """Return the Morisita-Horn index of each pair with every sum at its expectation, (36,)."""
    total = tiling.counts.sum(axis=0).astype(float)
    crowding = tiling.crowding()
    # Expected sum of squares over the squared total: each cell shares its tile with itself.
    squares = crowding + quotient(1 - crowding, total)
    return quotient(2 * crowding, squares[_FIRST] + squares[_SECOND])


def morisita_overlap(tiling: Tiling) -> NDArray[np.float64]:
    """Return 2 sum(x y) / ((sum x (x - 1) / X (X - 1) + the same of y) X Y) of each pair, (36,)."""
    counts = tiling.counts.astype(float)
    total = counts.sum(axis=0)
    both = quotient(counts.T @ counts, np.outer(total, total))
    own = quotient((counts * (counts - 1)).sum(axis=0), total * (total - 1))
    return quotient(2 * both[_FIRST, _SECOND], own[_FIRST] + own[_SECOND])
