"""Cells of another program, whatever their format: where they lie, how they are labeled, their outlines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from histome.cells.shape import NuclearShapes, measure_polygons
from histome.classes import CELL_CLASSES
from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.interop.foreign_shapes import POLYGONS, check_kinds
from histome.interop.labels import label_column, map_labels

# Columns that are taken over where a table has them, measured there in our units; least and largest value.
_TAKEN = {
    "confidence": (0.0, 1.0),
    "area_um2": (0.0, np.inf),
    "perimeter_um": (0.0, np.inf),
    "major_axis_um": (0.0, np.inf),
    "minor_axis_um": (0.0, np.inf),
    "roundness": (0.0, 1.0),
    "eccentricity": (0.0, 1.0),
    "solidity": (0.0, 1.0),
    "hematoxylin_od_mean": (-np.inf, np.inf),
    "hematoxylin_od_sd": (0.0, np.inf),
    "eosin_od_mean": (-np.inf, np.inf),
}
_PX_NAMES = (
    ("x", "y"),
    ("x_px", "y_px"),
    ("centroid_x", "centroid_y"),
    ("centroid x px", "centroid y px"),
    ("x_centroid", "y_centroid"),
    ("cell_x", "cell_y"),
)
# The micro sign and the Greek letter: both are written.
_UM_NAMES = (
    ("x_um", "y_um"),
    *((f"centroid x {unit}", f"centroid y {unit}") for unit in ("\u00b5m", "\u03bcm", "um")),
)
_ID_NAMES = ("cell_id", "object id", "id")
_ROUNDED = 1.02  # statements of one resolution may differ by rounding
_FARTHEST_UM = 1e6  # a meter: no slide is as long


class ForeignCells(NamedTuple):
    """Cells of a file: position in px, label, outline where there is one, columns taken over.

    `metadata` is what a table of our own says of its model, None for any other. `ids` are those of the file,
    None where it has none.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    label: NDArray[np.object_]
    outlines: NDArray[np.object_] | None
    columns: Mapping[str, Any]
    metadata: Mapping[bytes, bytes] | None = None
    ids: NDArray[np.object_] | None = None


def cells_table(found: ForeignCells, mapping: Mapping[str, str], path: Path, mpp: float) -> pa.Table:
    """Return cells as a table in our classes and units, with the shapes of their outlines.

    Raises HistomeError for unmapped labels (all listed), for positions that are not finite or a meter away,
    and for cells that are there twice (the first named).
    """
    check_positions(found, path, mpp)
    code = map_labels(found.label, mapping, CELL_CLASSES, path)
    columns: dict[str, Any] = {
        "cell_id": np.arange(1, len(found.x) + 1),
        "x": found.x,
        "y": found.y,
        "x_um": found.x * mpp,
        "y_um": found.y * mpp,
        "class": pa.DictionaryArray.from_arrays(pa.array(code, pa.int8()), list(CELL_CLASSES)),
    }
    shapes = {} if found.outlines is None else _measure(found.outlines, mpp)
    table = pa.table(columns | dict(found.columns) | shapes)
    return table.replace_schema_metadata(None if found.metadata is None else dict(found.metadata))


def check_positions(found: ForeignCells, path: Path, mpp: float) -> None:
    """Refuse what is no position, and one cell twice; raises HistomeError."""
    bad = np.flatnonzero(~np.isfinite(found.x + found.y))
    if len(bad):
        raise HistomeError(f"{path}: the position of row {bad[0] + 1} is not finite ({len(bad)} such rows).")
    far = np.flatnonzero(np.maximum(np.abs(found.x), np.abs(found.y)) * mpp > _FARTHEST_UM)
    if len(far):
        raise HistomeError(
            f"{path}: row {far[0] + 1} lies at x {found.x[far[0]]:g}, y {found.y[far[0]]:g}, more than a "
            f"meter away at {mpp:g} um/px ({len(far)} such rows)."
        )
    kind = np.unique(found.label.astype(str), return_inverse=True)[1]
    order = np.lexsort((kind, found.y, found.x))
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in (found.x, found.y, kind):
        same &= np.diff(column[order]) == 0
    if same.any():
        row, other = sorted(order[np.flatnonzero(same)[0] :][:2].tolist())
        raise HistomeError(
            f"{path}: rows {row + 1} and {other + 1} are the same cell, at x {found.x[row]:g}, y "
            f"{found.y[row]:g} ({same.sum():,} such pairs): remove one of each."
        )


def cells_of_table(table: pa.Table, path: Path, mpp: float) -> ForeignCells:
    """Return cells as points: positions in px, or in um where only those are there."""
    lower = {name.lower(): name for name in table.column_names}
    ids = table_ids(table, path)
    px, um = (_first_pair(names, lower) for names in (_PX_NAMES, _UM_NAMES))
    if px:
        check_columns(table, path, mpp)
    elif not um:
        found = ", ".join(table.column_names[:12])
        raise HistomeError(f"{path}: no columns x and y (px) or x_um and y_um; there are {found}.")
    x, y = (_numbers(table, name, path) / (1 if px else mpp) for name in px or um)
    return ForeignCells(x, y, label_column(table, path), None, taken_columns(table, path), ids=ids)


