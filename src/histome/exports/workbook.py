"""core.xlsx: the thirty numbers that people report, with n, interval and definition."""

from pathlib import Path
from typing import Any

from histome.caveats.enough import EnoughTable
from histome.errors import UsageError
from histome.exports.extra import needed
from histome.exports.place import place_of
from histome.metrics.catalogue import find_metric
from histome.metrics.format import Formatted, MetricValue
from histome.names import shown
from histome.store.profile import Profile

CORE_NUMBERS = (
    *("ABSOLUTE_AREA", "RELATIVE_AREA_VALID_TISSUE", "RELATIVE_AREA_CARCINOMA", "RELATIVE_AREA_STROMA"),
    *("RELATIVE_AREA_NECROSIS", "NECROSIS_FRACTION_OF_TUMOR", "TUMOR_STROMA_RATIO", "REGION_COUNT_CARCINOMA"),
    *("CELL_N_TOTAL", "CELL_N_NOT_COUNTED", "TUMOR_PURITY", "IMMUNE_CELL_FRACTION"),
    *("NUCLEUS_CV_AREA_CARCINOMA_CELL", "CELL_PERCENTAGE_LYMPHOCYTE", "CELL_PERCENTAGE_FIBROBLAST"),
    *("CELL_DENSITY_CARCINOMA_CELL_CARCINOMA", "CELL_DENSITY_LYMPHOCYTE_CARCINOMA"),
    *("CELL_DENSITY_LYMPHOCYTE_STROMA", "CELL_DENSITY_PLASMA_CELL_STROMA", "CELL_DENSITY_MACROPHAGE_STROMA"),
    *("CELL_DENSITY_GRANULOCYTE_STROMA", "CELL_DENSITY_FIBROBLAST_STROMA", "STROMAL_TIL_PERCENT"),
    *("INTRATUMORAL_TIL", "IMMUNE_INFLAMED_SHARE", "IMMUNE_EXCLUDED_SHARE", "IMMUNE_DESERT_SHARE"),
    *("NUCLEUS_AVG_AREA_CARCINOMA_CELL", "NUCLEUS_AVG_ROUNDNESS_CARCINOMA_CELL", "FOCUS_SCORE"),
)
_HEAD = {
    "Metric": 40,
    "Value": 14,
    "Unit": 12,
    "Low (95 %)": 14,
    "High (95 %)": 14,
    "n": 10,
    "No value because": 30,
    "Evidence": 16,
    "Definition": 80,
    "Value as in metrics.parquet": 24,
    "Unit there": 12,
}
_DOUBTS = {"Severity": 12, "Code": 26, "Title": 40, "In this slide": 80}


def write_workbook(profile: Profile, path: Path) -> None:
    """Write a workbook of three sheets: the numbers, what is doubtful, what was measured how.

    Values are numbers, in mm2 and per mm2 where that reads well; what rests on too little has the report's
    reason instead, and stands as measured in a column of its own. Texts that a spreadsheet would take as a
    formula are kept as texts.
    """
    openpyxl: Any = needed("openpyxl", "exports")
    book = openpyxl.Workbook()
    metrics = EnoughTable(profile.metrics)
    rows = [_row(metrics[name], metrics.formatted(name)) for name in CORE_NUMBERS if name in metrics]
    bold = openpyxl.styles.Font(bold=True)
    _fill(book.active, "Numbers", _HEAD, rows, font=bold)
    warnings = [(each.severity, each.code, each.title, each.text) for each in profile.warnings]
    _fill(book.create_sheet(), "Doubts", _DOUBTS, warnings, font=bold)
    facts = [(name, str(value)) for name, value in place_of(profile).told().items()]
    facts += [("models", "; ".join(f"{m['name']} {m['version']}" for m in profile.run.get("models", ())))]
    facts += [("histome", str(profile.run.get("code")))]
    _fill(book.create_sheet(), "Slide", {"What": 20, "Value": 90}, facts, font=bold)
    book.properties.creator = "histome"
    book.save(path)


def _row(metric: MetricValue, shown_as: Formatted) -> tuple[Any, ...]:
    factor, unit = _reading(metric)
    ends = [None] * 3 if shown_as.reason else [metric.value, metric.low, metric.high]
    scaled = [None if end is None else end * factor for end in ends]
    definition = _definition(metric.name)
    return (
        metric.name,
        scaled[0],
        unit,
        *scaled[1:],
        metric.n,
        shown_as.reason or None,
        shown_as.mark,
        definition,
        metric.value,
        metric.unit,
    )


def _reading(metric: MetricValue) -> tuple[float, str]:
    """Return the factor to, and the unit of, a value that reads well."""
    if metric.unit == "um2" and not metric.name.startswith("NUCLEUS_"):
        return 1e-6, "mm2"
    return (1e6, "cells/mm2") if metric.unit == "cells/um2" else (1.0, metric.unit or "")


def _definition(name: str) -> str:
    try:
        return find_metric(name).formula
    except UsageError:
        return ""


def _fill(sheet: Any, title: str, head: dict[str, int], rows: list[Any], *, font: Any) -> None:
    sheet.title = title
    sheet.freeze_panes = "A2"
    for column, (name, width) in enumerate(head.items(), start=1):
        cell = sheet.cell(1, column, name)
        cell.font = font
        sheet.column_dimensions[cell.column_letter].width = width
    for number, row in enumerate(rows, start=2):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(number, column)
            if isinstance(value, str):
                # 32,767 characters is what a cell of a workbook holds.
                cell.value, cell.data_type = shown(value)[:32_000], "s"
            elif value is not None:
                cell.value = value
