"""How far the cells of each class lie from carcinoma."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.distances import to_carcinoma
from histome.metrics.reasons import NO_CARCINOMA
from histome.metrics.results import Result, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, moments_of, ratio

_NEAR_UM = 50
_NO_CELL = "there are no {cell}"
_NULLS = (NO_CARCINOMA, _NO_CELL)

TEMPLATES = in_loops(
    ("cell",),
    Template(
        "DISTANCE_TO_CARCINOMA_MEAN_{cell}",
        "um",
        "mean distance of {cell} to the nearest carcinoma",
        _NULLS,
        smallest_sample=1,
        counts="{cell}; 0 without carcinoma",
    ),
    Template(
        "DISTANCE_TO_CARCINOMA_MEDIAN_{cell}",
        "um",
        "median distance of {cell} to the nearest carcinoma",
        _NULLS,
        smallest_sample=1,
        counts="{cell}; 0 without carcinoma",
    ),
    Template(
        "DISTANCE_TO_CARCINOMA_P90_{cell}",
        "um",
        "90th percentile of the distance of {cell} to the nearest carcinoma",
        _NULLS,
        smallest_sample=1,
        counts="{cell}; 0 without carcinoma",
    ),
    Template(
        f"DISTANCE_TO_CARCINOMA_SHARE_WITHIN_{_NEAR_UM}_{{cell}}",
        "1",
        f"share of {{cell}} at most {_NEAR_UM} um from the nearest carcinoma",
        _NULLS,
        SHARE,
        smallest_sample=1,
        counts="{cell}; 0 without carcinoma",
    ),
)


def distance_to_carcinoma(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the distance of each class to the nearest carcinoma, um; n is its cells."""
    distance = specimen.per_cell(to_carcinoma)
    numbers = np.full((4, N_CELL_CLASSES), np.nan)
    n = np.zeros(N_CELL_CLASSES, np.int64)
    for k in range(N_CELL_CLASSES):
        sample = distance[(specimen.cells.label == k) & np.isfinite(distance)]
        n[k] = len(sample)
        if len(sample):
            near = np.mean(sample <= _NEAR_UM)
            numbers[:, k] = sample.mean(), *np.percentile(sample, (50, 90)), near
    nulls = ((not specimen.maps.has("CARCINOMA"), NO_CARCINOMA), (n == 0, _NO_CELL))
    names = ("MEAN", "MEDIAN", "P90", f"SHARE_WITHIN_{_NEAR_UM}")
    return {
        f"DISTANCE_TO_CARCINOMA_{name}_{{cell}}": result(number, n, *nulls)
        for name, number in zip(names, numbers, strict=True)
    }


def _distances_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    distance = specimen.per_cell(to_carcinoma)
    near = np.where(distance <= _NEAR_UM, specimen.cells.label, -1)
    found = moments_of(blocks, [distance], specimen.cells.label, (N_CELL_CLASSES,))
    n, total = found.n[:, 0], found.sums[0][:, 0]
    return {
        "DISTANCE_TO_CARCINOMA_MEAN_{cell}": BlockSums(found.mean().value, (n, total)),
        f"DISTANCE_TO_CARCINOMA_SHARE_WITHIN_{_NEAR_UM}_{{cell}}": ratio(
            blocks.count(near, (N_CELL_CLASSES,)), n
        ),
    }


FAMILY = Family(
    "distance-to-carcinoma",
    "Distance to carcinoma",
    "Distance from the pixel of the tissue map that a cell's center lies in to the center of the nearest "
    "carcinoma pixel, 0 inside carcinoma, however far; of all cells that are counted, which lie in nucleated "
    "tissue. Percentiles by linear interpolation.",
    TEMPLATES,
    distance_to_carcinoma,
    source="Exact distance transform: Meijster et al. 2000, doi:10.1007/0-306-47025-X_36",
    null_model="none: where tissues lie decides the values, whether cells are drawn to carcinoma or not",
    alias="I2",
    block_sums=_distances_per_block,
    no_interval="quantiles are no function of sums over blocks of tissue",
)
