"""SQL over a cohort: all cells of all slides, all numbers, the manifest."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from histome.cohort.answers.tables.measured import manifest_rows, profiles_of
from histome.errors import DataError, OutputError, UsageError
from histome.exports.extra import needed
from histome.store.disk import writing
from histome.store.files import METRICS_TABLE

# Of the manifest, beside every cell and number.
_BESIDE = ("slide", "patient", "organ")
# Of the files, but not of the views: outlines are read from a profile.
_LEFT = ("slide", "bbox", "geometry")


def ask_sql(out: str | Path, query: str) -> pa.Table:
    """Return what a query says of a cohort.

    Tables: `cells` (a row a cell of any slide, as in cells.parquet but for its outline, with slide, patient
    and organ first), `numbers` (a row a slide and metric) and `slides` (the manifest). Cells and numbers are
    read from the profiles in parts, never all at once; files of other folders cannot be read, none written.

    Raises UsageError for a query that fails, one line.
    """
    duckdb: Any = needed("duckdb", "cohort")
    with ExitStack() as kept:
        database = _opened(duckdb, Path(out), kept)
        try:
            answer = database.sql(query)
            return pa.table({}) if answer is None else answer.to_arrow_table()
        except duckdb.Error as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            if "Table with name cells does not exist" in lines[0]:
                lines = ["no profile of this cohort has cells yet; run it again without --stages"]
            raise UsageError(f"SQL: {' '.join(lines[:2])}") from error


def _opened(duckdb: Any, out: Path, kept: ExitStack) -> Any:
    """Return a database in memory with the views of a cohort, and no way to other files or to the network."""
    rows = manifest_rows(out)
    heads = dict.fromkeys(("slide", *(name for row in rows for name in row if name != "path")))
    numbers: dict[str, str] = {}
    cells: dict[str, str] = {}
    for row, profile in profiles_of(out):
        numbers[str(profile.path / "metrics" / METRICS_TABLE)] = row["slide"]
        if (profile.path / "cells").is_dir():
            cells[str(kept.enter_context(profile.cells_file()))] = row["slide"]
    database = duckdb.connect(":memory:", config={"autoload_known_extensions": False})
    kept.callback(database.close)
    try:
        _fill(database, rows, list(heads), {"numbers": numbers, "cells": cells})
        allowed = ", ".join(_text(path) for path in (*numbers, *cells))
        database.execute("SET autoinstall_known_extensions = false")
        database.execute(f"SET allowed_paths = [{allowed}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise DataError(f"{out}: {' '.join(str(error).split())}") from error
    return database


def _fill(
    database: Any, rows: list[dict[str, str]], heads: list[str], files: Mapping[str, Mapping[str, str]]
) -> None:
    """Make the table of slides and the views; `files` are the slide of each file, by view."""
    texts = pa.schema([(name, pa.string()) for name in heads])
    given = [{name: row.get(name, "") for name in heads} for row in rows]
    database.register("given_slides", pa.Table.from_pylist(given, schema=texts))
    database.execute("CREATE TABLE slides AS SELECT * FROM given_slides")
    for view, slide_of in files.items():
        if slide_of:
            table = {"of_file": list(slide_of), "slide_of_file": list(slide_of.values())}
            database.register(f"files_of_{view}", pa.table(table))
            database.execute(_view(view, list(slide_of), [name for name in _BESIDE if name in heads]))


def _view(name: str, files: list[str], beside: list[str]) -> str:
    """Return the SQL of a view over files of profiles."""
    columns = ", ".join(f'slides."{each}"' for each in beside)
    there = set(pq.read_schema(files[0]).names)
    left = ["filename", *(each for each in _LEFT if each in there)]
    paths = ", ".join(_text(path) for path in files)
    return (
        f"CREATE VIEW {name} AS SELECT {columns}, rows_of.* EXCLUDE ({', '.join(left)}) "
        f"FROM read_parquet([{paths}], filename = true, union_by_name = true) AS rows_of "
        f"JOIN files_of_{name} ON rows_of.filename = of_file JOIN slides ON slides.slide = slide_of_file"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def write_result(table: pa.Table, path: Path) -> None:
    """Write an answer as .csv or .parquet."""
    import pyarrow.csv as pa_csv

    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{path}: name a file that ends in .csv or .parquet")
    with writing(path):
        try:
            pa_csv.write_csv(table, path) if path.suffix.lower() == ".csv" else pq.write_table(table, path)
        except pa.ArrowInvalid as error:
            raise OutputError(f"{path}: {error}; name a .parquet file") from error
