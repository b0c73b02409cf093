"""Published H&E readouts (slide_readouts.csv) as tables like our own metrics, to be laid side by side."""

import csv
from pathlib import Path

import pyarrow as pa

from histome.errors import HistomeError
from histome.metrics.catalogue import find_metric, list_metrics

# What a readout writes where there is no number.
_NO_NUMBER = ("", "N/A", "NA", "nan", "NaN", "None")
_REASON = "no value in the readout"


def read_slide_readouts(path: Path | str) -> dict[str, pa.Table]:
    """Read slide_readouts.csv: for each slide its core metrics as a table of name, value, unit, n and reason.

    The slide's name is SLIDE_NAME, else the number of its row. n is null: readouts do not say it. Columns
    that are no metric of ours are left out. Raises HistomeError where no column is one, or a value is no
    number.
    """
    path = Path(path)
    rows = _rows(path)
    core = {metric.name for metric in list_metrics(["core"])}
    names = [name for name in (rows[0] if rows else ()) if name in core]
    if not names:
        raise HistomeError(f"{path}: none of its columns is a metric; it is no slide_readouts.csv.")
    return {
        row.get("SLIDE_NAME") or str(number): _metrics(row, names, path)
        for number, row in enumerate(rows, start=1)
    }


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV whose first lines may be comments."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HistomeError(f"{path}: not a CSV file that can be read ({error}).") from error


def _metrics(row: dict[str, str], names: list[str], path: Path) -> pa.Table:
    values = [_number(row[name], name, path) for name in names]
    columns = {
        "name": names,
        "value": pa.array(values, pa.float64()),
        "unit": [find_metric(name).unit for name in names],
        "n": pa.nulls(len(names), pa.int64()),
        "reason": pa.array([_REASON if value is None else None for value in values], pa.string()),
    }
    return pa.table(columns)


def _number(text: str, name: str, path: Path) -> float | None:
    if text.strip() in _NO_NUMBER:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise HistomeError(f"{path}: {name} is {text[:40]!r}, no number.") from error
