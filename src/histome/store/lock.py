"""One writer a folder: a lock that the system releases when its process ends, however it ends."""

import errno
import logging
import os
import socket
from pathlib import Path
from typing import Self

from histome.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_NAME = ".lock"
# Some network file systems have no locks: there the run goes on unguarded, and says so.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_log = logging.getLogger(__name__)


class FolderLock:
    """Hold `folder`'s lock file from `with` to the end of its block; a killed process leaves nothing locked.

    Raises OutputError, one line naming the holder, when another process (or this one) holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file = -1

    def __enter__(self) -> Self:
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            self._take()
            if self._is_current():
                break
            # The last holder removed the file between our opening and our locking it: try the new one.
            os.close(self._file)
        os.truncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _take(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 200).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise OutputError(
                f"{self._path.parent}: being written by {holder}; wait for it or give another folder with -o"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _log.warning(
                "the output folder's file system has no locks: do not profile one slide twice at once"
            )

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except FileNotFoundError:
            return False
