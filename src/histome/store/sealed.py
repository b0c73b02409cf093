"""Folders that are whole: written in one step with the sha256 of every file, compared when they are read."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histome.store.disk import json_text, read_json, sync_folder, write_json

RECORD_NAME = "stage.json"


def write_sealed(folder: Path, record: Mapping[str, Any], save: Callable[[Path], None]) -> None:
    """Write a new folder whole or not at all, through a power cut too: what `save` writes, then its record.

    The record gets `contents`, the sha256 of each file by its name in the folder, and `seal`, that of itself.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir()
    save(partial)
    whole = json.loads(json_text({**record, "contents": _sync(partial)}))
    write_json(partial / RECORD_NAME, {**whole, "seal": _seal(whole)})
    partial.rename(folder)
    sync_folder(folder.parent)


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a sealed folder; empty where there is none."""
    record = read_json(folder / RECORD_NAME)
    contents = record.get("contents")
    return record if isinstance(contents, dict) and contents else {}


def find_damage(folder: Path) -> str | None:
    """Return in words why a folder is not as it was sealed; None when each of its files is."""
    record = read_record(folder)
    contents = record.get("contents")
    if contents is None:
        return f"it has no {RECORD_NAME} that histome wrote"
    try:
        found = {name: _sha256(path) for name, path in _files(folder).items() if name in contents}
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    changed = [name for name in contents if found.get(name) != contents[name]]
    if record.get("seal") != _seal(record):
        changed.append(RECORD_NAME)
    return f"{changed[0]} is not what was written" if changed else None


def _seal(record: Mapping[str, Any]) -> str:
    """Return the sha256 of a record, as JSON gives it back."""
    told = {name: value for name, value in record.items() if name != "seal"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    """Files under a folder by their names in it, in order; what a record names elsewhere is never opened."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> dict[str, str]:
    """Bring a folder's files from the system's memory to the disk and return the sha256 of each."""
    files = _files(folder)
    for path in files.values():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    for inner in {path.parent for path in files.values()}:
        sync_folder(inner)
    return {name: _sha256(path) for name, path in files.items()}
