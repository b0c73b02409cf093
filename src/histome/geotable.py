"""Tables of shapes on a slide, in level-0 px: GeoParquet 1.1, as cells and regions are written and read."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from histome.errors import HistomeError
from histome.temporary import keeping, temporary_file

ROW_GROUP = 65_536
_EDGES = ("xmin", "ymin", "xmax", "ymax")

# Ids follow each other, counts are small; the first bytes of other numbers are alike.
_ENCODINGS = {
    **dict.fromkeys((pa.int64(), pa.uint16()), "DELTA_BINARY_PACKED"),
    **dict.fromkeys((pa.float32(), pa.float64()), "BYTE_STREAM_SPLIT"),
}

Column = NDArray[Any] | pa.Array | pa.ChunkedArray | Sequence[Any]


def described(name: str, kind: pa.DataType, unit: str, description: str, *, null: bool = False) -> pa.Field:
    """Return a field that says its unit and what it is."""
    return pa.field(name, kind, nullable=null, metadata={"unit": unit, "description": description})


def geo_schema(fields: Sequence[pa.Field], *, edge: pa.DataType, shape: str) -> pa.Schema:
    """Return the fields between the constant column slide and the columns bbox and geometry.

    Parameters
    ----------
    edge : pa.DataType
        Of the numbers of bbox; they hold the bounds of every shape exactly.
    shape : str
        What the geometry is, in words.
    """
    box = pa.struct([pa.field(name, edge, nullable=False) for name in _EDGES])
    return pa.schema(
        [
            described("slide", pa.dictionary(pa.int32(), pa.string()), "", "id of the slide"),
            *fields,
            described("bbox", box, "px", "box round the geometry, level-0 px"),
            described("geometry", pa.binary(), "px", f"{shape}, WKB, level-0 px"),
        ]
    )


def geo_table(
    columns: Mapping[str, Column],
    bounds: NDArray[np.floating],
    schema: pa.Schema,
    *,
    slide: str,
    kinds: Sequence[str] = ("Polygon",),
    metadata: Mapping[bytes, bytes] | None = None,
) -> pa.Table:
    """Return a table of a `geo_schema` with GeoParquet's metadata.

    Parameters
    ----------
    columns : mapping of str to column
        All but slide and bbox; NaN is null.
    bounds : (n, 4) float, px
        xmin, ymin, xmax, ymax of each shape.
    slide : str
        The slide's id.
    kinds : sequence of str
        Types of the geometries; their outer rings turn from +x to +y.
    metadata : mapping of bytes or None
        What else the table says of itself.
    """
    constant = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(bounds), np.int32)), pa.array([slide]))
    kind = schema.field("bbox").type
    box = pa.StructArray.from_arrays(
        [_arrow(edge, kind.field(k).type) for k, edge in enumerate(bounds.T)], fields=list(kind)
    )
    columns = {**columns, "slide": constant, "bbox": box}
    arrays = [_arrow(columns[field.name], field.type) for field in schema]
    geo = {**schema_metadata(bounds, kinds), **(metadata or {})}
    return pa.Table.from_arrays(arrays, schema=schema.with_metadata(geo))


def schema_metadata(bounds: NDArray[np.floating], kinds: Sequence[str] = ("Polygon",)) -> dict[bytes, bytes]:
    """Return what GeoParquet 1.1 asks: no reference system; the box of each row is the column bbox."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": list(kinds) if len(bounds) else [],
        "crs": None,
        "edges": "planar",
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in _EDGES}},
    }
    if len(bounds):
        edges = (*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0))
        column["bbox"] = [float(edge) for edge in edges]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {b"geo": json.dumps(geo).encode()}


