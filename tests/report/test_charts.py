"""Bars, stacks and histograms have the proportions of their numbers."""

import numpy as np
import pytest
from helpers import profiles

from histome.metrics.format import MetricTable, MetricValue, format_metric
from histome.report.charts import bars, histogram, shade, stacked

COLORS = {"STROMA": "#000000", "BLOOD": "#111111", "VESSEL": "#222222"}


def chart(**values: float | None) -> list:
    named = {f"ABSOLUTE_AREA_{name}": value for name, value in values.items()}
    metrics = MetricTable(profiles.make_metrics(named))
    return bars(metrics, "ABSOLUTE_AREA_{}", COLORS, labels=COLORS, beside=("RELATIVE_AREA_{}",))


def test_bars_are_as_long_as_their_share_of_the_longest() -> None:
    assert [bar.length for bar in chart(STROMA=50.0, BLOOD=200.0, VESSEL=None)] == [25.0, 100.0, 0.0]


def test_bars_carry_their_numbers() -> None:
    bar = chart(STROMA=50.0, BLOOD=200.0, VESSEL=None)[0]
    assert [number.source for number in bar.numbers] == ["ABSOLUTE_AREA_STROMA", "RELATIVE_AREA_STROMA"]
    assert bar.numbers[0].raw == 50.0


def test_a_stack_ends_at_the_whole() -> None:
    slices = stacked(chart(STROMA=50.0, BLOOD=200.0, VESSEL=150.0))
    assert [(part.start, part.width) for part in slices] == [(0, 12.5), (12.5, 50), (62.5, 37.5)]


def test_nothing_stacks_to_nothing() -> None:
    assert stacked(chart(STROMA=0.0, BLOOD=0.0, VESSEL=None)) == []


def test_a_histogram_counts_every_value_once() -> None:
    values = np.array([0.0, 0.049, 0.051, 0.5, 0.99, 1.0, 1.0])
    columns = histogram(values, values < 0.05)
    counts = [column.count for column in columns]
    assert (sum(counts), counts[0], counts[1], counts[10], counts[19]) == (7, 2, 1, 1, 3)
    assert (columns[19].height, columns[0].height) == (100, pytest.approx(66.67))
    assert columns[0].hatched == columns[0].height
    assert columns[19].hatched == 0


def test_a_histogram_of_nothing_is_flat() -> None:
    assert {column.height for column in histogram(np.empty(0), np.empty(0, bool))} == {0}


def test_shades_go_from_nothing_to_full() -> None:
    numbers = [format_metric(MetricValue("X", value, "1", 1, None)) for value in (None, 0.0, 25.0, 100.0)]
    assert [shade(number, 100.0) for number in numbers] == [0, 0, 0.5, 1]
    assert shade(numbers[3], 0.0) == 0
