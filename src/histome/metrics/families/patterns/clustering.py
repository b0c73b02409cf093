"""How each class clusters: nearest neighbors, autocorrelation, hot spots, concentration."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.declaration import SHARE, UNBOUNDED, Family, Template, in_loops
from histome.metrics.distances import to_border
from histome.metrics.maps import TissueMaps
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import (
    FEW_TILES,
    FEWEST_TILES,
    NONE_IN_TILES,
    USED_TILES,
    VERY_FEW_TILES,
    VERY_FEWEST_TILES,
    gini,
    is_flat,
    small_tiles,
)
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.significance import two_sided

# Two-sided 5 % of the normal distribution, the usual cut for Gi*.
_HOT = 1.96
_FEWEST_CELLS = 20
_FEW_CELLS = (
    f"fewer than {_FEWEST_CELLS} {{cell}} lie in nucleated tissue, nearer to one another than to its border"
)
_LEVEL = "the density is the same everywhere"
_NO_TOUCHING = "no tiles touch"

TEMPLATES = in_loops(
    ("cell",),
    Template(
        "CLARK_EVANS_{cell}",
        "1",
        "mean nearest-neighbor distance among {cell}, border corrected / that of a random pattern",
        (_FEW_CELLS,),
        smallest_sample=_FEWEST_CELLS,
        counts="{cell} nearer to another of them than to the border of the nucleated tissue",
    ),
    Template(
        "MORANS_I_{cell}",
        "1",
        "Moran's I of the density of {cell} in tiles of 250 um",
        (FEW_TILES, _LEVEL, _NO_TOUCHING),
        UNBOUNDED,
        smallest_sample=FEWEST_TILES,
        counts=USED_TILES,
    ),
    Template(
        "HOTSPOT_FRACTION_{cell}",
        "1",
        "share of tiles of 250 um with a Getis-Ord Gi* above 1.96 for {cell}",
        (FEW_TILES, _LEVEL),
        SHARE,
        smallest_sample=FEWEST_TILES,
        counts=USED_TILES,
    ),
    Template(
        "GINI_{cell}",
        "1",
        "Gini coefficient of the density of {cell} in tiles of 250 um",
        (VERY_FEW_TILES, NONE_IN_TILES),
        SHARE,
        smallest_sample=VERY_FEWEST_TILES,
        derived="the same as HETEROGENEITY_GINI_(cell)_250",
        counts=USED_TILES,
    ),
)


def clustering(specimen: Specimen) -> Mapping[str, Result]:
    """Measure how each class clusters; n is the number of cells (Clark-Evans) or tiles of 250 um.

    Clark and Evans 1954 (doi:10.2307/1931034) with the mean distance after Hanisch 1984
    (doi:10.1080/02331888408801788); Moran 1950 (doi:10.2307/2332142) and Ord and Getis 1995
    (doi:10.1111/j.1538-4632.1995.tb00912.x) with binary weights for tiles that share a side or a corner.
    """
    tiles = specimen.once(small_tiles)
    density = tiles.density[tiles.used]
    n, few, level = len(density), (len(density) < FEWEST_TILES, FEW_TILES), (is_flat(density), _LEVEL)
    morans = [morans_i(tiles.density[..., k], tiles.used) for k in range(N_CELL_CLASSES)]
    hot = [hotspot_fraction(tiles.density[..., k], tiles.used) for k in range(N_CELL_CLASSES)]
    none = (density.sum(axis=0) == 0, NONE_IN_TILES)
    return {
        "CLARK_EVANS_{cell}": _clark_evans(specimen),
        "MORANS_I_{cell}": result(morans, n, few, level, (np.isnan(morans), _NO_TOUCHING)),
        "HOTSPOT_FRACTION_{cell}": result(hot, n, few, level),
        "GINI_{cell}": result(gini(density), n, (n < VERY_FEWEST_TILES, VERY_FEW_TILES), none),
    }


def _tiles_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    distance, weight = specimen.for_now(_hanisch)
    window = blocks.tissue_mm2[:, list(specimen.maps.nucleated_codes)].sum(axis=1)[:, None] * 1e6
    sure, label = weight > 0, specimen.cells.label
    own = np.where(sure, label, -1)
    sums = [blocks.count(own, (N_CELL_CLASSES,), each) for each in (weight * distance, weight)]
    return {
        "CLARK_EVANS_{cell}": BlockSums(
            lambda top, bottom, n, area: quotient(top, bottom) * 2 * np.sqrt(quotient(n, area)),
            (*sums, blocks.per_class(specimen), window),
        ),
    }


def _tests(specimen: Specimen, results: Mapping[str, Result]) -> Mapping[str, NDArray[np.float64]]:
    tiles, pattern = specimen.once(small_tiles), "MORANS_I_{cell}"
    value = results[pattern].value
    z = [morans_z(value[k], tiles.density[..., k], tiles.used) for k in range(N_CELL_CLASSES)]
    return {pattern: two_sided(np.array(z))}


FAMILY = Family(
    "clustering",
    "Clustering of one class",
    "Clark-Evans ratio, with Hanisch's border correction in the nucleated tissue; Moran's I, Getis-Ord hot "
    "spots and Gini coefficient of the densities of 250 um tiles (neighbors share a side or a corner).",
    TEMPLATES,
    clustering,
    source="Clark and Evans 1954, doi:10.2307/1931034; Hanisch 1984, doi:10.1080/02331888408801788; Moran "
    "1950, doi:10.2307/2332142; Ord and Getis 1995, doi:10.1111/j.1538-4632.1995.tb00912.x",
    null_model="Clark-Evans: a random pattern of the same density in the nucleated tissue (1; less is "
    "clustered); Moran's I: densities exchanged among the tiles (-1 / (tiles - 1)); Gi*: a standard normal, "
    "one-sided and not corrected for the number of tiles (2.5 % of them are hot by chance); Gini: none",
    alias="S7",
    block_sums=_tiles_per_block,
    tests=_tests,
    no_interval="Gini coefficients and hot spots are no function of sums over blocks of tissue; intervals of "
    "Moran's I from blocks hold the truth too seldom (88 % where cells are random)",
    beside="neighborhood-centers",
)


def morans_i(field: NDArray[np.float64], used: NDArray[np.bool_]) -> float:
    """Return Moran's I of a field over the used tiles; NaN without spread or without touching tiles."""
    n = np.count_nonzero(used)
    if n == 0:
        return float("nan")
    off = np.where(used, field - field[used].mean(), 0.0)
    links = _around(used.astype(float))[used].sum()
    return float(quotient(n * (off * _around(off))[used].sum(), links * (off**2).sum()))