def _arrow(column: Column, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return pa.array(column.astype(kind.to_pandas_dtype()), kind, from_pandas=True)
    return pa.array(column).cast(kind)


def write_geo_table(table: pa.Table, path: Path | str) -> None:
    """Write a table of shapes as GeoParquet; equal tables give equal bytes."""
    write_geo_parts(iter([table]), path)


def write_geo_parts(parts: Iterator[pa.Table], path: Path | str) -> None:
    """Write a table that comes in parts of `ROW_GROUP` rows, one at least, with the bytes of the whole."""
    first = next(parts)
    kinds = {field.name: field.type for field in first.schema if field.name != "bbox"}
    kinds |= {f"bbox.{edge.name}": edge.type for edge in first.schema.field("bbox").type}
    options: dict[str, Any] = {
        "use_dictionary": [name for name, kind in kinds.items() if pa.types.is_dictionary(kind)],
        "column_encoding": {name: _ENCODINGS[kind] for name, kind in kinds.items() if kind in _ENCODINGS},
        # Against level 3 the geometry, half of the bytes, shrinks by an eighth, the rest by a twentieth.
        "compression_level": dict.fromkeys(kinds, 9),
    }
    with pq.ParquetWriter(path, first.schema, compression="zstd", **options) as file:
        for part in chain([first], parts):
            file.write_table(part, row_group_size=ROW_GROUP)


def read_geo_table(
    path: Path | str, schema: pa.Schema | None = None, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read a Parquet file, with all columns of a schema where one is given; HistomeError for any other.

    `columns` names those that are read where not all are.
    """
    try:
        there = set(pq.read_schema(path).names)
        chosen = None if columns is None else [name for name in columns if name in there]
        table = pq.read_table(path, columns=chosen)
    except (OSError, pa.ArrowInvalid) as error:
        raise HistomeError(f"{path}: not a Parquet file that can be read ({error}).") from error
    wanted = columns or (schema.names if schema else ())
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise HistomeError(f"{path}: it has no column {', '.join(missing)}.")
    return table


class FiledTable:
    """A table whose columns wait in a temporary file and are read one by one, each time they are asked for.

    For the tables of a whole slide, of which little is needed at once. One thread reads it at a time.
    """

    def __init__(self, columns: Iterable[pa.Table]) -> None:
        """Keep the columns of tables of the same rows, one after the other."""
        self._places: dict[str, tuple[int, int]] = {}
        self.schema, self._length = pa.schema([]), 0
        with keeping("columns"):
            self._file = temporary_file(self)
            for table in columns:
                self._length = len(table)
                fields = [*self.schema, *table.schema]
                self.schema = pa.schema(fields, metadata=table.schema.metadata)
                for name in table.column_names:
                    start = self._file.tell()
                    with pa.ipc.new_stream(self._file, table.select([name]).schema) as stream:
                        stream.write_table(table.select([name]))
                    self._places[name] = (start, self._file.tell() - start)
            self._file.flush()

    @property
    def column_names(self) -> list[str]:
        """Their names, in order."""
        return list(self._places)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """Read a column."""
        start, size = self._places[name]
        with keeping("columns"):
            self._file.seek(start)
            return pa.ipc.open_stream(self._file.read(size)).read_all()[name]

    def filter(self, rows: pa.Array) -> pa.Table:
        """Return the chosen rows of all columns, by mask."""
        return pa.table([self[name].filter(rows) for name in self._places], schema=self.schema)

    def select(self, names: Sequence[str]) -> pa.Table:
        """Read some columns."""
        fields = [self.schema.field(name) for name in names]
        schema = pa.schema(fields, metadata=self.schema.metadata)
        return pa.table([self[name] for name in names], schema=schema)

    def in_memory(self) -> pa.Table:
        """Read all columns."""
        return self.select(self.column_names)


TableLike = pa.Table | FiledTable


def file_geo_table(path: Path | str, columns: Sequence[str]) -> FiledTable:
    """Read columns of a Parquet file one by one into a `FiledTable`; raises as `read_geo_table`."""
    return FiledTable(read_geo_table(path, columns=[name]) for name in columns)
