"""The report's tables, ready for the template: composition, densities, key metrics, confidence, nuclei."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from histome.caveats.enough import EnoughTable
from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES
from histome.errors import UsageError
from histome.metrics.catalogue import FAMILIES, find_metric
from histome.metrics.format import Formatted, MetricTable, MetricValue, format_cell_number, format_count
from histome.render import palette
from histome.report.charts import Bar, bars, histogram, shade, stacked
from histome.report.reference import ReferenceRanges
from histome.report.verdict import in_doubt
from histome.report.views import CellArrays
from histome.report.wording import KEY_METRICS, in_signs, plain_name_of
from histome.store.caveat import Caveat

# Metric, and what its n counts; nothing where n is pixels of a map.
_TILES = (
    ("ABSOLUTE_AREA", ""),
    ("CELL_N_TOTAL", ""),
    ("RELATIVE_AREA_CARCINOMA", ""),
    ("CELL_PERCENTAGE_LYMPHOCYTE", "cells of all classes"),
    ("CELL_DENSITY_LYMPHOCYTE_CARCINOMA", "lymphocytes"),
    ("CELL_DENSITY_LYMPHOCYTE_STROMA", "lymphocytes"),
)
_MORPHOLOGY = (
    ("Mean area", "NUCLEUS_AVG_AREA_{}"),
    ("P10 area", "NUCLEUS_P10_AREA_{}"),
    ("Median area", "NUCLEUS_MEDIAN_AREA_{}"),
    ("P90 area", "NUCLEUS_P90_AREA_{}"),
    ("Mean perimeter", "NUCLEUS_AVG_PERIMETER_{}"),
    ("Roundness", "NUCLEUS_AVG_ROUNDNESS_{}"),
    ("Mean major axis", "NUCLEUS_MEAN_MAJOR_AXIS_{}"),
    ("Mean minor axis", "NUCLEUS_MEAN_MINOR_AXIS_{}"),
    ("Hematoxylin", "NUCLEUS_MEAN_HEMATOXYLIN_OD_MEAN_{}"),
)


def headline(metrics: MetricTable, warnings: Sequence[Caveat] = ()) -> list[dict[str, Any]]:
    """Return the few numbers at the top of the page; `without` says why one has no interval."""
    return [
        {
            "label": plain_name_of(name),
            "shown": metrics.formatted(name),
            "of": noun,
            "without": _no_interval(metrics, name),
            "in_doubt": in_doubt(name, warnings),
        }
        for name, noun in _TILES
    ]


def _no_interval(metrics: MetricTable, name: str) -> str:
    """Why a number has no interval; empty where it has one, or needs none: the whole slide was measured."""
    row = metrics.get(name)
    reason = "" if row is None or row.low is not None else (row.method or "").removeprefix("none: ")
    return "" if "not sampled" in reason else reason


def composition(metrics: MetricTable) -> dict[str, Any]:
    """Return the charts of tissue, quality and cells: the classes that are there, the names of the others."""
    forms = {
        "tissue": ("ABSOLUTE_AREA_{}", ("RELATIVE_AREA_{}",), palette.TISSUE_COLORS, palette.TISSUE_LABELS),
        "quality": ("ABSOLUTE_AREA_{}", ("RELATIVE_AREA_{}",), palette.QC_COLORS, palette.QC_LABELS),
        "cells": (
            "CELL_COUNT_{}",
            ("CELL_PERCENTAGE_{}", "CELL_DENSITY_{}"),
            palette.CELL_COLORS,
            palette.CELL_LABELS,
        ),
    }
    charts = {
        key: bars(metrics, pattern, colors, labels=labels, beside=beside)
        for key, (pattern, beside, colors, labels) in forms.items()
    }
    return {key: _present([bar for bar in chart if bar.key != "NO_TISSUE"]) for key, chart in charts.items()}


def _present(chart: Sequence[Bar]) -> dict[str, Any]:
    """Bars that are not zero, the same end to end, and the labels of those that are."""
    there = [bar for bar in chart if bar.numbers[0].raw != 0]
    absent = [bar.label.lower() for bar in chart if bar.numbers[0].raw == 0]
    return {"chart": there, "slices": stacked(there), "absent": absent}


def density_table(metrics: MetricTable) -> dict[str, Any]:
    """Return cells per mm2 of each class in each nucleated tissue, shaded by the square root of the value."""
    names = {
        (cell, tissue): f"{cell.upper()}_{tissue}" for cell in CELL_CLASSES for tissue in NUCLEATED_TISSUES
    }
    largest = max((metrics.value(f"CELL_DENSITY_{name}") for name in names.values()), default=0.0)
    rows = []
    for cell in (name for name in CELL_CLASSES if metrics.value(f"CELL_COUNT_{name.upper()}", 1.0)):
        shown = [metrics.formatted(f"CELL_DENSITY_{names[cell, tissue]}") for tissue in NUCLEATED_TISSUES]
        counts = [metrics.formatted(f"CELL_COUNT_{names[cell, tissue]}") for tissue in NUCLEATED_TISSUES]
        entries = [
            {"shown": number, "count": count, "shade": shade(number, largest)}
            for number, count in zip(shown, counts, strict=True)
        ]
        rows.append(
            {"label": palette.CELL_LABELS[cell], "color": palette.CELL_COLORS[cell], "cells": entries}
        )
    return {"heads": [palette.TISSUE_LABELS[name] for name in NUCLEATED_TISSUES], "rows": rows}


def key_table(
    metrics: MetricTable, confident: MetricTable, ranges: ReferenceRanges | None = None
) -> list[dict[str, Any]]:
    """Return the key metrics that this profile has, with the catalogue's definition.

    `confident` is None for those that do not change when cells are left out, `reference` where there is no
    range of a cohort.
    """
    return [
        {
            "label": plain_name_of(name),
            "shown": metrics.formatted(name),
            "confident": confident.formatted(name) if _of_cells(name) else None,
            "definition": definition(name),
            "reference": ranges.beside(metrics[name]) if ranges else None,
        }
        for name in KEY_METRICS
        if name in metrics
    ]


def _of_cells(name: str) -> bool:
    """Whether a metric changes when cells are left out."""
    try:
        return FAMILIES[find_metric(name).family].of_cells
    except UsageError:
        return True


def definition(name: str) -> str:
    """Return what the catalogue says a metric is; nothing for a name that it does not hold."""
    try:
        formula = find_metric(name).formula
    except UsageError:
        return ""
    return f"{in_signs(formula[:1].upper() + formula[1:])}."


def confident_table(table: pa.Table) -> EnoughTable:
    """Return the metrics without the abstained cells; as they are where the table has no such columns."""
    if "value_confident" not in table.column_names:
        return EnoughTable(table)
    given = {"name": "name", "value": "value_confident", "unit": "unit", "n": "n_confident"}
    given |= {"reason": "reason_confident", "evidence": "evidence"}
    kept = {name: table.column(column) for name, column in given.items() if column in table.column_names}
    return EnoughTable(pa.table(kept))


def family_table(metrics: MetricTable) -> list[dict[str, str]]:
    """Return how many metrics of each family were measured and have a value, and why the others have none."""
    rows: dict[str, list[MetricValue]] = {}
    for metric in metrics.values():
        rows.setdefault(_family(metric.name), []).append(metric)
    return [_family_row(name, members) for name, members in rows.items()]


def _family(name: str) -> str:
    try:
        return FAMILIES[find_metric(name).family].title
    except UsageError:
        return "Not in the catalogue"


def _family_row(name: str, members: Sequence[MetricValue]) -> dict[str, str]:
    reasons = Counter(metric.reason or "no value" for metric in members if metric.value is None)
    commonest = max(reasons.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    reason = f"{commonest[0]} ({format_count(commonest[1])})" if reasons else ""
    finite = sum(metric.value is not None for metric in members)
    return {
        "title": name,
        "declared": format_count(len(members)),
        "finite": format_count(finite),
        "reason": reason,
    }


def confidence_table(metrics: MetricTable, cells: CellArrays) -> dict[str, Any]:
    """Return the histogram of confidence and the numbers of each class.

    The numbers are metrics where the profile has the family certainty, else computed from the cells in the
    same way.
    """
    if len(cells) == 0:
        return {"rows": []}
    everything = np.ones(len(cells), bool)
    rows = [{"label": "All cells", "color": "", **_certainty("ALL", everything, metrics, cells)}]
    for code, name in enumerate(CELL_CLASSES):
        if not (cells.codes == code).any():
            continue
        numbers = _certainty(name.upper(), cells.codes == code, metrics, cells)
        rows.append({"label": palette.CELL_LABELS[name], "color": palette.CELL_COLORS[name], **numbers})
    columns = histogram(cells.confidence, cells.abstained)
    highest = max(column.count for column in columns)
    return {
        "rows": rows,
        "columns": columns,
        "highest": format_cell_number(highest, n=len(cells), count=True),
    }


def _certainty(whose: str, mine: np.ndarray, metrics: MetricTable, cells: CellArrays) -> dict[str, Formatted]:
    confidence, n = cells.confidence[mine], int(mine.sum())
    left_open = int(cells.abstained[mine].sum())
    computed = {
        "mean": (f"CONFIDENCE_MEAN_{whose}", float(confidence.mean()) if n else None),
        "p10": (f"CONFIDENCE_P10_{whose}", float(np.quantile(confidence, 0.1)) if n else None),
        "abstained": (f"ABSTAINED_COUNT_{whose}", left_open),
        "share": (f"ABSTAINED_FRACTION_{whose}", left_open / n if n else None),
    }
    numbers = {
        key: metrics.formatted(name)
        if name in metrics
        else format_cell_number(value, n=n, count=key == "abstained")
        for key, (name, value) in computed.items()
    }
    return {"n": format_cell_number(n, n=n, count=True), **numbers}


def morphology_table(metrics: MetricTable) -> dict[str, Any]:
    """Return the means of nuclear shape of each class: those of the wanted metrics that this profile has."""
    kept = [(head, form) for head, form in _MORPHOLOGY if form.format(CELL_CLASSES[0].upper()) in metrics]
    there = [name for name in CELL_CLASSES if metrics.value(f"CELL_COUNT_{name.upper()}", 1.0)]
    rows = [_morphology_row(name, kept, metrics) for name in there]
    units = [_unit(form, metrics) for _, form in kept]
    heads = [f"{head}, {unit}" if unit else head for (head, _), unit in zip(kept, units, strict=True)]
    return {"heads": heads, "rows": rows}


def _unit(form: str, metrics: MetricTable) -> str:
    """Unit of a column as shown: that of its first class with a value."""
    shown = (metrics.formatted(form.format(name.upper())) for name in CELL_CLASSES)
    return next((number.unit for number in shown if number.raw is not None), "")


def _morphology_row(name: str, kept: Sequence[tuple[str, str]], metrics: MetricTable) -> dict[str, Any]:
    numbers: list[Formatted] = [metrics.formatted(form.format(name.upper())) for _, form in kept]
    return {
        "label": palette.CELL_LABELS[name],
        "color": palette.CELL_COLORS[name],
        "numbers": numbers,
        "n": numbers[0].n if numbers else "",
    }


def counts_line(run: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the three honest counts of metrics from run.json; None when the run did not write them."""
    counts = run.get("metrics", {})
    names = ("declared", "non_redundant", "finite")
    if not isinstance(counts, Mapping) or not all(isinstance(counts.get(name), int) for name in names):
        return None
    return {name: format_count(counts[name]) for name in names}
