"""The column that says how well a metric's classes were learned."""

import json

import numpy as np
import pyarrow as pa
import pytest
from helpers.scenes import by_name, measure_maps, one_tissue, random_cells

from histome.config import MetricsConfig
from histome.metrics.catalogue import find_metric
from histome.metrics.evidence import classes_of, evidence_of
from histome.metrics.subregions import measure_subregions
from histome.models.label_support import CLASS_LABELS, read_support

WEAK = {"macrophage": "direct, n = 55", "plasma_cell": "indirect"}


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("CELL_DENSITY_PLASMA_CELL_STROMA", {"plasma_cell"}),
        ("CELL_DENSITY_LYMPHOCYTE_OTHER", {"lymphocyte"}),
        ("CELL_COUNT_OTHER", {"other"}),
        ("ABSOLUTE_AREA_OTHER", set()),
        ("LYMPHOID_AGGREGATE_PLASMA_SHARE", {"plasma_cell"}),
        ("NUMBER_OF_MACROPHAGES_AROUND_PLASMA_CELL_IN_CARCINOMA_20", {"plasma_cell", "macrophage"}),
        ("IMMUNE_CELL_FRACTION", set()),
    ],
)
def test_classes_are_found_on_axes_and_in_names(name, classes):
    assert classes_of(find_metric(name)) == classes


def test_every_weak_class_of_a_metric_is_named():
    metric = find_metric("NUMBER_OF_MACROPHAGES_AROUND_PLASMA_CELL_IN_CARCINOMA_20")
    assert evidence_of(metric, read_support(WEAK)) == "macrophage: direct, n = 55; plasma_cell: indirect"
    assert evidence_of(find_metric("CELL_COUNT_LYMPHOCYTE"), read_support(WEAK)) is None


@pytest.fixture
def cells():
    return random_cells(np.random.default_rng(1), 200)


def _marked(cells, labels):
    return cells.replace_schema_metadata({CLASS_LABELS: json.dumps(labels).encode()})


def test_the_marks_of_the_cells_reach_every_metric_of_the_class(cells):
    cells = _marked(cells, WEAK | {"lymphocyte": "direct, n = 1464"})
    config = MetricsConfig(families=("cells-per-class",))
    evidence = by_name(measure_maps(None, one_tissue(), None, cells, config), "evidence")
    assert evidence["CELL_COUNT_PLASMA_CELL"] == "plasma_cell: indirect"
    assert evidence["CELL_DENSITY_MACROPHAGE"] == "macrophage: direct, n = 55"
    assert evidence["CELL_COUNT_LYMPHOCYTE"] is None
    parts = measure_subregions(one_tissue(), cells, "piece", config=config)
    assert set(parts["evidence"].to_pylist()) == set(evidence.values())


def test_cells_from_elsewhere_bring_no_marks(cells):
    table = measure_maps(None, one_tissue(), None, cells, MetricsConfig(families=("cells-per-class",)))
    assert table["evidence"].null_count == len(table)
    assert table.schema.field("evidence").type == pa.string()
