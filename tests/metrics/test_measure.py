"""The table: declared names are written names, two modes, bad input, and what must not change a value."""

import numpy as np
import pyarrow as pa
import pytest
from metrics.scenes import by_name, cell_table, one_tissue, patchwork, random_cells

from histome.config import MetricsConfig
from histome.errors import HistomeError
from histome.metrics.catalogue import catalogue
from histome.metrics.measure import SCHEMA, count_metrics, measure


@pytest.fixture
def tissue(rng):
    return patchwork(rng)


def test_declared_names_are_written_names(rng, tissue):
    config = MetricsConfig()
    table = measure(None, tissue, None, random_cells(rng, 500))
    assert table.schema == SCHEMA
    assert table["name"].to_pylist() == [metric.name for metric in catalogue(config.families)]
    assert table["unit"].to_pylist() == [metric.unit for metric in catalogue(config.families)]


@pytest.mark.parametrize("n", [0, 1, 700])
def test_null_exactly_where_there_is_a_reason_and_values_in_range(rng, tissue, n):
    table = measure(None, tissue, None, random_cells(rng, n))
    for suffix in ("", "_confident"):
        null = [value is None for value in table[f"value{suffix}"].to_pylist()]
        assert null == [reason is not None for reason in table[f"reason{suffix}"].to_pylist()]
    found = by_name(table)
    for metric in catalogue(MetricsConfig().families):
        low, high = metric.template.range
        value = found[metric.name]
        assert value is None or low is None or value >= low - 1e-12, metric.name
        assert value is None or high is None or value <= high + 1e-12, metric.name


def test_confident_values_are_those_without_the_abstained(rng, tissue):
    abstained = rng.random(900) < 0.3
    cells = random_cells(rng, 900, abstained=abstained)
    both = measure(None, tissue, None, cells)
    only = measure(None, tissue, None, cells, MetricsConfig(confident_only=True))
    left = measure(None, tissue, None, cells.filter(pa.array(~abstained)))
    assert by_name(both)["CELL_N_TOTAL"] == 900
    assert by_name(both, "value_confident")["CELL_N_TOTAL"] == (~abstained).sum()
    same = [m.name for m in catalogue(MetricsConfig().families) if "ABSTAINED" not in m.name]
    for name in same:
        value = by_name(left)[name]
        assert by_name(both, "value_confident")[name] == value
        assert by_name(only)[name] == value


def test_counts_are_honest(rng, tissue):
    table = measure(None, tissue, None, random_cells(rng, 50))
    counts = count_metrics(table)
    assert counts.declared == len(table)
    assert counts.finite == len(table) - table["value"].null_count
    assert 0 < counts.non_redundant < counts.declared


def test_the_order_of_rows_and_the_workers_change_nothing(rng, tissue):
    cells = random_cells(rng, 2000, area_um2=rng.uniform(10, 90, 2000))
    table = measure(None, tissue, None, cells, workers=1)
    assert measure(None, tissue, None, cells.take(rng.permutation(2000)), workers=3).equals(table)


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_coordinates_that_are_not_finite_are_refused_by_row(bad):
    cells = pa.table({"x_um": [1.0, 2.0, 3.0], "y_um": [1.0, bad, 3.0], "class": ["other"] * 3})
    with pytest.raises(HistomeError, match="y_um of row 2 is not a finite number"):
        measure(None, one_tissue(), None, cells)


def test_unknown_classes_and_missing_columns_are_named():
    with pytest.raises(HistomeError, match="unknown class 'B cell', 'T cell'"):
        measure(
            None,
            one_tissue(),
            None,
            pa.table({"x_um": [1.0, 2.0], "y_um": [1.0, 2.0], "class": ["B cell", "T cell"]}),
        )
    with pytest.raises(HistomeError, match="no column y_um, class"):
        measure(None, one_tissue(), None, pa.table({"x_um": [1.0]}))


def test_dictionary_encoded_classes_are_read():
    cells = cell_table([1.0, 2.0], [1.0, 2.0], "MACROPHAGE")
    cells = cells.set_column(2, "class", cells["class"].dictionary_encode())
    assert by_name(measure(None, one_tissue(), None, cells))["CELL_COUNT_MACROPHAGE"] == 2
