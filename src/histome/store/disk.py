"""Writing that is whole or not at all, and errors about disks that a user can act on."""

import json
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from histome.errors import OutputError, disk_reason
from histome.names import shown


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into OutputError, one line: which folder, what is wrong, what to do."""
    try:
        yield
    except (NotADirectoryError, FileExistsError) as error:
        file = next((each for each in (path, *path.parents) if each.is_file()), None)
        told = f"{file} is a file; name a folder" if file else f"{path}: cannot be written ({error.strerror})"
        raise OutputError(told) from error
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({disk_reason(error)}); make room or permit writing there, or give "
            "another folder with -o, and run again: finished stages are kept"
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file in one step: a reader sees the old content or the new, never a part.

    So it is after a power cut, too: a name is only given to what is on the disk.
    """
    partial, text = path.with_name(f".{path.name}.partial"), json_text(content)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    sync_folder(path.parent)


def json_text(content: Mapping[str, Any]) -> str:
    """Return the text of a JSON file."""
    return shown(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), keep="\n")


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can do that."""
    with suppress(OSError):  # Windows opens no folders, some network file systems sync none
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object; empty when the file is missing or is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remove_partial(folder: Path, names: Iterable[str], *, keep: Container[str] = ()) -> None:
    """Remove what an interrupted write of these names left in a folder, but for the folders to keep."""
    for name in names:
        for path in folder.glob(f".{name}*.partial"):
            if path.name not in keep:
                _remove(path)


def remove_folder(folder: Path) -> None:
    """Remove a folder; of one that is cut off no part is left under its name, where it would be nobody's."""
    hidden = folder.with_name(f".{folder.name}.partial")
    _remove(hidden)
    if folder.is_symlink() or folder.exists():
        _remove(folder.rename(hidden))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder with nothing in it; leave any other."""
    with suppress(OSError):
        folder.rmdir()
