"""A cohort without pixels: slides are text files that say what goes wrong, stages only write text.

As a script it is a slide's process (no arguments), or a whole `histome cohort run` (its words).
"""

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.fakes import TEXT, FakeSlide, make_run, snapshot

import histome.cohort
from histome.cohort.child import Order, main
from histome.cohort.manifest import CohortSlide, read_slides
from histome.errors import HistomeError, NoTissueError, error_line
from histome.pipeline import STAGES

if TYPE_CHECKING:
    from histome.cohort.status import CohortStatus

STUB = (sys.executable, str(Path(__file__).resolve()))
PAUSE_S = 0.01


def draw_stubs(folder: Path, *words: str) -> list[CohortSlide]:
    """Write a slide for each of the words: "ok", or a fault and the stage that it comes in."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, word in enumerate(words):
        (folder / f"s{number:02}.svs").write_text(word)
    return read_slides([folder])


def run_stubs(slides: list[CohortSlide], out: Path, **options: Any) -> "CohortStatus":
    """Run a cohort of them in this process; nothing is guessed before."""
    calls = {name: options.pop(name) for name in ("watch", "expect") if name in options}
    chosen = histome.cohort.CohortOptions(**{"workers": 2, **options})
    with _nothing_guessed():
        return histome.cohort.run_cohort(slides, out, chosen, command=STUB, **calls)


def _nothing_guessed() -> Any:
    return patch("histome.cohort.ahead.look_at_some", return_value=[])


def tables(out: Path) -> dict[str, bytes]:
    """Return every file of every profile but those that hold times."""
    folders = [path.parent for path in out.glob("*/run.json")]
    return {f"{folder.name}/{name}": data for folder in folders for name, data in snapshot(folder).items()}


def _break(fault: str, path: Path) -> None:
    """Do what a slide's text says."""
    if fault == "once":
        if path.with_suffix(".tried").exists():
            return
        path.with_suffix(".tried").touch()
        fault = "segfault"
    if fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "exit":
        os._exit(7)
    elif fault == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    elif fault == "slow":
        time.sleep(1.0)
    elif fault == "memory":
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 16)) * 256)
            time.sleep(0.01)
    elif fault == "full":  # a disk that takes no more
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    elif fault == "refused":
        raise NoTissueError("no tissue was drawn", quality="nothing")
    elif fault == "bug":
        raise ZeroDivisionError("a bug")


def work(order: Order) -> dict[str, Any]:
    """Make the stages of a stub, and the fault that its text names."""
    path = Path(order.slide.path)
    fault, _, at = path.read_text().partition(" ")
    slide = FakeSlide(content=path.name, path=str(path))
    slide.id = order.slide.slide
    try:
        with make_run(Path(order.out) / slide.id, slide=slide) as run:
            for name in STAGES:
                run.stage(name, partial(_text, name, fault if name == (at or "cells") else "", path), TEXT)
    except HistomeError as error:
        return {"exit_code": error.exit_code, "reason": error_line(error)}
    return {"exit_code": 0, "warnings": ["A_CODE"]}


def _text(name: str, fault: str, path: Path) -> str:
    time.sleep(PAUSE_S)
    _break(fault, path)
    return f"{name} of {path.name} {'x' * 2000}\n"


def nap(_: Order) -> None:
    """Take long over an order, and do nothing."""
    time.sleep(5)


def children_of(parent: int) -> list[int]:
    """Return the processes that a process has begun."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                found += [int(entry.name)] if int(fields[1]) == parent and fields[0] != "Z" else []
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        from histome.cli import main as histome_main

        histome.cohort.run_cohort = partial(histome.cohort.run_cohort, command=STUB)
        with _nothing_guessed():
            histome_main(sys.argv[1:])
    else:
        main(work)
