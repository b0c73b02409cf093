"""A cohort's tables on disk: slides, patients, every number with its interval, and what the columns are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from histome.cohort.answers.tables.measured import CohortNumbers, profiles_of
from histome.errors import UsageError
from histome.metrics.catalogue import find_metric
from histome.store.disk import writing

ANSWERS = "answers"
TABLES = "tables"


def write_tables(out: str | Path, measured: Sequence[CohortNumbers]) -> list[Path]:
    """Write what was measured under OUT/answers/tables and return the files.

    For each table (slides, patients) NAME.parquet, a row a slide or patient; NAME.xlsx with the numbers that
    people report; NAME.h5ad where anndata is installed. And numbers.parquet (of slides: every number with n,
    interval and the reason of a null) and columns.csv (what each column is, how patients were pooled).
    """
    folder = Path(out) / ANSWERS / TABLES
    written = []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for each in measured:
            stem = folder / f"{each.each}s{'_harmonized' if each.harmonized else ''}"
            written.append(_written(wide_table(each), stem.with_suffix(".parquet")))
            written += _other_formats(each, stem)
        written.append(_written(numbers_table(out), folder / "numbers.parquet"))
        written.append(_write_columns(measured, folder / "columns.csv"))
    return written


def _written(table: pa.Table, path: Path) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table, partial, compression="zstd")
    return partial.replace(path)


def _other_formats(measured: CohortNumbers, stem: Path) -> list[Path]:
    from histome.cohort.answers.tables.sheets import write_h5ad, write_sheet

    sheet = write_sheet(measured, stem.with_suffix(".xlsx"))
    made = write_h5ad(measured, stem.with_suffix(".h5ad"))
    return [sheet, made] if made else [sheet]


def wide_table(measured: CohortNumbers) -> pa.Table:
    """Return a row a slide or patient: its id, the manifest's columns, every metric; null where none.

    A metric's field says its unit, and of patients how it was pooled.
    """
    own = {
        name: list(column) for name, column in measured.about.items() if name not in ("path", measured.each)
    }
    columns: dict[str, Any] = {measured.each: list(measured.ids), **own}
    if measured.harmonized:
        columns["harmonized"] = [measured.harmonized] * len(measured)
    fields = [pa.field(name, pa.string()) for name in columns]
    arrays = [pa.array(column, pa.string()) for column in columns.values()]
    for k, (name, unit) in enumerate(zip(measured.names, measured.units, strict=True)):
        about = {"unit": unit, **({"pooled": measured.how[k]} if measured.how else {})}
        if measured.harmonized:
            about["harmonized"] = measured.harmonized
        fields.append(pa.field(name, pa.float64(), metadata=about))
        column = measured.value[:, k]
        arrays.append(pa.array(column, mask=np.isnan(column)))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def numbers_table(out: str | Path) -> pa.Table:
    """Return every number of every slide: slide, name, value, unit, n, reason, low, high, method."""
    wanted = ("name", "value", "unit", "n", "reason", "low", "high", "method")
    parts = []
    for row, profile in profiles_of(out):
        table = profile.metrics.select([name for name in wanted if name in profile.metrics.column_names])
        slide = pa.array([row["slide"]] * len(table), pa.string()).dictionary_encode()
        parts.append(table.add_column(0, "slide", slide))
    return pa.concat_tables(parts, promote_options="default").unify_dictionaries()


def _write_columns(measured: Sequence[CohortNumbers], path: Path) -> Path:
    """Write what each column of the tables is."""
    import csv

    pooled = next((dict(zip(m.names, m.how, strict=True)) for m in measured if m.how), {})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "unit", "family", "definition", "pooled_by_patient"))
        for name, unit in zip(measured[0].names, measured[0].units, strict=True):
            writer.writerow((name, unit, *describe(name), pooled.get(name, "")))
    return path


def describe(name: str) -> tuple[str, str]:
    """Return the family and the definition of a column."""
    try:
        metric = find_metric(name)
    except UsageError:
        return "phenotypes", "share of the slide's tiles with this label or token"
    return metric.family, metric.formula
