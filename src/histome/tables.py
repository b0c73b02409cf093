"""Tables that people bring: CSV or TSV as spreadsheets write them, or Parquet."""

import re
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from histome.errors import DataError

_HEADER_BYTES = 65_536
# Published tables begin with them.
_COMMENTS = re.compile(rb"(?:#[^\n]*\n)*")
_DECIMAL_COMMA = re.compile(rb"(?:^|;)-?\d+,\d+(?:;|\r?$)", re.MULTILINE)
# What Arrow says of a row of another width; after it stands the row itself, which may be anything.
_ROW = re.compile(r"(Expected \d+ columns, got \d+): .*")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PARQUET = (".parquet", ".pq")
_NO_UTF8 = "its text is not UTF-8; save it as CSV UTF-8, as spreadsheets call it, or as .parquet"


def read_table(path: Path) -> pa.Table:
    """Read a table: Parquet by its ending (.parquet, .pq), any other file as text with a head.

    Columns end at tabs, semicolons (then 1,5 may stand for 1.5) or commas, whichever the head has most of;
    lines before the head that begin with # are left out. Raises DataError, one line, for another file.
    """
    try:
        if path.suffix.lower() in _PARQUET:
            return parquet.ParquetFile(path).read()  # read_table refuses a column that is there twice
        return _read_text(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {_NO_UTF8}") from error
    except (OSError, pa.ArrowInvalid) as error:
        told = _ROW.sub(r"\1", str(error).splitlines()[0])
        raise DataError(f"{path}: not a table that can be read ({told})") from error


def _read_text(path: Path) -> pa.Table:
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if start.startswith(_UTF_16):
        raise DataError(f"{path}: {_NO_UTF8}")
    comments = len(_COMMENTS.match(start)[0])  # pyright: ignore[reportOptionalSubscript]
    head = start[comments:].split(b"\n", 1)[0]
    mark = max(",;\t", key=lambda sign: head.count(sign.encode()))
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(skip_rows=start[:comments].count(b"\n")),
        parse_options=csv.ParseOptions(delimiter=mark),
        convert_options=csv.ConvertOptions(
            decimal_point="," if mark == ";" and _DECIMAL_COMMA.search(start) else "."
        ),
    )
    names = table.column_names  # decoded here
    if any(map(pa.types.is_binary, table.schema.types)):
        raise DataError(f"{path}: {_NO_UTF8} (column {names[table.schema.types.index(pa.binary())]})")
    return table
