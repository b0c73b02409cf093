"""The profiles that a folder holds, and the slides that they are of."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from histome.errors import OutputError, UsageError
from histome.store.profile import RUN_NAME, Profile, load_profile, read_run
from histome.store.slides import find_slide, profile_places
from histome.viewer.view import SlideView

# Open at once: two are looked at side by side, one more is on the way.
_MOST_OPEN = 3


class Shelf:
    """The profiles in a folder, or the one that it is, each under a key that says nothing of its path.

    Parameters
    ----------
    folder : Path
        Only what lies in it is ever read: a link that leads elsewhere is left out.
    slides : sequence of Path
        Slides, or folders of them; a profile does not say where its slide lies. The folder itself and the
        one above it are looked into as well.

    Raises
    ------
    OutputError
        No profile there.
    """

    def __init__(self, folder: Path, slides: Sequence[Path] = ()) -> None:
        self._places = [*slides, *profile_places(folder)]
        self._paths = {_key(path): path for path in _profiles(folder)}
        if not self._paths:
            raise OutputError(f"{folder}: no profile here; name a folder that histome profile wrote to")
        for place in slides:
            if not place.exists():
                raise UsageError(f"--slides {place}: there is no such file or folder")
        self._open: dict[str, SlideView] = {}
        self._lock = threading.Lock()

    def entries(self) -> list[dict[str, Any]]:
        """Return what the list of slides shows: key, name, how the run ended, tissue, cells, warnings."""
        return [{"key": key, **_told(path)} for key, path in self._paths.items()]

    def view(self, key: str) -> SlideView:
        """Return an opened profile; raises KeyError for an unknown key, HistomeError for a damaged one."""
        with self._lock:
            found = self._open.pop(key, None) or self._opened(self._paths[key])
            self._open[key] = found  # the last one used is the last one closed
            while len(self._open) > _MOST_OPEN:
                self._open.pop(next(iter(self._open)))
        return found

    def _opened(self, path: Path) -> SlideView:
        profile = Profile(load_profile(path).path, as_found=True)
        slide, missing = find_slide(profile, self._places)
        if missing.endswith("was not found"):
            missing += ": give the folder that it lies in with --slides"
        return SlideView(profile, slide, missing)


def _profiles(folder: Path) -> Iterator[Path]:
    """Yield the folders of profiles: the folder itself, else those in it, by name."""
    if (folder / RUN_NAME).is_file():
        yield folder
        return
    inside = folder.resolve()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / RUN_NAME).is_file() and path.resolve().parent == inside:
            yield path


def _key(path: Path) -> str:
    return hashlib.sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _told(path: Path) -> dict[str, Any]:
    run = read_run(path)
    alarms = [each for each in run.get("warnings", ()) if each.get("severity") != "note"]
    return {
        "name": str(run.get("slide", {}).get("id", path.name)),
        "state": str(run.get("state", "damaged")),
        "mm2": run.get("quality", {}).get("valid_mm2"),
        "cells": run.get("cells", {}).get("counted"),
        "warnings": len(alarms),
    }
