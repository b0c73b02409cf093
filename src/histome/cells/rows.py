"""A cells table that waits on disk until it is written: memory does not grow with the slide."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.cells.filed import KEPT, NucleiFile, row_groups
from histome.temporary import keeping, temporary_file

GEOMETRY = "geometry"


class CellRows:
    """A cells table on disk, in the groups of rows that its file has, its outlines apart.

    Parameters
    ----------
    parts : iterator of pa.Table
        The columns but `geometry`, which is the last; one part at least.
    schema : pa.Schema
        Of the whole table, with its metadata.
    file : NucleiFile
        Where the outlines are.
    rows : (n,) int64
        Which of them each cell has.
    """

    def __init__(
        self,
        parts: Iterator[pa.Table],
        schema: pa.Schema,
        file: NucleiFile,
        rows: NDArray[np.int64],
    ) -> None:
        self._schema, self._file, self._rows = schema, file, rows
        first, self.column_names = next(parts), schema.names
        with keeping(KEPT):
            self._columns = temporary_file(self)
            with pa.ipc.new_file(self._columns, first.schema) as writer:
                for part in chain([first], parts):
                    writer.write_table(part)
            self._columns.flush()

    def __len__(self) -> int:
        return len(self._rows)

    def select(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of all cells, `geometry` not among them."""
        chosen = [self.column_names.index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=chosen)
        return pa.ipc.open_file(self._columns, options=options).read_all().select(list(names))

    def parts(self) -> Iterator[pa.Table]:
        """Yield the table in its groups of rows."""
        reader = pa.ipc.open_file(self._columns)
        metadata, geometry = self._schema.metadata, self._schema.field(GEOMETRY)
        for k, part in enumerate(row_groups(len(self))):
            batches = [reader.get_batch(k)] if len(self) else []
            columns = pa.Table.from_batches(batches, reader.schema).replace_schema_metadata(metadata)
            yield columns.append_column(geometry, self._file.geometry(self._rows[part]))

    def table(self) -> pa.Table:
        """Return the whole table, of `SCHEMA`."""
        return pa.concat_tables(self.parts())
