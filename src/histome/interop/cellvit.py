"""CellViT's JSON: `cells` with contour, type (named by type_map) and type_prob, in px.

Reading; what writes it belongs here too.
"""

from pathlib import Path
from typing import Any

from histome.interop.foreign_cells import ForeignCells
from histome.interop.records import cells_of_records


def is_cellvit(data: Any) -> bool:
    """Whether JSON data are CellViT's."""
    return isinstance(data, dict) and isinstance(data.get("cells"), list)


def cellvit_cells(data: dict[str, Any], path: Path, mpp: float) -> ForeignCells:
    """Return the cells of CellViT's data; raises HistomeError for one that is not as expected."""
    names = {str(key): str(value) for key, value in (data.get("type_map") or {}).items()}
    return cells_of_records(data["cells"], names, path)