def morans_z(value: float, field: NDArray[np.float64], used: NDArray[np.bool_]) -> float:
    """Return how many SD Moran's I lies from its mean over all exchanges of the tiles; NaN stays.

    Mean and SD in closed form (Cliff and Ord 1981, as p_rand of esda).
    """
    n = np.count_nonzero(used)
    if not np.isfinite(value) or n < 4:
        return float("nan")
    off = field[used] - field[used].mean()
    kurtosis = n * (off**4).sum() / (off**2).sum() ** 2
    links = _around(used.astype(float))[used]
    s0, s1, s2 = links.sum(), 2 * links.sum(), 4 * (links**2).sum()
    above = n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
    above -= kurtosis * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    mean = -1 / (n - 1)
    variance = above / ((n - 1) * (n - 2) * (n - 3) * s0**2) - mean**2
    return (value - mean) / np.sqrt(variance) if variance > 0 else float("nan")


def getis_ord(field: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the z-score Gi* of each used tile, itself included; 0 where it is not defined."""
    x = np.where(used, field, 0.0)
    n, mean = np.count_nonzero(used), x[used].mean()
    sd = np.sqrt(max((x[used] ** 2).mean() - mean**2, 0.0))
    weight = (_around(used.astype(float)) + used)[used]
    local = (_around(x) + x)[used]
    scale = sd * np.sqrt(np.maximum(n * weight - weight**2, 0) / max(n - 1, 1))
    return np.nan_to_num(quotient(local - mean * weight, scale))


def hotspot_fraction(field: NDArray[np.float64], used: NDArray[np.bool_]) -> float:
    """Return the share of the used tiles with Gi* above 1.96; 0 without tiles."""
    return float(np.mean(getis_ord(field, used) > _HOT)) if used.any() else 0.0


def _around(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the eight tiles around each tile; beyond the lattice is 0."""
    height, width = field.shape
    padded = np.pad(field, 1)
    total = np.zeros_like(field)
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                total += padded[dy : dy + height, dx : dx + width]
    return total


def _clark_evans(specimen: Specimen) -> Result:
    """Return the Clark-Evans ratio per class, from the distances that end before the border does."""
    window_um2 = specimen.maps.nucleated_um2.sum()
    distance, weight = specimen.for_now(_hanisch)
    ratio, n = np.full(N_CELL_CLASSES, np.nan), np.zeros(N_CELL_CLASSES, np.int64)
    for k in range(N_CELL_CLASSES):
        rows = specimen.cells.label == k
        sure = rows & (weight > 0)
        n[k] = np.count_nonzero(sure)
        if n[k] >= _FEWEST_CELLS:
            mean = np.average(distance[sure], weights=weight[sure])
            ratio[k] = mean * 2 * np.sqrt(np.count_nonzero(rows & (specimen.nucleated >= 0)) / window_um2)
    return result(ratio, n, (n < _FEWEST_CELLS, _FEW_CELLS))


def _hanisch(specimen: Specimen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each cell's distance to the next of its class and its weight, 0 where it is not sure.

    A distance d could only be seen in the window eroded by d, so it weighs 1 / that area.
    """
    left_um2, border = specimen.maps.once(_eroded_um2), specimen.per_cell(to_border)
    distance = np.empty(len(specimen.cells))
    for k, squared in enumerate(specimen.nearest_squared):
        own = specimen.cells.label == k
        distance[own] = np.sqrt(squared[own])
    sure = (specimen.nucleated >= 0) & (distance <= border)
    weight = np.zeros(len(distance))
    if sure.any():
        weight[sure] = 1 / np.interp(
            distance[sure] / specimen.maps.tissue.mpp, np.arange(len(left_um2)), left_um2
        )
    return np.where(sure, distance, 0.0), weight


def _eroded_um2(maps: TissueMaps) -> NDArray[np.float64]:
    """Return the area of the nucleated tissue eroded by 0, 1, 2 ... px, um2."""
    tissue = maps.tissue
    pixels = maps.distance_to_border().tail(tissue.array, maps.nucleated_codes, shares=tissue.shares)
    return np.asarray(pixels * maps.um2_per_px, np.float64)
