"""Tables of cells as CSV or TSV, QuPath's measurements among them: positions in px or um, and labels.

Reading; what writes one belongs here too.
"""

from pathlib import Path

from histome.interop.foreign_cells import ForeignCells, cells_of_table
from histome.tables import read_table


def read_delimited_cells(path: Path, mpp: float) -> ForeignCells:
    """Read cells as points; raises HistomeError where the file cannot be read or says no positions."""
    return cells_of_table(read_table(path), path, mpp)
