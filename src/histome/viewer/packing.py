"""Cells as bytes that a browser's typed arrays and graphics card take as they are; little-endian."""

from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.viewer.view import SlideView

# Side of the squares that outlines are asked for by, in the viewer's unit.
OUTLINES_SIDE = 512
_COUNTED, _ABSTAINED = 1, 2
# Not shown of a cell: what is drawn already, or the same for all.
_UNSHOWN = ("geometry", "bbox", "slide")


def pack_cells(view: SlideView) -> bytes:
    """Return all cells, in the order of the table: x, y float32, then what `pack_kinds` returns."""
    return view.centers.tobytes() + pack_kinds(view)


def pack_kinds(view: SlideView) -> bytes:
    """Return what a correction may change of all cells: class, confidence in 255ths, flags, each uint8.

    Flags are 1 for counted, 2 for abstained.
    """
    if view.cells is None:
        return b""
    table, n = view.cells, len(view.cells)
    confidence = np.rint(column_of(table, "confidence", 1.0) * 255).astype(np.uint8)
    flags = np.zeros(n, np.uint8)
    flags |= np.uint8(_COUNTED) * column_of(table, "counted", True).astype(np.uint8)
    flags |= np.uint8(_ABSTAINED) * column_of(table, "abstained", False).astype(np.uint8)
    return b"".join(part.tobytes() for part in (view.codes.astype(np.uint8), confidence, flags))


def column_of(table: pa.Table, name: str, otherwise: Any) -> NDArray[Any]:
    """Return a column; `otherwise` in every row where cells of another make have none."""
    if name not in table.column_names:
        return np.full(len(table), otherwise)
    return table[name].fill_null(otherwise).to_numpy()


def pack_outlines(view: SlideView, column: int, row: int) -> bytes:
    """Return the outlines of the cells whose center lies in a square of `OUTLINES_SIDE`.

    n uint32; row in the table and number of corners of each, uint32; the corners, x, y float32, the first one
    not said again.
    """
    rows = _rows_in(view, column, row)
    if view.cells is None or not len(rows) or "geometry" not in view.cells.column_names:
        return np.zeros(1, "<u4").tobytes()
    # Cells are ordered by y: what lies in a square lies near in the table, too.
    near = view.cells["geometry"].slice(rows[0], rows[-1] + 1 - rows[0]).take(pa.array(rows - rows[0]))
    polygons = shapely.from_wkb(near.to_numpy(zero_copy_only=False))
    corners, owner = shapely.get_coordinates(shapely.get_exterior_ring(polygons), return_index=True)
    last = np.append(np.diff(owner) > 0, True)
    corners, owner = corners[~last], owner[~last]
    corners[:, 1] *= view.mpp[1] / view.mpp[0]
    counts = np.bincount(owner, minlength=len(rows))
    heads = (np.array([len(rows)], "<u4"), rows.astype("<u4"), counts.astype("<u4"))
    return b"".join(part.tobytes() for part in (*heads, corners.astype("<f4")))


def _rows_in(view: SlideView, column: int, row: int) -> NDArray[np.int64]:
    x, y = view.centers.T
    left, top = column * OUTLINES_SIDE, row * OUTLINES_SIDE
    inside = (x >= left) & (x < left + OUTLINES_SIDE) & (y >= top) & (y < top + OUTLINES_SIDE)
    return np.flatnonzero(inside)


def describe_cell(view: SlideView, row: int) -> dict[str, Any]:
    """Return a cell's row of the table, its probabilities apart; raises KeyError for a row that is none."""
    if view.cells is None or not 0 <= row < len(view.cells):
        raise KeyError(f"no cell {row}")
    found = view.cells.slice(row, 1).drop_columns(
        [name for name in _UNSHOWN if name in view.cells.column_names]
    )
    values = found.to_pylist()[0]
    probabilities = {name: values.pop(f"p_{name}", None) for name in CELL_CLASSES}
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in found.schema}
    return {
        "values": [
            {"name": name, "value": value, "unit": units[name]}
            for name, value in values.items()
            if not name.startswith("n_")
        ],
        "probabilities": probabilities,
    }
