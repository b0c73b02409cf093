"""Where a cohort stands: status.json, a slide after the other."""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from histome.cohort.manifest import CohortSlide
from histome.cohort.supervise import Ended, stages_to_come
from histome.errors import HeldError, OutputError
from histome.store.disk import read_json, write_json, writing
from histome.store.lock import LOCK_NAME, FolderLock

STATUS_NAME = "status.json"
STATUS_FORMAT = "histome cohort 1"
# In this order they are told; `left out` are those that the manifest excludes.
STATES = ("done", "running", "waiting", "refused", "failed", "left out")
_OF_CODE = {0: "done", 3: "refused", 4: "refused"}
_EVERY_S = 2.0


@dataclass
class SlideStatus:
    """Where one slide stands.

    Attributes
    ----------
    state : str
        One of `STATES`.
    stage : str
        What a running one is at.
    reason : str
        Why it failed, was refused or is left out; of a slide that is tried again, what came before.
    tries : int
        Processes begun for it in this run.
    seconds, memory_gb : float
        Of the last of them.
    """

    state: str = "waiting"
    stage: str = ""
    reason: str = ""
    exit_code: int | None = None
    warnings: list[str] = field(default_factory=list)
    tries: int = 0
    seconds: float = 0.0
    memory_gb: float = 0.0
    host: str = ""


class CohortStatus:
    """Where a cohort stands, as its run knows it; written to status.json at most every two seconds."""

    def __init__(self, out: Path, slides: Iterable[CohortSlide], about: dict[str, Any]) -> None:
        self.out = out
        self.slides = {slide.slide: _first(slide) for slide in slides}
        self.state = "running"
        self.about = about
        self._begun = time.monotonic()
        self._written = -_EVERY_S
        self._started = _now()

    @property
    def counts(self) -> dict[str, int]:
        """How many slides are in each state."""
        found = Counter(slide.state for slide in self.slides.values())
        return {state: found[state] for state in STATES}

    @property
    def exit_codes(self) -> list[int]:
        """How each slide ended that has."""
        return [slide.exit_code for slide in self.slides.values() if slide.exit_code is not None]

    @property
    def seconds(self) -> float:
        """How long the run has lasted."""
        return time.monotonic() - self._begun

    @property
    def seconds_left(self) -> float | None:
        """How long it may still take, by those that have ended; None before the first and at the end."""
        counts = self.counts
        ended = sum(1 for slide in self.slides.values() if slide.tries and slide.state not in _OPEN)
        left = counts["running"] + counts["waiting"]
        return self.seconds / ended * left if ended and left else None

    def begin(self, running: Iterable[str]) -> None:
        """Say which slides are running now, and at which stage."""
        names = set(running)
        for name, slide in self.slides.items():
            if slide.state in _OPEN:
                slide.state = "running" if name in names else "waiting"
                slide.stage = next(iter(stages_to_come(self.out / name)), "") if name in names else ""

    def end(self, ended: Ended, *, again: bool = False) -> None:
        """Say how a slide ended; one that is tried `again` waits."""
        slide = self.slides[ended.slide]
        slide.state = "waiting" if again else _OF_CODE.get(ended.exit_code, "failed")
        slide.stage, slide.reason, slide.exit_code = "", ended.reason, ended.exit_code
        slide.warnings, slide.host = list(ended.warnings), ended.host
        slide.seconds, slide.memory_gb = ended.seconds, ended.memory_gb
        slide.tries += 1

    def to_json(self) -> dict[str, Any]:
        """Return it as status.json has it."""
        return {
            "format": STATUS_FORMAT,
            "state": self.state,
            "process": f"{os.getpid()} on {socket.gethostname()}",
            "started": self._started,
            "updated": _now(),
            "seconds": round(self.seconds, 1),
            "counts": self.counts,
            **self.about,
            "slides": {name: asdict(slide) for name, slide in self.slides.items()},
        }

    def write(self, *, now: bool = False) -> bool:
        """Write status.json in one step, unless that was done just now; returns whether it did."""
        if not now and time.monotonic() - self._written < _EVERY_S:
            return False
        with writing(self.out):
            write_json(self.out / STATUS_NAME, self.to_json())
        self._written = time.monotonic()
        return True


_OPEN = ("waiting", "running")


def _first(slide: CohortSlide) -> SlideStatus:
    return SlideStatus("left out", reason=slide.exclude) if slide.exclude else SlideStatus()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_status(out: Path) -> dict[str, Any]:
    """Return status.json of a cohort's folder; a run that was killed reads as interrupted.

    Raises OutputError where there is none.
    """
    found = read_json(out / STATUS_NAME)
    if found.get("format") != STATUS_FORMAT:
        raise OutputError(f"{out}: no cohort here (no {STATUS_NAME}); name a folder of histome cohort run")
    if found["state"] == "running" and not _is_held(out):
        found["state"] = "interrupted"
        for slide in found["slides"].values():
            slide["state"] = "waiting" if slide["state"] == "running" else slide["state"]
        found["counts"] |= {"running": 0, "waiting": found["counts"]["running"] + found["counts"]["waiting"]}
    return found


def _is_held(out: Path) -> bool:
    """Whether a run is writing a folder."""
    if not (out / LOCK_NAME).exists():
        return False
    try:
        with FolderLock(out):
            return False
    except HeldError:
        return True
    except OSError:  # a folder of somebody else: nobody knows
        return True
