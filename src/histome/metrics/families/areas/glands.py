"""Number, size, form and spacing of glands."""

from collections.abc import Mapping

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.metrics.declaration import Family, Template, in_loops, templates_of
from histome.metrics.maps import TissueMaps
from histome.metrics.reasons import NO_REGIONS, NO_TISSUE
from histome.metrics.results import Result, all_null, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, ratio
from histome.tissue.glands import LININGS, SMALLEST_GLAND_UM2, Glands, find_glands, gland_gaps

_NO_GLAND = "there is no gland of {lining}"
_ALONE = "there are fewer than two glands of {lining}"


def _of_glands(name: str, unit: str, formula: str, high: float | None = None) -> Template:
    """Declare a number of the glands of a lining."""
    return Template(
        f"GLAND_{name}_{{lining}}",
        unit,
        formula,
        (NO_REGIONS, NO_TISSUE, _NO_GLAND),
        (0.0, high),
        smallest_sample=1,
        counts="glands of {lining}",
    )


def _between(name: str, formula: str) -> Template:
    """Declare a number of the distances between glands."""
    return Template(
        f"GLAND_DISTANCE_{name}_{{lining}}",
        "um",
        formula,
        (NO_REGIONS, NO_TISSUE, _ALONE),
        smallest_sample=2,
        counts="glands of {lining}",
    )


_COUNTED = (
    Template(
        "GLAND_COUNT_{lining}",
        "glands",
        f"number of glands of {{lining}} of at least {SMALLEST_GLAND_UM2:g} um2 with their lumina",
        (NO_REGIONS, NO_TISSUE),
        counts="glands of {lining}",
    ),
    Template(
        "GLAND_DENSITY_{lining}",
        "glands/mm2",
        "glands of {lining} / area of nucleated tissue",
        (NO_REGIONS, NO_TISSUE),
        counts="glands of {lining}",
    ),
)
TEMPLATES = in_loops(
    ("lining",),
    *_COUNTED,
    _of_glands("AREA_MEAN", "um2", "mean area of the glands of {lining}, lumina included"),
    _of_glands("AREA_MEDIAN", "um2", "median area of the glands of {lining}, lumina included"),
    _of_glands(
        "LARGEST_SHARE",
        "1",
        "area of the largest gland of {lining} / area of all of them; near 1 it is a sheet that no "
        "mean over glands describes",
        1.0,
    ),
    _of_glands("PERIMETER_MEAN", "um", "mean length of the outer border of the glands of {lining}"),
    _of_glands(
        "ROUNDNESS_MEAN", "1", "mean over glands of {lining} of 4 pi filled area / outer perimeter^2", 1.0
    ),
    _of_glands("EPITHELIUM_SHARE", "1", "area of epithelium in the glands of {lining} / their area", 1.0),
    _of_glands(
        "WITH_LUMEN_SHARE", "1", "share of the glands of {lining} with lumina of 100 um2 and more", 1.0
    ),
    _between("MEAN", "mean distance from the border of a gland of {lining} to the nearest other one's"),
    _between("MEDIAN", "median distance from the border of a gland of {lining} to the nearest other one's"),
)
PATTERNS = tuple(template.pattern for template in templates_of(TEMPLATES))


def glands(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the glands of carcinoma and of other epithelium; n is their number."""
    maps, shape = specimen.maps, (len(LININGS),)
    tissue_mm2 = maps.nucleated_um2.sum() / 1e6
    if maps.regions is None or tissue_mm2 == 0:
        return {name: all_null(shape, NO_REGIONS if maps.regions is None else NO_TISSUE) for name in PATTERNS}
    found, gaps = maps.once(_found), maps.once(_gaps)
    numbers = np.full((9, len(LININGS)), np.nan)
    n = np.zeros(shape, np.int64)
    for k in range(len(LININGS)):
        rows = found.lining == k
        n[k] = np.count_nonzero(rows)
        if n[k]:
            numbers[:7, k] = _of_lining(found.select(rows))
        if n[k] > 1:
            numbers[7:, k] = gaps[rows].mean(), np.median(gaps[rows])
    none, alone = (n == 0, _NO_GLAND), (n < 2, _ALONE)
    values = [result(n, n), result(n / tissue_mm2, n)]
    values += [result(number, n, none if row < 7 else alone) for row, number in enumerate(numbers)]
    return dict(zip(PATTERNS, values, strict=True))


def _of_lining(found: Glands) -> list[float]:
    """Return the numbers of the glands of one lining, as they are declared."""
    area = found.area_um2
    return [
        area.mean(),
        float(np.median(area)),
        area.max() / area.sum(),
        found.perimeter_um.mean(),
        found.roundness.mean(),
        found.epithelium_um2.sum() / area.sum(),
        found.with_lumen.mean(),
    ]


def _found(maps: TissueMaps) -> Glands:
    if maps.regions is None:
        raise ValueError("glands are made of regions")
    return find_glands(maps.tissue, maps.regions, maps.drawn_glands)


def _gaps(maps: TissueMaps) -> NDArray[np.float64]:
    return gland_gaps(maps.once(_found))


def _glands_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    maps = specimen.maps
    if maps.regions is None:
        return {}
    found, gaps = maps.once(_found), maps.once(_gaps)
    inner = shapely.get_coordinates(shapely.point_on_surface(found.shape))
    block = blocks.at(inner[:, 0], inner[:, 1])

    kind = np.eye(len(LININGS))[found.lining]

    def total(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum something of the glands by the block that a point of each lies in, (blocks, linings)."""
        return blocks.add(block, kind * np.where(np.isfinite(weights), weights, 0)[:, None])

    n, tissue = (
        total(np.ones(len(block))),
        blocks.tissue_mm2[:, list(maps.nucleated_codes)].sum(axis=1)[:, None],
    )
    area = total(found.area_um2)
    return {
        "GLAND_COUNT_{lining}": expected(n, tissue),
        "GLAND_DENSITY_{lining}": ratio(n, tissue),
        "GLAND_AREA_MEAN_{lining}": ratio(area, n),
        "GLAND_PERIMETER_MEAN_{lining}": ratio(total(found.perimeter_um), n),
        "GLAND_ROUNDNESS_MEAN_{lining}": ratio(total(found.roundness), n),
        "GLAND_EPITHELIUM_SHARE_{lining}": ratio(total(found.epithelium_um2), area),
        "GLAND_WITH_LUMEN_SHARE_{lining}": ratio(total(found.with_lumen.astype(float)), n),
        "GLAND_DISTANCE_MEAN_{lining}": ratio(total(gaps), n),
    }


FAMILY = Family(
    "glands",
    "Glands",
    "A gland is a connected region (8-neighbors) of carcinoma or of epithelial tissue on the tissue map with "
    "its lumina, from 1,000 um2 on. A lumen is a hole of the region of which at least half is no living "
    "tissue: not analyzed (white), necrosis or blood; stroma that a region encloses is no part of it. What "
    "touches is one gland: glands back to back count as one, a solid nest or sheet is a gland without "
    "lumen, and one that the map has in part as carcinoma and in part as epithelial tissue is two. Where "
    "polygons are given that are called glands (metrics run), each of them is a gland, and the map says what "
    "it holds. Distances run from outer border to outer border of glands of one lining, off by up to 2 um.",
    TEMPLATES,
    glands,
    of_cells=False,
    block_sums=_glands_per_block,
    no_interval="medians and largest regions are no function of sums over blocks of tissue",
)
