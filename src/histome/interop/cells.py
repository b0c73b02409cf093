"""Cells that came from elsewhere: GeoParquet, QuPath GeoJSON, CellViT and HoVer-Net JSON, CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyarrow import csv

from histome.cells.shape import Shapes as NuclearShapes
from histome.cells.shape import measure_shapes
from histome.classes import CELL_CLASSES
from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.interop.tissue import (
    label_column,
    load_json,
    map_labels,
    read_parquet,
    read_shapes,
    shapes_of_features,
)
from histome.models.label_support import CLASS_LABELS
from histome.slide.maps import ClassMap

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
# Statements of one resolution may differ by rounding; objective powers are nominal.
_SAME, _NOMINAL = 1.02, 1.6


class _Found(NamedTuple):
    """Cells of a file: position in px, label, outline where there is one, columns taken over."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    label: NDArray[np.object_]
    outlines: NDArray[np.object_] | None
    columns: Mapping[str, Any]


def read_foreign_cells(path: Path | str, mapping: Mapping[str, str], *, mpp: float) -> pa.Table:
    """Read cells, with the shape of their nuclei where the file has outlines.

    path: .parquet (GeoParquet or a table with x and y), .csv, or JSON (.geojson, .json, .gz): QuPath's
    detections, CellViT's cells, HoVer-Net's nuc. mapping: their labels to CELL_CLASSES. mpp: um per unit of
    the file's coordinates. Returns cell_id, x, y (px), x_um, y_um, class and what else is known. Outlines
    that cross themselves are repaired (the largest part is measured).

    Raises HistomeError for a file that cannot be read, unmapped labels (all listed), positions that are not
    finite (the first row named), and a file that says it has another resolution.
    """
    path = Path(path)
    found = _READERS.get(path.suffix.lower(), _read_json)(path, mpp)
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
    return table.replace_schema_metadata(_class_labels(path))


def _class_labels(path: Path) -> dict[bytes, bytes] | None:
    """Keep what a table of our own says of its model."""
    metadata = (pq.read_schema(path).metadata or {}) if path.suffix.lower() == ".parquet" else {}
    return {CLASS_LABELS: metadata[CLASS_LABELS]} if CLASS_LABELS in metadata else None


def check_same_frame(cells: pa.Table, tissue: ClassMap) -> None:
    """Refuse cells and tissue that were drawn at different resolutions; raises HistomeError.

    Refused: most cells lie off the tissue, and would lie on it were their coordinates 2, 4, 1/2 or 1/4 as
    large; or the cells fill exactly such a part of the tissue's extent.
    """
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    if len(x) < 20 or not tissue.array.any():
        return
    share = {
        factor: np.count_nonzero(tissue.at(x * factor, y * factor)) / len(x)
        for factor in (0.25, 0.5, 1, 2, 4)
    }
    best = max(share, key=lambda factor: share[factor])
    rows, columns = (np.flatnonzero(tissue.array.any(axis=axis))[-1] for axis in (1, 0))
    reach = np.array([(columns + 1) * tissue.mpp / x.max(), (rows + 1) * tissue.mpp / y.max()])
    filled = [factor for factor in (2, 4) if np.all(np.abs(reach / factor - 1) < 0.03)]
    if (share[1] < 0.5 and share[best] > 0.9) or (filled and share[filled[0]] >= share[1]):
        factor = filled[0] if filled else best
        raise HistomeError(
            f"cells and tissue are not at one resolution: {share[1]:.0%} of the cells lie on tissue, "
            f"{share[factor]:.0%} would if their coordinates were {factor:g} times as large."
        )


def _read_parquet(path: Path, mpp: float) -> _Found:
    table = read_parquet(path)
    if "geometry" not in table.column_names:
        return _from_table(table, path, mpp)
    _check_columns(table, path, mpp)
    return _from_shapes(read_shapes(path), _taken(table))


def _read_csv(path: Path, mpp: float) -> _Found:
    try:
        table = csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise HistomeError(f"{path}: not a CSV file that can be read ({error}).") from error
    return _from_table(table, path, mpp)


def _from_table(table: pa.Table, path: Path, mpp: float) -> _Found:
    """Read positions from columns, in px, or in um where only those are there."""
    lower = {name.lower(): name for name in table.column_names}
    pairs = [
        (lower[x], lower[y]) for x, y in zip(_X_NAMES, _Y_NAMES, strict=True) if x in lower and y in lower
    ]
    if pairs:
        _check_columns(table, path, mpp)
        x, y = (_numbers(table[name], path) for name in pairs[0])
    elif "x_um" in lower and "y_um" in lower:
        x, y = (_numbers(table[lower[name]], path) / mpp for name in ("x_um", "y_um"))
    else:
        raise HistomeError(f"{path}: no columns x and y (px) or x_um and y_um.")
    return _Found(x, y, label_column(table, path), None, _taken(table))


