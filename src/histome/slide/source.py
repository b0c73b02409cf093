"""A slide's bytes: read at positions; a fault of the disk is told apart from damage in the file."""

import errno
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histome.errors import SlideError

# The first retry comes at once, by a new handle: a stale one of a network file system heals so. Then wait.
PAUSES_S = (0.0, 0.5, 2.0)
# What a damaged file gives, not a disk: decoders raise OSError without a number, absurd positions these.
_DAMAGE_NUMBERS = (None, errno.EINVAL, errno.EOVERFLOW)


class SourceFile:
    """An open file, read at positions by any thread.

    Attributes
    ----------
    size : int, bytes
        When it was opened: what lies beyond was never there, what is missing within has been lost since.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; raises SlideError where the disk does not let it."""
        with faults_told(path):
            self._file = os.open(path, os.O_RDONLY)
        self.close = weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size
        self._path = path

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`.

        Raises RuntimeError where they lie beyond the end, and SlideError, after retries, where the disk fails
        or the file has become shorter.
        """
        if offset < 0 or offset + length > self.size:
            raise RuntimeError("it lies beyond the end of the file")
        try:
            data = os.pread(self._file, length, offset)
        except OSError:
            data = b""
        return data if len(data) == length else self._again(offset, length)

    def _again(self, offset: int, length: int) -> bytes:
        reason = ""
        for pause_s in PAUSES_S:
            time.sleep(pause_s)
            try:
                with self._path.open("rb", buffering=0) as file:
                    data = os.pread(file.fileno(), length, offset)
            except OSError as error:
                reason = os.strerror(error.errno or errno.EIO)
                continue
            if len(data) == length:
                return data
            reason = "it has become shorter since it was opened"
        raise _fault(self._path, reason)


def file_state(path: Path) -> tuple[int, int] | None:
    """Return a file's size in bytes and time of writing in ns; None where there is no such file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


@contextmanager
def faults_told(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into SlideError, one line; those of decoders pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _DAMAGE_NUMBERS:
            raise
        reason = os.strerror(error.errno or errno.EIO)
        if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            raise SlideError(f"{path.name} cannot be read: {reason}.") from error
        raise _fault(path, reason) from error


def _fault(path: Path, reason: str) -> SlideError:
    return SlideError(
        f"{path.name} could not be read from its disk ({reason}); see to the disk or the network and "
        "run again: what was being made is not kept."
    )
