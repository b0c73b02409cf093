"""One writer a folder, on this system and as on Windows, whose rules are faked here."""

import errno
import os
from pathlib import Path

import pytest

from histome.errors import OutputError
from histome.store import lock
from histome.store.lock import LOCK_NAME, FolderLock


class Windows:
    """What Windows does otherwise: locks of bytes, and no removal of an open file."""

    LK_NBLCK = 2

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOCK_NAME
        self._unlink, self._close = Path.unlink, os.close
        self.held: dict[int, int] = {}

    def locking(self, file: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        at = os.lseek(file, 0, os.SEEK_CUR)
        assert at > 1000, "the name of the holder could not be read"
        if at in self.held.values():
            raise OSError(errno.EACCES, "Permission denied")
        self.held[file] = at

    def close(self, file: int) -> None:
        self.held.pop(file, None)
        self._close(file)

    def unlink(self, path: Path, missing_ok: bool = False) -> None:
        if path == self._file and self.is_open():
            raise PermissionError(errno.EACCES, "being used by another process")
        self._unlink(path, missing_ok=missing_ok)

    def is_open(self) -> bool:
        there = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
        return any(os.path.realpath(link) == str(self._file.resolve()) for link in there)


@pytest.fixture
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Windows:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are listed under /proc")
    made = Windows(tmp_path)
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "msvcrt", made)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: made.unlink(path, missing_ok))
    monkeypatch.setattr(os, "close", made.close)
    return made


def test_a_lock_is_held_by_one_and_gone_afterwards(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        with pytest.raises(OutputError, match=f"being written by process {os.getpid()} on") as caught:
            FolderLock(tmp_path).__enter__()
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path):
        pass


def test_a_lock_is_held_by_one_and_gone_afterwards_on_windows(tmp_path: Path, windows: Windows) -> None:
    with FolderLock(tmp_path):
        assert len(windows.held) == 1
        with pytest.raises(OutputError, match=f"being written by process {os.getpid()} on"):
            FolderLock(tmp_path).__enter__()
    assert windows.held == {}
    assert list(tmp_path.iterdir()) == []


def test_a_next_holder_who_waits_at_the_door_is_no_error_on_windows(tmp_path: Path, windows: Windows) -> None:
    with FolderLock(tmp_path):
        waiting = os.open(tmp_path / LOCK_NAME, os.O_RDWR)
    os.close(waiting)
    assert windows.held == {}
    with FolderLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_replaced_meanwhile_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def slow(file: int) -> None:
        taken.append(file)
        if len(taken) == 1:  # the last holder leaves between our opening and our locking
            (tmp_path / LOCK_NAME).unlink()
            (tmp_path / LOCK_NAME).touch()

    monkeypatch.setattr(lock, "_lock", slow)
    with FolderLock(tmp_path):
        assert len(taken) == 2


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unknown(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", unknown)
    with FolderLock(tmp_path):
        assert "has no locks" in caplog.text
