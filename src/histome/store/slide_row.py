"""slide.csv: a slide as one row, what it is and how its run ended before what was measured.

slide.units.csv beside it has the same header and, as its row, the units.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histome.names import spreadsheet_text

if TYPE_CHECKING:
    import pyarrow as pa

SLIDE_ROW, SLIDE_UNITS = "slide.csv", "slide.units.csv"
# What comes before the metrics.
ROW_HEAD = (
    *("slide", "file", "fingerprint", "mpp_x", "mpp_y", "histome", "models", "state"),
    *("warnings", "warning_codes"),
)
_HEAD_UNITS = {"mpp_x": "um/px", "mpp_y": "um/px"}


def write_slide_row(path: Path, about: Mapping[str, Any], metrics: "pa.Table") -> None:
    """Write the row, and the units in a file beside it.

    `about` by the names of `ROW_HEAD`, then every metric; a null is empty.
    """
    header = [*ROW_HEAD, *metrics["name"].to_pylist()]
    # repr: the shortest text that reads back as the same number.
    numbers = ("" if value is None else repr(value) for value in metrics["value"].to_pylist())
    _write_rows(path, header, [*_texts(about[name] for name in ROW_HEAD), *numbers])
    units = [*(_HEAD_UNITS.get(name, "") for name in ROW_HEAD), *metrics["unit"].to_pylist()]
    _write_rows(path.with_name(SLIDE_UNITS), header, units)


def _texts(values: Iterable[Any]) -> list[str]:
    return [spreadsheet_text(str(value)) for value in values]


def _write_rows(path: Path, *rows: Iterable[Any]) -> None:
    """Write a CSV file in one step."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def row_of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the row says of a slide whose run.json this is."""
    slide, warnings = run["slide"], run["warnings"]
    models = "; ".join(f"{model['name']} {model['version']}" for model in run.get("models", []))
    codes = sorted({each["code"] for each in warnings})
    return {
        "slide": slide["id"],
        "file": slide["file"],
        "fingerprint": slide["fingerprint"],
        "mpp_x": slide["mpp"]["x"],
        "mpp_y": slide["mpp"]["y"],
        "histome": run["code"],
        "models": models,
        "state": run["state"],
        "warnings": len(warnings),
        "warning_codes": "; ".join(codes),
    }


def holds_slide_row(folder: Path, run: Mapping[str, Any]) -> bool:
    """Whether a profile's row says what its run.json says; a profile without metrics has none."""
    from histome.store.files import METRICS_TABLE

    if not (folder / "metrics" / METRICS_TABLE).is_file():
        return True
    try:
        with (folder / SLIDE_ROW).open(encoding="utf-8", newline="") as file:
            names, values = csv.reader(file)
        told = _texts(row_of_run(run).values())
    except (OSError, ValueError, LookupError, TypeError, csv.Error):
        return False
    whole = len(names) == len(values) and (folder / SLIDE_UNITS).is_file()
    return whole and values[: len(told)] == told


def keep_slide_row(folder: Path, run: Mapping[str, Any]) -> None:
    """Write a profile's row to what its run.json says now; without metrics that can be read there is none."""
    from pyarrow import ArrowInvalid, parquet

    from histome.store.files import METRICS_TABLE

    try:
        metrics = parquet.read_table(folder / "metrics" / METRICS_TABLE)
    except (OSError, ArrowInvalid):
        for name in (SLIDE_ROW, SLIDE_UNITS):
            (folder / name).unlink(missing_ok=True)
        return
    write_slide_row(folder / SLIDE_ROW, row_of_run(run), metrics)
