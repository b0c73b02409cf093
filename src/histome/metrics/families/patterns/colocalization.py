"""How two classes share the tissue, tile by tile."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import FEW_TILES, FEWEST_TILES, USED_TILES, is_flat, small_tiles
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.tile_sums import horn_sums, pearson_sums

_ABSENT = "one of the classes is absent"
_LEVEL = "a density is the same everywhere"
_FIRST, _SECOND = np.array(list(combinations(range(N_CELL_CLASSES), 2))).T

TEMPLATES = in_loops(
    ("pair",),
    Template(
        "COLOCALIZATION_MORISITA_HORN_{pair}",
        "1",
        "Morisita-Horn index of the counts of {pair} in tiles of 250 um",
        (FEW_TILES, _ABSENT),
        SHARE,
        smallest_sample=FEWEST_TILES,
        counts=USED_TILES,
    ),
    Template(
        "COLOCALIZATION_PEARSON_{pair}",
        "1",
        "Pearson correlation of the densities of {pair} in tiles of 250 um",
        (FEW_TILES, _LEVEL),
        (-1.0, 1.0),
        smallest_sample=FEWEST_TILES,
        counts=USED_TILES,
    ),
)


def colocalization(specimen: Specimen) -> Mapping[str, Result]:
    """Measure how two classes share the tiles of 250 um, per unordered pair; n is the number of tiles.

    Morisita-Horn (Horn 1966, doi:10.1086/282436): 2 sum(x y) / ((sum(x^2) / X^2 + sum(y^2) / Y^2) X Y) of
    counts x, y with totals X, Y; 0 for separate, 1 for proportional. Pearson correlation of the densities.
    """
    tiles = specimen.once(small_tiles)
    counts, density = tiles.counts[tiles.used].astype(float), tiles.density[tiles.used]
    products = counts.T @ counts
    share = quotient(np.diag(products), counts.sum(axis=0) ** 2)
    with np.errstate(invalid="ignore"):
        overlap = quotient(
            2 * quotient(products, np.outer(counts.sum(axis=0), counts.sum(axis=0))), share[:, None] + share
        )
    centered = density - density.mean(axis=0) if len(density) else density
    covariance = centered.T @ centered
    spread = np.sqrt(np.diag(covariance))
    correlation = quotient(covariance, np.outer(spread, spread)).clip(-1, 1)
    n, few = len(counts), (len(counts) < FEWEST_TILES, FEW_TILES)
    absent = counts.sum(axis=0) == 0
    level = is_flat(density)
    return {
        "COLOCALIZATION_MORISITA_HORN_{pair}": result(
            overlap[_FIRST, _SECOND].clip(0, 1),
            n,
            few,
            (absent[_FIRST] | absent[_SECOND], _ABSENT),
        ),
        "COLOCALIZATION_PEARSON_{pair}": result(
            correlation[_FIRST, _SECOND],
            n,
            few,
            (level[_FIRST] | level[_SECOND], _LEVEL),
        ),
    }


def _tiles_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    tiles = specimen.once(small_tiles)
    return {
        "COLOCALIZATION_MORISITA_HORN_{pair}": horn_sums(blocks, tiles, _FIRST, _SECOND),
        "COLOCALIZATION_PEARSON_{pair}": pearson_sums(blocks, tiles, _FIRST, _SECOND),
    }


FAMILY = Family(
    "colocalization",
    "Co-localization",
    "Over square tiles of 250 um of which at least a quarter is nucleated tissue: Morisita-Horn index of the "
    "counts, Pearson correlation of the densities.",
    TEMPLATES,
    colocalization,
    source="Horn 1966, doi:10.1086/282436; in pathology Maley et al. 2015, doi:10.1186/s13058-015-0638-4",
    null_model="none: at random, too, the Morisita-Horn index falls as cells get fewer, and two classes "
    "that share a tissue correlate",
    alias="S6",
    block_sums=_tiles_per_block,
)