def _numbers(column: pa.ChunkedArray, path: Path) -> NDArray[np.float64]:
    """Return a column of numbers, NaN for nulls; raises HistomeError for text."""
    try:
        numbers = pc.cast(column, pa.float64())
    except pa.ArrowInvalid as error:
        raise HistomeError(f"{path}: a position is not a number ({error}).") from error
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(), np.float64)


def _check_columns(table: pa.Table, path: Path, mpp: float) -> None:
    """Refuse a table whose own px and um tell another resolution."""
    if {"x", "x_um"} <= set(table.column_names) and len(table):
        x, x_um = _numbers(table["x"], path), _numbers(table["x_um"], path)
        own = np.nanmedian(x_um[x > 0] / x[x > 0]) if (x > 0).any() else mpp
        _check_mpp(path, float(own), mpp, _SAME)


def _check_mpp(path: Path, own: float, given: float, tolerance: float) -> None:
    if max(own / given, given / own) > tolerance:
        raise HistomeError(
            f"{path} was made at {own:.4g} um/px, but --mpp says {given:.4g}: give the right one."
        )


def _taken(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: table[name] for name in _TAKEN if name in table.column_names}


def _read_json(path: Path, mpp: float) -> _Found:
    """Tell the three kinds of JSON apart by what they hold."""
    data = load_json(path)
    if isinstance(data, dict) and isinstance(data.get("cells"), list):
        return _from_cellvit(data, path)
    if isinstance(data, dict) and isinstance(data.get("nuc"), dict):
        return _from_hovernet(data, path, mpp)
    return _from_shapes(shapes_of_features(data, path), {})


def _from_cellvit(data: dict[str, Any], path: Path) -> _Found:
    """Read CellViT's cells: contour, type (named by type_map), type_prob."""
    names = {str(key): str(value) for key, value in (data.get("type_map") or {}).items()}
    return _from_records(data["cells"], names, path)


def _from_hovernet(data: dict[str, Any], path: Path, mpp: float) -> _Found:
    """Read HoVer-Net's nuc: contour, type, type_prob; its magnification must fit the given resolution."""
    if isinstance(data.get("mag"), int | float) and data["mag"] > 0:
        _check_mpp(path, 10 / data["mag"], mpp, _NOMINAL)
    return _from_records(list(data["nuc"].values()), {}, path)


def _from_records(records: list[Any], names: Mapping[str, str], path: Path) -> _Found:
    """Read records with contour, type and type_prob."""
    contours, labels, confidence = [], [], []
    for row, record in enumerate(records, start=1):
        try:
            contours.append(np.asarray(record["contour"], np.float64).reshape(-1, 2))
            labels.append(str(record["type"]))
            confidence.append(float(record.get("type_prob", np.nan) or np.nan))
        except (KeyError, TypeError, ValueError) as error:
            raise HistomeError(
                f"{path}: cell {row} has no contour, type or type_prob as expected ({error})."
            ) from error
    short = next((k for k, contour in enumerate(contours, start=1) if len(contour) < 3), None)
    if short is not None:
        raise HistomeError(f"{path}: the contour of cell {short} has fewer than 3 corners.")
    sizes = [len(contour) for contour in contours]
    corners = np.concatenate(contours) if contours else np.empty((0, 2))
    if not np.isfinite(corners).all():
        row = np.repeat(np.arange(len(sizes)), sizes)[~np.isfinite(corners).all(axis=1)][0]
        raise HistomeError(f"{path}: the contour of cell {row + 1} is not finite.")
    rings = shapely.linearrings(corners, indices=np.repeat(np.arange(len(sizes)), sizes)) if sizes else []
    label = np.array([names.get(value, value) for value in labels], object)
    columns = {"confidence": np.array(confidence)} if np.isfinite(confidence).any() else {}
    return _from_shapes(Shapes(np.asarray(shapely.polygons(rings), object), label), columns)


def _from_shapes(shapes: Shapes, columns: Mapping[str, Any]) -> _Found:
    """Read points, or polygons by their centroid."""
    kinds = shapely.get_type_id(shapes.geometry)
    point = shapely.GeometryType.POINT
    outlines = None if len(kinds) == 0 or (kinds == point).any() else _repaired(shapes.geometry)
    centers = shapely.get_coordinates(shapely.centroid(shapes.geometry if outlines is None else outlines))
    return _Found(centers[:, 0].copy(), centers[:, 1].copy(), shapes.label, outlines, columns)


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


_READERS = {".parquet": _read_parquet, ".csv": _read_csv}
