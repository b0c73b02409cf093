"""A slide that is not at hand, as its profile remembers it: what needs no pixels can be made again."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.config import SlideConfig
from histome.errors import SlideError
from histome.names import shown, slide_id
from histome.slide import Slide, open_slide
from histome.slide.broken import BrokenTiles
from histome.slide.fingerprint import Identity
from histome.slide.mpp import Mpp
from histome.slide.reader import Level
from histome.store.graph import Stage, stage_keys
from histome.store.profile import read_run, read_stage

PIXEL_STAGES = ("qc", "tissue", "cells")  # and the report, which is drawn over them
_log = logging.getLogger(__name__)


class _NoPixels:
    """A reader that knows what the file said and has none of its pixels."""

    layout = b""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        width, height = facts["size_px"]
        self.levels = (Level(width, height, 1.0, width, height),)
        self.format: str = facts["format"]
        self.properties: Mapping[str, str] = facts["properties"]
        self.notes = tuple(facts["notes"])
        self.pages: int = facts.get("pages", 1)
        self.mpp_hints: Any = None
        self.broken = BrokenTiles()
        self._path = path

    @property
    def close(self) -> Callable[[], object]:
        return lambda: None

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        raise SlideError(f"{self._path} does not exist.")


class KeptSlide(Slide):
    """A slide without pixels: identity, size and resolution as a profile's run.json has them."""

    def __init__(self, path: Path, folder: Path, facts: Mapping[str, Any]) -> None:
        mpp = facts["mpp"]
        read = Mpp(mpp["x"], mpp["y"], mpp["source"], mpp["estimated"], tuple(mpp["notes"]))
        super().__init__(path, _NoPixels(path, facts), read)
        self._folder = folder
        self._identity = Identity(*(facts[sign] for sign in Identity._fields))

    def identity(self, known: Mapping[str, Any]) -> Identity:
        """Return which slide this was."""
        return self._identity

    def check_unchanged(self, fingerprint: str) -> None:
        """Take the slide as it was: nobody can look."""

    def possible(self, wanted: Sequence[str], stages: Sequence[Stage]) -> tuple[str, ...]:
        """Return the wanted stages but for the report.

        Raises SlideError, one line, where one of those that read pixels would have to be made again.
        """
        source = {"slide": self._identity.content, "mpp": [self.mpp.x, self.mpp.y]}
        keys = stage_keys(stages, source)
        for name in PIXEL_STAGES:
            record = read_stage(self._folder / name)
            if name in wanted and record.get("key") != keys[name]:
                raise SlideError(
                    f"{self.path} does not exist, and its {name} would have to be made again from pixels; "
                    "bring it back (its profile is left as it was)"
                )
            if record.get("refused"):
                break
        _log.warning("%s: the slide is not there: measured again from its profile, without report", self.id)
        return tuple(name for name in wanted if name != "report")


def open_or_kept(path: Path, out: Path, config: SlideConfig, mpp: float | None = None) -> Slide:
    """Open a slide, under its name in the settings if any; one that is gone as its profile has it."""
    folder = out / (config.name or slide_id(path))
    kept = None if path.exists() else _kept(path, folder)
    slide = kept or open_slide(path, mpp=mpp, allow_estimated_mpp=config.allow_estimated_mpp)
    slide.id = folder.name
    return slide


def _kept(path: Path, folder: Path) -> KeptSlide | None:
    facts = read_run(folder).get("slide", {})
    try:
        return KeptSlide(path, folder, facts) if facts["file"] == shown(path.name) else None
    except (LookupError, TypeError, ValueError):  # damaged, or of another version
        return None


def possible_stages(
    wanted: tuple[str, ...], stages: Sequence[Stage], slide: Slide, *, with_parts: bool
) -> tuple[str, ...]:
    """Return the stages that can be made of a slide: no parts without regions, no report without pixels."""
    names = wanted if with_parts else tuple(name for name in wanted if name != "parts")
    return slide.possible(names, stages) if isinstance(slide, KeptSlide) else names
