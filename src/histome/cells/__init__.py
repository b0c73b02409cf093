"""Who is where: every nucleus with its outline, class, shape, stain and surroundings."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cells.find import find_cells
    from histome.cells.summary import summarize_cells
    from histome.cells.table import SCHEMA, read_cells, write_cells

__all__ = ["SCHEMA", "find_cells", "read_cells", "summarize_cells", "write_cells"]
__getattr__ = opened(__name__, __file__)
