"""How unevenly the cells are spread: tiles, autocorrelation, clustering (families S6, S7 and H1)."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import TILE_SIZES_UM
from histome.metrics.families.ripley import border_distance
from histome.metrics.maps import Ground
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene
from histome.metrics.tiles import Tiles, tiles_of

_TILE_UM = 250.0
_FEWEST, _VERY_FEWEST = 10, 5
_FEW = "fewer than 10 tiles are at least a quarter nucleated tissue"
_VERY_FEW = "fewer than 5 tiles are at least a quarter nucleated tissue"
_FLAT = "the density is the same everywhere"
_SMALLEST_SAMPLE = 20
# Two-sided 5 % of the normal distribution, the usual cut for Gi*.
_HOT = 1.96


def small_tiles(scene: Scene) -> Tiles:
    """Cut the scene into the tiles of 250 um that several families share."""
    return tiles_of(scene, _TILE_UM)


def colocalization(scene: Scene) -> Mapping[str, Values]:
    """Measure how two classes share the tiles of 250 um, per unordered pair; n is the number of tiles.

    Morisita-Horn (Horn 1966, doi:10.1086/282436): 2 sum(x y) / ((sum(x^2) / X^2 + sum(y^2) / Y^2) X Y) of
    counts x, y with totals X, Y; 0 for separate, 1 for proportional. Pearson correlation of the densities.
    """
    tiles = scene.once(small_tiles)
    counts, density = tiles.counts[tiles.used].astype(float), tiles.density[tiles.used]
    first, second = np.array(list(combinations(range(N_CELL_CLASSES), 2))).T
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
    n, few = len(counts), (len(counts) < _FEWEST, _FEW)
    absent = counts.sum(axis=0) == 0
    flat = _flat(density)
    return {
        "COLOCALIZATION_MORISITA_HORN_{pair}": values(
            overlap[first, second].clip(0, 1),
            n,
            few,
            (absent[first] | absent[second], "one of the classes is absent"),
        ),
        "COLOCALIZATION_PEARSON_{pair}": values(
            correlation[first, second],
            n,
            few,
            (flat[first] | flat[second], "a density is the same everywhere"),
        ),
    }


def clustering(scene: Scene) -> Mapping[str, Values]:
    """Measure how each class clusters; n is the number of cells (Clark-Evans) or tiles of 250 um.

    Clark and Evans 1954 (doi:10.2307/1931034) with the mean distance after Hanisch 1984
    (doi:10.1080/02331888408801788); Moran 1950 (doi:10.2307/2332142) and Ord and Getis 1995
    (doi:10.1111/j.1538-4632.1995.tb00912.x) with binary weights for tiles that share a side or a corner.
    """
    tiles = scene.once(small_tiles)
    density = tiles.density[tiles.used]
    n, few, flat = len(density), (len(density) < _FEWEST, _FEW), (_flat(density), _FLAT)
    morans = [morans_i(tiles.density[..., k], tiles.used) for k in range(N_CELL_CLASSES)]
    hot = [hotspot_fraction(tiles.density[..., k], tiles.used) for k in range(N_CELL_CLASSES)]
    none = (density.sum(axis=0) == 0, "there are no {cell} in the tiles")
    return {
        "CLARK_EVANS_{cell}": _clark_evans(scene),
        "MORANS_I_{cell}": values(morans, n, few, flat, (np.isnan(morans), "no tiles touch")),
        "HOTSPOT_FRACTION_{cell}": values(hot, n, few, flat),
        "GINI_{cell}": values(gini(density), n, (n < _VERY_FEWEST, _VERY_FEW), none),
    }


def heterogeneity(scene: Scene) -> Mapping[str, Values]:
    """Measure the spread of the densities of each class over tiles of three sizes; n counts tiles."""
    shape = (N_CELL_CLASSES, len(TILE_SIZES_UM))
    cv, concentration, high, empty, n = (np.full(shape, np.nan) for _ in range(5))
    absent = np.zeros(shape, np.bool_)
    for k, size_um in enumerate(TILE_SIZES_UM):
        tiles = scene.once(small_tiles) if size_um == _TILE_UM else tiles_of(scene, float(size_um))
        density = tiles.density[tiles.used]
        n[:, k] = len(density)
        absent[:, k] = density.sum(axis=0) == 0
        if len(density) < _VERY_FEWEST:
            continue
        cv[:, k] = quotient(density.std(axis=0, ddof=1), density.mean(axis=0))
        concentration[:, k] = gini(density)
        high[:, k] = np.percentile(density, 90, axis=0)
        empty[:, k] = np.mean(tiles.counts[tiles.used] == 0, axis=0)
    few, none = (n < _VERY_FEWEST, _VERY_FEW), (absent, "there are no {cell} in the tiles")
    return {
        "HETEROGENEITY_CV_{cell}_{tile}": values(cv, n, few, none),
        "HETEROGENEITY_GINI_{cell}_{tile}": values(concentration, n, few, none),
        "HETEROGENEITY_P90_{cell}_{tile}": values(high, n, few),
        "HETEROGENEITY_EMPTY_SHARE_{cell}_{tile}": values(empty, n, few),
    }


def gini(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gini coefficient of each column: 0 equal, (n - 1) / n all in one; NaN where the sum is 0."""
    n = len(samples)
    if n == 0:
        return np.full(samples.shape[1:], np.nan)
    rank = np.arange(1, n + 1)[:, None]
    weighted = (rank * np.sort(samples, axis=0)).sum(axis=0)
    return (quotient(2 * weighted, n * samples.sum(axis=0)) - (n + 1) / n).clip(0, 1)


