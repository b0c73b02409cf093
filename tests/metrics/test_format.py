"""Numbers as people read them."""

import pytest
from helpers import profiles

from histome.metrics.format import (
    MetricTable,
    MetricValue,
    format_cell_number,
    format_count,
    format_metric,
    format_number,
)

THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (0.98765, "0.988"),
        (9.996, "10.0"),
        (99.96, "100"),
        (123.4, "123"),
        (12345.6, f"12{THIN}346"),
        (1234567.0, f"1{THIN}234{THIN}567"),
        (-0.0125, "\N{MINUS SIGN}0.0125"),
        (0.000123, "0.000123"),
        (1.23e-7, "1.23 \N{MULTIPLICATION SIGN} 10⁻⁷"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert format_number(value) == text


def test_counts_are_whole() -> None:
    assert format_count(927786) == f"927{THIN}786"
    assert format_count(0) == "0"


@pytest.mark.parametrize(
    ("unit", "value", "text", "label"),
    [
        ("um2", 2.5e6, "2.50", "mm²"),
        ("cells/um2", 0.0012, f"1{THIN}200", "/mm²"),
        ("um", 7.25, "7.25", "µm"),
        ("%", 12.0, "12.0", "%"),
        ("cells", 1200.0, f"1{THIN}200", ""),
        ("1", 0.5, "0.500", ""),
        ("furlongs", 2.0, "2.00", "furlongs"),
    ],
)
def test_units_that_read_well(unit: str, value: float, text: str, label: str) -> None:
    shown = format_metric(MetricValue("AREA", value, unit, 12, None))
    assert (shown.text, shown.unit, shown.n, shown.raw) == (text, label, "12", value)


def test_areas_of_nuclei_stay_in_um2() -> None:
    shown = format_metric(MetricValue("NUCLEUS_AVG_AREA", 41.26, "um2", 3, None))
    assert (shown.text, shown.unit) == ("41.3", "µm²")


def test_a_null_has_its_reason() -> None:
    shown = format_metric(MetricValue("X", None, "1", 0, "there is no stroma"))
    assert (shown.raw, shown.text, shown.reason) == (None, "n/a", "there is no stroma")
    assert format_cell_number(None, n=0).raw is None
    assert format_cell_number(float("nan"), n=0).raw is None


def test_a_metric_that_is_not_in_the_table_is_said_to_be_missing() -> None:
    table = MetricTable(profiles.make_metrics({"ABSOLUTE_AREA": 5.0}))
    assert table.value("ABSOLUTE_AREA") == 5.0
    assert table.formatted("NO_SUCH").reason == "not measured in this profile"
    assert table.value("NO_SUCH", 3.0) == 3.0
