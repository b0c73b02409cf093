"""Outlines of found nuclei on disk, as the cells table has them: half of a cell's bytes, wanted once more.

They are thinned when a part of the search is done, and written to a temporary file without a name, in the
system's folder for such (`TMPDIR`): it is gone with the search, and memory does not grow with it.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.cells.stored import stored_outlines
from histome.cells.windows import Nuclei
from histome.errors import OutputError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# As polygons they take 3 kB each.
_AT_ONCE = 8192


@contextmanager
def _keeping() -> Iterator[None]:
    """Turn an error of the disk into OutputError, one line."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise OutputError(
            f"the outlines of the cells cannot be kept in the temporary folder ({reason}); make room "
            "there, or name another in the variable TMPDIR"
        ) from error


class OutlineFile:
    """Outlines by the order in which they were taken; `mpp` is (x, y), um per level-0 px."""

    def __init__(self, mpp: Float64) -> None:
        self._mpp = mpp
        with _keeping():
            self._file: IO[bytes] = TemporaryFile(prefix="histome-")  # noqa: SIM115 (closed when let go)
        weakref.finalize(self, self._file.close)
        self._lengths = [np.zeros(1, np.int64)]
        self._bounds = [np.empty((0, 4), np.float32)]
        self._near: list[Float32] = []

    def take(self, nuclei: Nuclei) -> Nuclei:
        """File the outlines of nuclei and return the nuclei without them."""
        for at in range(0, len(nuclei.outline_px), _AT_ONCE):
            self._add(*stored_outlines(nuclei.outline_px[at : at + _AT_ONCE], self._mpp))
        self._near.append(nuclei.outline_px[nuclei.at_seam])
        return nuclei._replace(outline_px=np.empty((len(nuclei.outline_px), 0, 2), np.float32))

    def _add(self, wkb: pa.BinaryArray, bounds: Float64) -> None:
        outlines = [outline.as_py() for outline in wkb]
        with _keeping():
            self._file.write(b"".join(outlines))
            self._file.flush()
        self._lengths.append(np.array([len(outline) for outline in outlines], np.int64))
        self._bounds.append(bounds.astype(np.float32))

    def near_seams(self) -> Float32:
        """Return the full outlines of the nuclei at seams, (n, rays, 2), once: memory held them till now."""
        near, self._near = np.concatenate(self._near), []
        return near

    def bounds(self, rows: NDArray[np.int64]) -> Float32:
        """Return the bounds of outlines, (n, 4): xmin, ymin, xmax, ymax in level-0 px."""
        return np.concatenate(self._bounds)[rows]

    def geometry(self, rows: NDArray[np.int64]) -> pa.BinaryArray:
        """Return outlines as WKB."""
        starts = np.cumsum(np.concatenate(self._lengths))
        if starts[-1] == 0:
            return pa.array([], pa.binary())
        # Mapped for this call only: pages that are no longer mapped are no memory of this process.
        data = np.memmap(self._file, np.uint8, "r", shape=(int(starts[-1]),))
        buffers = [None, pa.py_buffer(starts), pa.py_buffer(data)]
        whole = pa.Array.from_buffers(pa.large_binary(), len(starts) - 1, buffers)
        return whole.take(pa.array(rows)).cast(pa.binary())


class FoundNuclei(NamedTuple):
    """The nuclei of a search.

    Attributes
    ----------
    nuclei : Nuclei
        All but their outlines.
    outlines : OutlineFile
        Where these are.
    rows : (n,) int64
        Which of the file's outline is each one's.
    """

    nuclei: Nuclei
    outlines: OutlineFile
    rows: NDArray[np.int64]