def table_ids(table: pa.Table, path: Path) -> NDArray[np.object_] | None:
    """Return the ids of a table's rows, None without a column of them; raises HistomeError for one twice."""
    name = next((name for name in table.column_names if name.lower() in _ID_NAMES), None)
    if name is None:
        return None
    ids = table[name].to_pylist()
    check_ids(ids, name, path)
    return np.array(ids, object)


def _first_pair(names: Sequence[tuple[str, str]], lower: Mapping[str, str]) -> list[str]:
    """Return the columns of the first pair of names that is there, or none."""
    pairs = ([lower[x], lower[y]] for x, y in names if x in lower and y in lower)
    return next(pairs, [])


def check_ids(ids: Sequence[Any], name: str, path: Path) -> None:
    """Refuse one id for two cells, nulls aside; raises HistomeError."""
    first: dict[Any, int] = {}
    for row, value in enumerate(ids, start=1):
        if value is not None and first.setdefault(value, row) != row:
            raise HistomeError(f"{path}: rows {first[value]} and {row} have one {name}: {value}.")


def _numbers(table: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    """Return a column of numbers, NaN for nulls; raises HistomeError that names the first row of text."""
    column = table[name]
    try:
        numbers = pc.cast(column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row, value = _first_odd(column, pa.float64())
        raise HistomeError(f"{path}: {name} of row {row} is not a number: {value!r}.") from error
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(), np.float64)


def _first_odd(column: pa.ChunkedArray, kind: pa.DataType) -> tuple[int, Any]:
    """Return row (from 1) and value of the first item that cannot be cast."""
    for row, value in enumerate(column, start=1):
        try:
            pc.cast(value, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return row, value.as_py()
    return 1, str(column.type)


def check_columns(table: pa.Table, path: Path, mpp: float) -> None:
    """Refuse a table whose own px and um tell another resolution."""
    if {"x", "x_um"} <= set(table.column_names) and len(table):
        x, x_um = _numbers(table, "x", path), _numbers(table, "x_um", path)
        own = np.nanmedian(x_um[x > 0] / x[x > 0]) if (x > 0).any() else mpp
        check_mpp(path, float(own), mpp, _ROUNDED)


def check_mpp(path: Path, own: float, given: float, tolerance: float) -> None:
    """Refuse a file whose own um per px is more than `tolerance` times another; raises HistomeError."""
    if max(own / given, given / own) > tolerance:
        raise HistomeError(
            f"{path} was made at {own:.4g} um/px, but --mpp says {given:.4g}: give the right one."
        )


def taken_columns(table: pa.Table, path: Path) -> dict[str, Any]:
    """Return the columns that are taken over; raises HistomeError for a value beyond what it can be."""
    columns: dict[str, Any] = {}
    for name in [name for name in _TAKEN if name in table.column_names]:
        columns[name], (low, high) = _numbers(table, name, path), _TAKEN[name]
        bad = np.flatnonzero((columns[name] < low) | (columns[name] > high) | np.isinf(columns[name]))
        if len(bad):
            raise HistomeError(
                f"{path}: {name} of row {bad[0] + 1} is {columns[name][bad[0]]:g}, outside {low:g} to "
                f"{high:g} ({len(bad):,} such rows)."
            )
    if "abstained" in table.column_names:
        try:
            columns["abstained"] = pc.cast(table["abstained"], pa.bool_())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            row, value = _first_odd(table["abstained"], pa.bool_())
            raise HistomeError(f"{path}: abstained of row {row} is not true or false: {value!r}.") from error
    return columns


def cells_of_shapes(shapes: Shapes, columns: Mapping[str, Any], path: Path) -> ForeignCells:
    """Return cells as points, or as polygons by their centroid; not as a mixture."""
    point = len(shapes.geometry) > 0 and shapely.get_type_id(shapes.geometry[0]) == shapely.GeometryType.POINT
    check_kinds(shapes.geometry, ("Point",) if point else POLYGONS, path)
    outlines = None if point or len(shapes.geometry) == 0 else _repaired(shapes.geometry)
    centers = shapely.get_coordinates(shapely.centroid(shapes.geometry if outlines is None else outlines))
    return ForeignCells(centers[:, 0].copy(), centers[:, 1].copy(), shapes.label, outlines, columns)


def _repaired(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return simple polygons: of a crossing outline or several parts the largest."""
    outlines = np.array(geometry, object)
    for row in np.flatnonzero(~shapely.is_valid(outlines) | (shapely.get_type_id(outlines) != 3)):
        parts = shapely.get_parts(shapely.make_valid(outlines[row]))
        parts = np.concatenate([shapely.get_parts(part) for part in parts])
        outlines[row] = parts[np.argmax(shapely.area(parts))]
    return outlines


def _measure(outlines: NDArray[np.object_], mpp: float) -> dict[str, NDArray[np.float64]]:
    """Measure the shapes of outlines, holes ignored; NaN for one without area."""
    measured = measure_polygons(outlines, (mpp, mpp))._asdict()
    return {name: measured[name] for name in NuclearShapes._fields[2:]}
