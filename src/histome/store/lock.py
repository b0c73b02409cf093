"""One writer a folder: a lock that the system releases when its process ends, however it ends."""

import errno
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from histome.errors import HeldError

fcntl: Any = None
msvcrt: Any = None
try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

LOCK_NAME = ".lock"
# Some network file systems have no locks: there the run goes on unguarded, and says so.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# What a lock that is held answers: flock the first, Windows the others.
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
# Windows keeps others from reading what is locked: it is a byte behind the line that says who holds it.
_LOCKED_BYTE = 1 << 20
_PAUSE_S = 0.2
_log = logging.getLogger(__name__)


class FolderLock:
    """Hold `folder`'s lock file from `with` to the end of its block; a killed process leaves nothing locked.

    Where another process (or this one) holds it, `wait` waits; else HeldError, one line, names the holder.
    """

    def __init__(self, folder: Path, *, wait: bool = False) -> None:
        self._path = folder / LOCK_NAME
        self._wait = wait
        self._file = -1

    def __enter__(self) -> Self:
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._take()
            except HeldError:
                if not self._wait:
                    raise
                time.sleep(_PAUSE_S)
                continue
            if self._is_current():
                break
            # The last holder removed the file between our opening and our locking it: try the new one.
            os.close(self._file)
        os.truncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        if fcntl is not None:
            # While it is held: behind a closed file the next holder's would be removed.
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            return
        os.close(self._file)
        with suppress(PermissionError):  # Windows removes no open file: the next holder has opened it
            self._path.unlink(missing_ok=True)

    def _take(self) -> None:
        try:
            _lock(self._file)
        except OSError as error:
            if error.errno in _HELD:
                raise self._refusal() from error
            if error.errno not in _NO_LOCKS:
                raise
            _log.warning(
                "the output folder's file system has no locks: do not profile one slide twice at once"
            )

    def _refusal(self) -> HeldError:
        os.lseek(self._file, 0, os.SEEK_SET)
        holder = os.read(self._file, 200).decode(errors="replace").strip() or "another process"
        os.close(self._file)
        return HeldError(
            f"{self._path.parent}: being written by {holder}; wait for it or give another folder with -o"
        )

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except FileNotFoundError:
            return False


def _lock(file: int) -> None:
    """Lock an open file for this process alone; raises OSError at once where another one has."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
