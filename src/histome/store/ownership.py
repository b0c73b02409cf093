"""Whose is a folder: what a run goes on with, what it may replace, what it never touches."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from histome.errors import OutputError, UsageError
from histome.store.disk import read_json
from histome.store.profile import RUN_NAME
from histome.store.sealed import RECORD_NAME
from histome.store.slide_row import SLIDE_ROW, SLIDE_UNITS

# Stands in run.json and in each stage's record. What does not say so is somebody else's, and is left alone.
FORMAT = "histome profile 1"


def owned_slide(folder: Path, stages: Iterable[str]) -> Mapping[str, Any]:
    """Return what a folder's own records say of their slide; empty where it holds nothing of a profile.

    A record that is no JSON (a power cut leaves zeros) is ours where the others are.
    Raises OutputError, one line, where any of them is not histome's.
    """
    run = read_json(folder / RUN_NAME)
    there = [name for name in stages if _exists(folder / name)]
    records = [read_json(folder / name / RECORD_NAME) for name in there]
    marked = [record for record in (run, *records) if record.get("format") == FORMAT]
    if not marked and (there or _exists(folder / RUN_NAME)):
        raise OutputError(
            f"{folder}: holds something that is not a profile of this histome; give another folder with -o"
        )
    foreign = [RUN_NAME] if run and run not in marked else []
    for name, record in zip(there, records, strict=True):
        if record not in marked and (record or not (folder / name / RECORD_NAME).is_file()):
            foreign.append(name)
    if foreign:
        raise OutputError(f"{folder / foreign[0]}: not written by histome; move it out of {folder}")
    slides = (record.get("slide") for record in marked)
    return next((slide for slide in slides if isinstance(slide, dict)), {})


def refuse_another_slide(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise OutputError, one line, where a folder's profile is of another slide.

    The same slide is one with the same content, wherever it lies, or what now stands in the same place.
    """
    if before and not any(before.get(sign) == now[sign] for sign in ("content", "place")):
        raise OutputError(
            f"{folder}: holds the profile of another slide, {before.get('file')}; give another folder "
            "with -o, or replace it with --overwrite (overwrite=True)"
        )


def refuse_overwriting(out: Path, *read: str | Path | None) -> None:
    """Raise UsageError, one line, where a file to write is one of those that are read, or a profile's own.

    A profile's own are run.json, slide.csv, slide.units.csv and all within the folder of a stage; `exports`
    and other places in a profile's folder are free. Links lead to the same file.
    """
    for path in read:
        if path is not None and os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
            raise UsageError(f"{out}: would overwrite the file it reads, {path}; name another file")
    real = Path(os.path.realpath(out))
    folder = real.parent
    stage = next((each for each in (folder, *folder.parents) if _is_ours(each / RECORD_NAME)), None)
    if stage is not None:
        raise UsageError(f"{out}: lies inside a profile's own stage folder, {stage}; name a file elsewhere")
    if real.name in (RUN_NAME, SLIDE_ROW, SLIDE_UNITS) and _is_ours(folder / RUN_NAME):
        raise UsageError(f"{out}: is the profile's own file; name another")


def _is_ours(record: Path) -> bool:
    return read_json(record).get("format") == FORMAT


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()
