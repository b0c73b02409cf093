"""What waits in the system's temporary folder (`TMPDIR`), gone with its owner; a full disk in one line."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from histome.errors import OutputError, disk_reason


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Turn an OSError of the block into OutputError, one line; `what` is what the folder does not take."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{what} cannot be kept in the temporary folder ({disk_reason(error)}); make room there, or name "
            "another in the variable TMPDIR"
        ) from error


def temporary_file(owner: object) -> IO[bytes]:
    """Return a file without a name that is closed, and gone, when its owner is let go."""
    file: IO[bytes] = TemporaryFile(prefix="histome-")  # noqa: SIM115 (closed when let go)
    weakref.finalize(owner, _close, file)
    return file


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # what a full disk did not take is told already
        file.close()


def remove_with(owner: object, folder: TemporaryDirectory[str]) -> None:
    """Remove a folder when its owner is let go, or when Python ends."""
    weakref.finalize(owner, _remove, folder)


def _remove(folder: TemporaryDirectory[str]) -> None:
    try:
        folder.cleanup()
    finally:  # a signal may have cut it off
        folder.cleanup()