def morans_i(field: NDArray[np.float64], used: NDArray[np.bool_]) -> float:
    """Return Moran's I of a field over the used tiles; NaN without spread or without touching tiles."""
    n = np.count_nonzero(used)
    if n == 0:
        return float("nan")
    off = np.where(used, field - field[used].mean(), 0.0)
    links = _around(used.astype(float))[used].sum()
    return float(quotient(n * (off * _around(off))[used].sum(), links * (off**2).sum()))


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


def _flat(density: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which columns have no spread."""
    if len(density) == 0:
        return np.ones(density.shape[1], np.bool_)
    return np.ptp(density, axis=0) == 0


def _clark_evans(scene: Scene) -> Values:
    """Return the Clark-Evans ratio per class, from the distances that end before the border does."""
    window_um2 = scene.ground.nucleated_um2.sum()
    left_um2 = scene.ground.once(_eroded_um2)
    border = scene.per_cell(border_distance)
    ratio, n = np.full(N_CELL_CLASSES, np.nan), np.zeros(N_CELL_CLASSES, np.int64)
    for k in range(N_CELL_CLASSES):
        rows = (scene.cells.label == k) & (scene.nucleated >= 0)
        distance = np.sqrt(scene.nearest_squared[k, rows])
        sure = distance <= border[rows]
        n[k] = np.count_nonzero(sure)
        if n[k] >= _SMALLEST_SAMPLE:
            # Hanisch: a distance d could only be seen in the window eroded by d, so it weighs 1 / that area.
            weight = 1 / np.interp(
                distance[sure] / scene.ground.tissue.mpp, np.arange(len(left_um2)), left_um2
            )
            mean = np.average(distance[sure], weights=weight)
            ratio[k] = mean * 2 * np.sqrt(np.count_nonzero(rows) / window_um2)
    few = "fewer than 20 {cell} lie in nucleated tissue, nearer to one another than to its border"
    return values(ratio, n, (n < _SMALLEST_SAMPLE, few))


def _eroded_um2(ground: Ground) -> NDArray[np.float64]:
    """Return the area of the nucleated tissue eroded by 0, 1, 2 ... px, um2."""
    pixels = ground.distance_to_border().tail(ground.tissue.array, ground.nucleated_codes)
    return np.asarray(pixels * ground.um2_per_px, np.float64)
