"""Numbers as people read them: sensible digits, thin spaces, units, always with n or a reason."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
TIMES = " \N{MULTIPLICATION SIGN} "

# Unit as the metrics table writes it -> (factor, unit as shown). Areas but those of nuclei turn into mm2.
_UNITS = {
    "um": (1.0, "µm"),
    "um2": (1.0, "µm²"),
    "mm2": (1.0, "mm²"),
    "um-2": (1e6, "/mm²"),
    "1/um2": (1e6, "/mm²"),
    "cells/um2": (1e6, "/mm²"),
    "per_um2": (1e6, "/mm²"),
    "per um2": (1e6, "/mm²"),
    "mm-2": (1.0, "/mm²"),
    "1/mm2": (1.0, "/mm²"),
    "cells/mm2": (1.0, "/mm²"),
    "per_mm2": (1.0, "/mm²"),
    "per mm2": (1.0, "/mm²"),
    "percent": (1.0, "%"),
    "count": (1.0, ""),
    "cells": (1.0, ""),
    "regions": (1.0, ""),
    "1": (1.0, ""),
    "": (1.0, ""),
}


class MetricValue(NamedTuple):
    """One row of the metrics table; `value` is None where the metric is null, with its `reason`.

    `evidence` marks a metric of classes that the model was hardly taught, see `metrics.evidence`; `low` and
    `high` are the 95 % interval, None where `method` says why.
    """

    name: str
    value: float | None
    unit: str
    n: int | None
    reason: str | None
    evidence: str | None = None
    low: float | None = None
    high: float | None = None
    method: str | None = None


# Tables of other makes need no more columns.
_ALWAYS = ("name", "value", "unit", "n", "reason")


@dataclass(frozen=True)
class Formatted:
    """A number ready for the page.

    `raw` is the unrounded value as stored, `source` the name of the metric or the table it comes from; `text`
    and `unit` are what the reader sees; a null has `raw` None and a `reason`; `mark` is its `evidence`;
    `interval` is "low to high" in the same unit, empty where there is none.
    """

    source: str
    text: str
    unit: str
    n: str
    raw: float | None
    reason: str = ""
    mark: str = ""
    interval: str = ""


class MetricTable(Mapping[str, MetricValue]):
    """The metrics table (name, value, unit, n, reason) by name."""

    def __init__(self, table: "pa.Table") -> None:
        given = [name for name in MetricValue._fields if name in _ALWAYS or name in table.column_names]
        rows = zip(*(table.column(name).to_pylist() for name in given), strict=True)
        found = (MetricValue(**dict(zip(given, row, strict=True))) for row in rows)
        self._rows = {row.name: row._replace(value=_finite(row.value)) for row in found}

    def __getitem__(self, name: str) -> MetricValue:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def value(self, name: str, default: float = 0.0) -> float:
        """Return the value of a metric, `default` where it is null or not in the table."""
        row = self._rows.get(name)
        return default if row is None or row.value is None else row.value

    def formatted(self, name: str) -> Formatted:
        """Return a metric ready for the page; one that is not in the table reads as not measured."""
        row = self._rows.get(name, MetricValue(name, None, "", None, "not measured in this profile"))
        return format_metric(row)


def format_metric(row: MetricValue) -> Formatted:
    """Return a metric ready for the page, in a unit that reads well."""
    n = "" if row.n is None else format_count(row.n)
    if row.value is None:
        return Formatted(row.name, "n/a", "", n, None, row.reason or "no value", row.evidence or "")
    unit = (row.unit or "").replace("µ", "u").replace("²", "2")
    factor, label = _UNITS.get(unit, (1.0, row.unit or ""))
    if unit == "um2" and not row.name.startswith("NUCLEUS_"):
        factor, label = 1e-6, "mm²"
    counted = unit in ("count", "cells", "regions", "aggregates", "glands", "pieces", "classes")
    text, *ends = (
        "" if number is None else format_count(number) if counted else format_number(number * factor)
        for number in (row.value, row.low, row.high)
    )
    interval = " to ".join(ends) if all(ends) else ""
    return Formatted(row.name, text, label, n, row.value, mark=row.evidence or "", interval=interval)


def format_cell_number(value: float | None, *, n: int, count: bool = False) -> Formatted:
    """Return a number computed from the cells table, ready for the page."""
    if value is None or not math.isfinite(value):
        return Formatted("cells", "n/a", "", format_count(n), None, "no cells")
    text = format_count(value) if count else format_number(value)
    return Formatted("cells", text, "", format_count(n), float(value))


def format_number(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits, thin spaces between thousands, no bare exponent.

    Whole parts are never rounded away (12345.6 -> 12 346); under 0.0001 a power of ten follows.
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4:
        mantissa = _group(value / 10.0**exponent, digits - 1)
        return f"{mantissa}{TIMES}10{str(exponent).translate(_SUPERSCRIPTS)}"
    rounded = round(value, digits - 1 - exponent) if exponent < digits else value
    exponent = math.floor(math.log10(abs(rounded)))
    return _group(rounded, max(0, digits - 1 - exponent))


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_count(value: float) -> str:
    """Return a whole number with thin spaces between thousands."""
    return _group(round(value), 0)


def _group(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace(",", THIN_SPACE).replace("-", MINUS)


def _finite(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
