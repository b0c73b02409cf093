"""Tables of cells as CSV: positions in px or um, and labels.

Reading; what writes one belongs here too.
"""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from histome.errors import HistomeError
from histome.interop.foreign_cells import ForeignCells, cells_of_table


def read_cells(path: Path, mpp: float) -> ForeignCells:
    """Read cells as points; raises HistomeError where the file cannot be read or says no positions."""
    try:
        table = csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise HistomeError(f"{path}: not a CSV file that can be read ({error}).") from error
    return cells_of_table(table, path, mpp)
