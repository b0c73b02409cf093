"""Tables of cells as CSV or TSV, QuPath's measurements among them: positions in px or um, and labels.

Reading; what writes one belongs here too.
"""

import re
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from histome.errors import HistomeError
from histome.interop.foreign_cells import ForeignCells, cells_of_table

_HEADER_BYTES = 65_536
# Published readouts begin with one.
_COMMENTS = re.compile(rb"(?:#[^\n]*\n)*")
_DECIMAL_COMMA = re.compile(rb"(?:^|;)-?\d+,\d+(?:;|\r?$)", re.MULTILINE)


def read_delimited_cells(path: Path, mpp: float) -> ForeignCells:
    """Read cells as points; raises HistomeError where the file cannot be read or says no positions.

    Columns end at tabs, semicolons (then 1,5 may stand for 1.5) or commas, whichever the header has most of.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
        comments = len(_COMMENTS.match(start)[0])  # pyright: ignore[reportOptionalSubscript]
        header = start[comments:].split(b"\n", 1)[0]
        mark = max(",;\t", key=lambda sign: header.count(sign.encode()))
        point = "," if mark == ";" and _DECIMAL_COMMA.search(start) else "."
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(skip_rows=start[:comments].count(b"\n")),
            parse_options=csv.ParseOptions(delimiter=mark),
            convert_options=csv.ConvertOptions(decimal_point=point),
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise HistomeError(f"{path}: not a table (CSV, TSV) that can be read ({error}).") from error
    return cells_of_table(table, path, mpp)
