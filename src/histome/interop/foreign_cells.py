"""Cells of another program, whatever their format: where they lie, how they are labeled, their outlines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from histome.cells.shape import NuclearShapes, measure_shapes
from histome.classes import CELL_CLASSES
from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.interop.labels import label_column, map_labels

# Columns that are taken over where a table has them: measured there, in our units.
_TAKEN = (
    "confidence",
    "abstained",
    "area_um2",
    "perimeter_um",
    "major_axis_um",
    "minor_axis_um",
    "roundness",
    "eccentricity",
    "solidity",
    "hematoxylin_od_mean",
    "hematoxylin_od_sd",
    "eosin_od_mean",
)
_X_NAMES = ("x", "x_px", "centroid_x", "centroid x px", "x_centroid", "cell_x")
_Y_NAMES = ("y", "y_px", "centroid_y", "centroid y px", "y_centroid", "cell_y")
_ROUNDED = 1.02  # statements of one resolution may differ by rounding


class ForeignCells(NamedTuple):
    """Cells of a file: position in px, label, outline where there is one, columns taken over.

    `metadata` is what a table of our own says of its model, None for any other.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    label: NDArray[np.object_]
    outlines: NDArray[np.object_] | None
    columns: Mapping[str, Any]
    metadata: Mapping[bytes, bytes] | None = None


def cells_table(found: ForeignCells, mapping: Mapping[str, str], path: Path, mpp: float) -> pa.Table:
    """Return cells as a table in our classes and units, with the shapes of their outlines.

    Raises HistomeError for unmapped labels (all listed) and positions that are not finite (the first named).
    """
    bad = np.flatnonzero(~np.isfinite(found.x + found.y))
    if len(bad):
        raise HistomeError(f"{path}: the position of row {bad[0] + 1} is not finite ({len(bad)} such rows).")
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


def cells_of_table(table: pa.Table, path: Path, mpp: float) -> ForeignCells:
    """Return cells as points: positions in px, or in um where only those are there."""
    lower = {name.lower(): name for name in table.column_names}
    pairs = [
        (lower[x], lower[y]) for x, y in zip(_X_NAMES, _Y_NAMES, strict=True) if x in lower and y in lower
    ]
    if pairs:
        check_columns(table, path, mpp)
        x, y = (_numbers(table[name], path) for name in pairs[0])
    elif "x_um" in lower and "y_um" in lower:
        x, y = (_numbers(table[lower[name]], path) / mpp for name in ("x_um", "y_um"))
    else:
        raise HistomeError(f"{path}: no columns x and y (px) or x_um and y_um.")
    return ForeignCells(x, y, label_column(table, path), None, taken_columns(table))


def _numbers(column: pa.ChunkedArray, path: Path) -> NDArray[np.float64]:
    """Return a column of numbers, NaN for nulls; raises HistomeError for text."""
    try:
        numbers = pc.cast(column, pa.float64())
    except pa.ArrowInvalid as error:
        raise HistomeError(f"{path}: a position is not a number ({error}).") from error
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(), np.float64)


def check_columns(table: pa.Table, path: Path, mpp: float) -> None:
    """Refuse a table whose own px and um tell another resolution."""
    if {"x", "x_um"} <= set(table.column_names) and len(table):
        x, x_um = _numbers(table["x"], path), _numbers(table["x_um"], path)
        own = np.nanmedian(x_um[x > 0] / x[x > 0]) if (x > 0).any() else mpp
        check_mpp(path, float(own), mpp, _ROUNDED)


def check_mpp(path: Path, own: float, given: float, tolerance: float) -> None:
    """Refuse a file whose own um per px is more than `tolerance` times another; raises HistomeError."""
    if max(own / given, given / own) > tolerance:
        raise HistomeError(
            f"{path} was made at {own:.4g} um/px, but --mpp says {given:.4g}: give the right one."
        )


def taken_columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Return the columns that are taken over as they are."""
    return {name: table[name] for name in _TAKEN if name in table.column_names}


def cells_of_shapes(shapes: Shapes, columns: Mapping[str, Any]) -> ForeignCells:
    """Return cells as points, or as polygons by their centroid."""
    kinds = shapely.get_type_id(shapes.geometry)
    point = shapely.GeometryType.POINT
    outlines = None if len(kinds) == 0 or (kinds == point).any() else _repaired(shapes.geometry)
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
    rings = shapely.get_exterior_ring(outlines)
    corners = shapely.get_num_coordinates(rings) - 1
    columns = np.full((len(NuclearShapes._fields), len(outlines)), np.nan)
    for count in np.unique(corners[corners >= 3]):
        rows = np.flatnonzero(corners == count)
        points = shapely.get_coordinates(rings[rows]).reshape(len(rows), count + 1, 2)[:, :-1]
        columns[:, rows] = np.array(measure_shapes(points * mpp))
    columns[:, ~(columns[2] > 0)] = np.nan
    return dict(zip(NuclearShapes._fields[2:], columns[2:], strict=True))
