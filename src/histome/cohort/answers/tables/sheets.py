"""A cohort's table for spreadsheets and for scverse."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from histome.cohort.answers.tables.measured import CohortNumbers
from histome.exports.extra import needed
from histome.exports.workbook import CORE_NUMBERS
from histome.names import shown, spreadsheet_text


def write_sheet(measured: CohortNumbers, path: Path) -> Path:
    """Write a workbook: the numbers that people report with their intervals, a row a slide or patient."""
    openpyxl: Any = needed("openpyxl", "exports")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Numbers")
    places = [measured.names.index(name) for name in CORE_NUMBERS if name in measured.names]
    own = [name for name in measured.about if name not in ("path", measured.each)]
    head = [measured.each, *own, *(["harmonized"] if measured.harmonized else [])]
    heads = [
        f"{measured.names[k]} ({measured.units[k]}){end}" for k in places for end in ("", " low", " high")
    ]
    sheet.append([*head, *heads])
    for row in range(len(measured)):
        texts = [measured.ids[row], *(measured.about[name][row] for name in own)]
        texts += [measured.harmonized] if measured.harmonized else []
        ends = (measured.value, measured.low, measured.high)
        numbers = [_number(end[row, k]) for k in places for end in ends]
        sheet.append([*(spreadsheet_text(shown(text)[:32_000]) for text in texts), *numbers])
    _add_about(book, measured, places)
    book.properties.creator = "histome"
    book.save(path)
    return path


def _add_about(book: Any, measured: CohortNumbers, places: list[int]) -> None:
    from histome.cohort.answers.tables.writing import describe

    sheet = book.create_sheet("Columns")
    sheet.append(["name", "unit", "definition", "pooled by patient", "harmonized"])
    for k in places:
        name, how = measured.names[k], measured.how[k] if measured.how else ""
        sheet.append([name, measured.units[k], describe(name)[1], how, measured.harmonized])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_h5ad(measured: CohortNumbers, path: Path) -> Path | None:
    """Write AnnData, slides or patients by metrics, with layers low, high and n; None without anndata."""
    if importlib.util.find_spec("anndata") is None:
        return None
    anndata: Any = needed("anndata", "scverse")
    pandas: Any = needed("pandas", "exports")
    index = pandas.Index(list(measured.ids), dtype=object)
    obs = pandas.DataFrame({name: list(column) for name, column in measured.about.items()}, index=index)
    about = {"unit": list(measured.units), "pooled": list(measured.how or [""] * len(measured.names))}
    var = pandas.DataFrame(about, index=pandas.Index(list(measured.names), dtype=object))
    made = anndata.AnnData(X=measured.value, obs=obs.drop(columns="path", errors="ignore"), var=var)
    made.layers.update({"low": measured.low, "high": measured.high, "n": measured.n.astype(np.float64)})
    made.uns["harmonized"] = measured.harmonized
    made.write_h5ad(path, compression="gzip")
    return path
