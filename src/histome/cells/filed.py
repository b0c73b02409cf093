"""Found nuclei on disk: outlines as the cells table has them, and what else is wanted once more.

Outlines are thinned when a part of the search is done. All goes to temporary files without a name, in the
system's folder for such (`TMPDIR`): they are gone with the search, and memory hardly grows with it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.cells.pixels import Stains
from histome.cells.shape import NuclearShapes
from histome.cells.stored import stored_outlines
from histome.cells.windows import Located, Nuclei, join
from histome.classes import CELL_CLASSES
from histome.geotable import ROW_GROUP
from histome.temporary import keeping, temporary_file

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]

# As a line about the disk names it.
KEPT = "the cells"
# As polygons they take 3 kB each.
_AT_ONCE = 8192
# One nucleus: the columns of `Nuclei` but its outline, and the bounds of that.
_RECORD = np.dtype(
    [
        ("shape", "f8", (len(NuclearShapes._fields),)),
        ("stain", "f8", (len(Stains._fields),)),
        ("probability", "f4", (len(CELL_CLASSES),)),
        ("energy", "f4"),
        ("score", "f4"),
        ("tissue", "u1"),
        ("window", "i4"),
        ("owner", "i4"),
        ("at_seam", "?"),
        ("bounds", "f4", (4,)),
    ]
)


def row_groups(n: int) -> list[slice]:
    """Return the rows of each part of a table that is put together: one part at least."""
    return [slice(at, at + ROW_GROUP) for at in range(0, max(1, n), ROW_GROUP)]


def _of_seams(nuclei: Nuclei) -> Nuclei:
    """Return the nuclei at seams with what seams are settled by."""
    near = nuclei.select(nuclei.at_seam)
    shape, stain, probability = (column[:, :0] for column in (near.shape, near.stain, near.probability))
    return near._replace(shape=shape.copy(), stain=stain.copy(), probability=probability.copy())


class NucleiFile:
    """Nuclei by the order in which they were taken; `mpp` is (x, y), um per level-0 px."""

    def __init__(self, mpp: Float64) -> None:
        self._mpp = mpp
        with keeping(KEPT):
            self._outlines, self._records = temporary_file(self), temporary_file(self)
            self._near_outlines = temporary_file(self)
        self._lengths, self._near = [np.zeros(1, np.int64)], []

    def take(self, nuclei: Nuclei) -> Located:
        """File nuclei and return what is held of them."""
        records = np.empty(len(nuclei.score), _RECORD)
        for name, column in nuclei._asdict().items():
            if name != "outline_px":
                records[name] = column
        for at in range(0, len(records), _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            wkb, records["bounds"][part] = stored_outlines(nuclei.outline_px[part], self._mpp)
            self._add(wkb)
        with keeping(KEPT):
            self._records.write(records.tobytes())
            self._records.flush()
        near = _of_seams(nuclei)
        with keeping(KEPT):
            self._near_outlines.write(near.outline_px.tobytes())
            self._near_outlines.flush()
        self._near.append(near._replace(outline_px=near.outline_px[:, :, :0].copy()))
        return Located.of(nuclei)

    def _add(self, wkb: pa.BinaryArray) -> None:
        outlines = [outline.as_py() for outline in wkb]
        with keeping(KEPT):
            self._outlines.write(b"".join(outlines))
            self._outlines.flush()
        self._lengths.append(np.array([len(outline) for outline in outlines], np.int64))

    def near_seams(self) -> Nuclei:
        """Return the nuclei at seams with their full outlines, without shape, stain and class, once."""
        near, self._near = join(self._near), []
        self._near_outlines.seek(0)
        outline_px = np.fromfile(self._near_outlines, np.float32)
        return near._replace(outline_px=outline_px.reshape(*near.outline_px.shape[:2], 2))

    def _read(self, rows: Rows) -> NDArray:
        """Return some records; mapped for this call only: pages no longer mapped are no memory of ours."""
        if not len(rows):
            return np.empty(0, _RECORD)
        return np.asarray(np.memmap(self._records, _RECORD, "r"))[rows]

    def nuclei(self, rows: Rows) -> Nuclei:
        """Return nuclei without their outlines."""
        records = self._read(rows)
        columns = (np.ascontiguousarray(records[name]) for name in Nuclei._fields[1:])
        return Nuclei(np.empty((len(rows), 0, 2), np.float32), *columns)

    def bounds(self, rows: Rows) -> Float32:
        """Return the bounds of outlines, (n, 4): xmin, ymin, xmax, ymax in level-0 px."""
        return np.ascontiguousarray(self._read(rows)["bounds"])

    def geometry(self, rows: Rows) -> pa.BinaryArray:
        """Return outlines as WKB."""
        starts = np.cumsum(np.concatenate(self._lengths))
        if starts[-1] == 0:
            return pa.array([], pa.binary())
        data = np.memmap(self._outlines, np.uint8, "r", shape=(int(starts[-1]),))
        buffers = [None, pa.py_buffer(starts), pa.py_buffer(data)]
        whole = pa.Array.from_buffers(pa.large_binary(), len(starts) - 1, buffers)
        return whole.take(pa.array(rows)).cast(pa.binary())


class SeenNuclei(NamedTuple):
    """What the windows of a search saw, in their order: what is held of each, and where the rest is."""

    located: Located
    file: NucleiFile


class FoundNuclei(NamedTuple):
    """The nuclei of a search.

    Attributes
    ----------
    located : Located
        What is held of each.
    file : NucleiFile
        Where the rest is.
    rows : (n,) int64
        Which of the file's is each.
    """

    located: Located
    file: NucleiFile
    rows: Rows

    def parts(self) -> Iterator[Nuclei]:
        """Yield all nuclei in order, without their outlines, some at a time."""
        for part in row_groups(len(self.rows)):
            yield self.file.nuclei(self.rows[part])
