"""One slide in a process of its own: `python -m histome.cohort.child` does one order and answers one line.

What crashes, hangs or takes all memory so ends itself and nothing else. The order is a line of JSON on stdin,
the answer one on stdout; whatever libraries print goes to stderr.
"""

import ctypes
import faulthandler
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from histome.cohort.local import profile_slides
from histome.cohort.manifest import CohortSlide
from histome.cohort.remote import Cache, is_address, local_copy
from histome.config import Config
from histome.errors import HeldError, HistomeError, Interrupted, MppError, error_line
from histome.store.profile import Profile, read_run

THUMBNAILS, THUMBNAIL_PX = "thumbnails", 256
_PAUSE_S = 2.0
_PR_SET_PDEATHSIG = 1
# What a message of one slide names -> what a cohort has instead.
_INSTEAD = {
    "--allow-estimated-mpp": "[slide] allow_estimated_mpp in --config",
    "--mpp": "the column mpp of a manifest (a CSV with columns path and mpp)",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What one process is to do: one slide of a cohort.

    Attributes
    ----------
    slide : CohortSlide
        Which one.
    out : str
        The cohort's folder.
    config : dict
        Settings as JSON.
    stages : list of str
        Those to bring up to date.
    threads : int or None
        Of this slide; None for all CPUs that may be used where it runs.
    cache : Cache
        Where copies of remote slides lie.
    """

    slide: CohortSlide
    out: str
    config: dict[str, Any]
    stages: list[str]
    threads: int | None
    cache: Cache

    def line(self) -> str:
        """Return it as the line that a child reads."""
        return json.dumps({**asdict(self), "parent": os.getpid()}, default=str)

    @classmethod
    def read(cls, words: dict[str, Any]) -> "Order":
        """Return what a line said."""
        return cls(**{**words, "slide": CohortSlide(**words["slide"]), "cache": _cache(words["cache"])})


def _cache(words: Any) -> Cache:
    folder, most_gb = words
    return Cache(Path(folder), most_gb)


def main(do: Callable[[Order], dict[str, Any]] | None = None) -> NoReturn:
    """Do the order on stdin, print the answer and exit with 0, however the slide ended."""
    words = json.loads(sys.stdin.readline())
    _end_with(words.pop("parent"))
    signal.signal(signal.SIGTERM, _interrupt)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    faulthandler.enable()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        told = (do or work)(Order.read(words))
    except Interrupted as stop:
        told = {"exit_code": stop.exit_code, "reason": str(stop)}
    print(json.dumps(told), file=answer, flush=True)
    sys.exit(0)


def _end_with(parent: int) -> None:
    """Let this process end with the one that started it, and before it where memory is short."""
    with suppress(OSError, AttributeError):  # Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent:  # it was gone before
        sys.exit(1)


def _interrupt(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Interrupted(number)


def work(order: Order) -> dict[str, Any]:
    """Profile a slide; returns its exit code, the reason of one that is not 0, and its warnings' codes."""
    if not is_address(order.slide.path):
        return _profiled(order, Path(order.slide.path), order.stages)
    known = bool(read_run(Path(order.out) / order.slide.slide))
    if known:  # without a copy, all but the report
        with local_copy(order.slide.path, order.cache, known=True) as path:
            told = _profiled(order, path, order.stages)
            if path.is_file() or (told["exit_code"] in (0, 3, 4) and _is_whole(order)):
                return told
    try:
        with local_copy(order.slide.path, order.cache) as path:
            return _profiled(order, path, order.stages)
    except Exception as error:  # of the copy: `_profiled` tells its own
        return {"exit_code": getattr(error, "exit_code", 1), "reason": error_line(error)}


def _is_whole(order: Order) -> bool:
    run = read_run(Path(order.out) / order.slide.slide)
    return run.get("state") == "refused" or "report" in run["stages"] or "report" not in order.stages


def _profiled(order: Order, path: Path, stages: list[str]) -> dict[str, Any]:
    """Profile the slide at a path; where another run is writing it, when that has ended."""
    settings = Config.model_validate_json(json.dumps(order.config), strict=True)
    stated = {"organ": order.slide.organ} if order.slide.organ else {}
    settings = settings.updated(slide=settings.slide.updated(name=order.slide.slide, **stated))
    options = {"config": settings, "stages": stages, "workers": order.threads}
    while True:
        (outcome,) = profile_slides([path], order.out, mpp=order.slide.mpp, **options)
        if not isinstance(outcome.error, HeldError):
            break
        time.sleep(_PAUSE_S)
    if outcome.error is not None:
        return {"exit_code": outcome.exit_code, "reason": _reason(outcome.error)}
    assert outcome.profile is not None
    _keep_thumbnail(path, order)
    return {"exit_code": 0, "warnings": _codes(outcome.profile)}


def _reason(error: Exception) -> str:
    line = error_line(error)
    for option, instead in _INSTEAD.items() if isinstance(error, MppError) else ():
        line = line.replace(option, instead)
    return line


def _codes(profile: Profile) -> list[str]:
    return [warning.code for warning in profile.warnings if warning.severity != "note"]


def _keep_thumbnail(path: Path, order: Order) -> None:
    """Keep a small picture of the slide for the summary, once."""
    kept = Path(order.out) / THUMBNAILS / f"{order.slide.slide}.jpg"
    if kept.is_file() or not path.exists():
        return
    from PIL import Image

    from histome.slide import open_slide

    partial = kept.with_name(f".{kept.name}.partial")
    try:
        kept.parent.mkdir(exist_ok=True)
        with open_slide(path, mpp=order.slide.mpp, allow_estimated_mpp=True) as slide:
            Image.fromarray(slide.thumbnail(THUMBNAIL_PX)).save(partial, "JPEG", quality=80)
        partial.replace(kept)
    except (OSError, HistomeError) as error:  # the profile is there, and that is what counts
        _log.warning("no small picture (%s)", error_line(error))


if __name__ == "__main__":
    main()
