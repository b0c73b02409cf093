"""Who is where: every nucleus with its outline, class, shape, stain and surroundings."""

from histome.cells.everywhere import everywhere
from histome.cells.find import find_cells
from histome.cells.table import SCHEMA, read_cells, write_cells

__all__ = ["SCHEMA", "everywhere", "find_cells", "read_cells", "write_cells"]
