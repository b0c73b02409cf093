"""GeoParquet, our own tables among them: labeled geometries in px; or plain Parquet with positions.

Reading; what writes cells and regions for other programs belongs here too (our own cells table is written by
`cells.table`).
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.geotable import read_geo_table
from histome.interop.foreign_cells import (
    ForeignCells,
    cells_of_shapes,
    cells_of_table,
    check_columns,
    table_ids,
    taken_columns,
)
from histome.interop.foreign_shapes import check_shapes
from histome.interop.labels import label_column
from histome.models.label_support import CLASS_LABELS


def read_geo_cells(path: Path, mpp: float) -> ForeignCells:
    """Read cells with outlines, or without where there is no column geometry; raises HistomeError."""
    table = read_geo_table(path)
    if "geometry" not in table.column_names:
        found = cells_of_table(table, path, mpp)
    else:
        check_columns(table, path, mpp)
        found = cells_of_shapes(_shapes(table, path), taken_columns(table, path), path)
        found = found._replace(ids=table_ids(table, path))
    return found._replace(metadata=_class_labels(table.schema))


def read_geo_shapes(path: Path) -> Shapes:
    """Read labeled geometries; raises HistomeError as `formats.read_shapes`."""
    table = read_geo_table(path)
    if "geometry" not in table.column_names:
        raise HistomeError(f"{path}: no column is called geometry.")
    return _shapes(table, path)


def _shapes(table: pa.Table, path: Path) -> Shapes:
    return check_shapes(Shapes(_parse_wkb(table["geometry"], path), label_column(table, path)), path)


def _parse_wkb(column: pa.ChunkedArray, path: Path) -> NDArray[np.object_]:
    """Return WKB as shapely geometries; raises HistomeError when it is none."""
    try:
        return shapely.from_wkb(column.to_numpy())
    except (shapely.errors.GEOSException, TypeError) as error:
        raise HistomeError(f"{path}: its geometry column is not WKB ({error}).") from error


def _class_labels(schema: pa.Schema) -> dict[bytes, bytes] | None:
    """Keep what a table of our own says of its model."""
    metadata = schema.metadata or {}
    return {CLASS_LABELS: metadata[CLASS_LABELS]} if CLASS_LABELS in metadata else None
