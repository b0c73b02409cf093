"""The reason of every null that is written is one of those that the catalogue declares for its metric."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import disc_of_tumor, measure_maps, one_tissue, patchwork, random_cells, two_halves

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.catalogue import FAMILIES, find_metric
from histome.metrics.measuring import check_results
from histome.metrics.results import all_null, result
from histome.slide.maps import ClassMap
from histome.tissue.regions import find_regions


def columns_of(rng, n):
    """Every column that a metric reads, some values missing."""
    shapes = (
        "area_um2",
        "perimeter_um",
        "roundness",
        "major_axis_um",
        "minor_axis_um",
        "hematoxylin_od_mean",
    )
    columns = {name: np.where(rng.random(n) < 0.1, np.nan, rng.gamma(5, 2, n)) for name in shapes}
    return columns | {"confidence": rng.random(n), "abstained": rng.random(n) < 0.4}


def no_tissue(rng):
    nothing = ClassMap(np.zeros((100, 100), np.uint8), 2.0, TISSUE_CLASSES)
    return None, nothing, None, random_cells(rng, 50), None


def no_cells(rng):
    tissue = two_halves()
    return None, tissue, find_regions(tissue), cell_table([], [], []), None


def one_cell_and_unknown_facts(rng):
    tissue = one_tissue()
    facts = {"mpp_used": 0.5, "focus_score": float("nan"), "hematoxylin_vector_r": float("nan")}
    quality = ClassMap(np.full((60, 60), QC_CLASSES.index("NO_TISSUE") + 1, np.uint8), 8.0, QC_CLASSES)
    return quality, tissue, find_regions(tissue), cell_table([5.0], [5.0], "OTHER"), facts


def no_tumor(rng):
    return None, one_tissue(), None, random_cells(rng, 300, **columns_of(rng, 300)), None


def tumor_of_one_class(rng):
    tissue = disc_of_tumor()
    x, y = rng.uniform(0, 3600, (2, 400))
    quality = ClassMap(rng.integers(0, len(QC_CLASSES) + 1, (450, 450)).astype(np.uint8), 8.0, QC_CLASSES)
    return quality, tissue, find_regions(tissue), cell_table(x, y, "LYMPHOCYTE", **columns_of(rng, 400)), {}


def patches_of_everything(rng):
    tissue = patchwork(rng)
    cells = random_cells(rng, 800, **columns_of(rng, 800))
    return None, tissue, find_regions(tissue), cells, {"mpp_used": 0.5}


def all_abstained(rng):
    cells = random_cells(rng, 200, abstained=np.ones(200, bool))
    return None, two_halves(), None, cells, None


@pytest.mark.parametrize(
    "subject",
    [
        no_tissue,
        no_cells,
        one_cell_and_unknown_facts,
        no_tumor,
        tumor_of_one_class,
        patches_of_everything,
        all_abstained,
    ],
)
def test_every_reason_is_a_declared_one(rng, subject):
    quality, tissue, regions, cells, facts = subject(rng)
    table = measure_maps(quality, tissue, regions, cells, MetricsConfig(), facts=facts, workers=1)
    nulls = {
        (name, reason)
        for column in ("reason", "reason_confident")
        for name, reason in zip(table["name"].to_pylist(), table[column].to_pylist(), strict=True)
        if reason is not None
    }
    assert len(nulls) > 1000
    undeclared = {pair for pair in nulls if pair[1] not in find_metric(pair[0]).nulls}
    assert undeclared == set()


def test_a_reason_that_is_not_declared_is_refused():
    with pytest.raises(ValueError, match=r"ABSOLUTE_AREA is null for a reason .*: it rains"):
        check_results(FAMILIES["total-area"], {"ABSOLUTE_AREA": all_null((), "it rains")})


def test_results_are_those_of_the_templates():
    with pytest.raises(
        ValueError, match="family total-area: declared or computed only: ABSOLUTE_AREA, OTHER"
    ):
        check_results(FAMILIES["total-area"], {"OTHER": result(1.0, 1)})


def test_only_zones_lack_a_tumor():
    for name in ("SHANNON", "SIMPSON", "RICHNESS"):
        assert not any("tumor" in reason for reason in find_metric(f"{name}_IN_STROMA").nulls)
        assert "there is no tumor of at least 0.05 mm2" in find_metric(f"{name}_IN_TUMOR_CORE").nulls
    assert "there are no cells in the stroma" in find_metric("SHANNON_IN_STROMA").nulls
    assert find_metric("LYMPHOID_AGGREGATE_DISTANCE_TO_CARCINOMA").nulls == (
        "there are no lymphoid aggregates",
        "there is no carcinoma",
    )
