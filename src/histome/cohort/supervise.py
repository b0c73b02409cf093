"""A slide's process under watch: its time, its memory, and in one line how it ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from histome.cohort.child import Order
from histome.names import shown
from histome.pipeline import STAGES
from histome.store.disk import writing

CHILD = (sys.executable, "-m", "histome.cohort.child")
LOGS = "logs"
# Ten looks a second at four slides took 1.4 % of a core: only where memory has a limit are they needed.
_LOOK_S, _SELDOM_S, _GRACE_S = 0.1, 1.0, 10.0
# Worth another try: what nobody foresaw. A refusal, a wrong setting and a limit stay what they are.
_NOT_AGAIN = (0, 2, 3, 4)


@dataclass(frozen=True)
class Limits:
    """What a slide may take: minutes, and GB of memory (None: all there is)."""

    minutes: float = 360.0
    memory_gb: float | None = None


@dataclass(frozen=True)
class Ended:
    """How one process of a slide ended.

    Attributes
    ----------
    exit_code : int
        0 done, else as of `histome.errors.EXIT_CODES`.
    reason : str
        Why it is not done, one line; empty where it is.
    warnings : tuple of str
        Codes of the profile's warnings but for the notes.
    seconds : float
        How long it took.
    memory_gb : float
        The most memory it was seen to hold.
    host : str
        Where it ran.
    again : bool
        Whether another try may end better.
    """

    slide: str
    exit_code: int
    reason: str
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    memory_gb: float = 0.0
    host: str = ""
    again: bool = False


def run_order(
    order: Order, limits: Limits, *, command: tuple[str, ...] = CHILD, stop: Event | None = None
) -> Ended:
    """Do an order in a process of its own and say how it ended; it never outlives this one.

    `stop` ends it in order, as SIGTERM does. Raises OutputError where its log cannot be written.
    """
    out, slide = Path(order.out), order.slide.slide
    log, started = out / LOGS / f"{slide}.txt", time.monotonic()
    with writing(out):
        log.parent.mkdir(parents=True, exist_ok=True)
        stderr = log.open("wb")
    with stderr:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stderr}
        child = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
        watched = _Watched(child, limits, stop or Event())
        try:
            answer, cut_short = watched.answer(order.line())
        finally:
            _end(child)
    told = _told(answer, child.returncode, cut_short, where=_stage_of(out / slide))
    if not log.stat().st_size:
        log.unlink()
    code = told.get("exit_code", 1)
    return Ended(
        slide,
        code,
        shown(told.get("reason", "")),
        tuple(told.get("warnings", ())),
        round(time.monotonic() - started, 3),
        round(watched.most_bytes / 1e9, 3),
        socket.gethostname(),
        again=not cut_short and code not in _NOT_AGAIN,
    )


class _Watched:
    """A child with its limits: looked at often while it begins, and all along where its memory has one."""

    def __init__(self, child: "subprocess.Popen[str]", limits: Limits, stop: Event) -> None:
        self.most_bytes = 0
        self._child = child
        self._limits = limits
        self._stop = stop

    def answer(self, line: str) -> tuple[str, str]:
        """Give the order; return the answer, and why the child was ended before it gave one."""
        cut_short, until, look_s = "", time.monotonic() + 60 * self._limits.minutes, _LOOK_S
        seldom_s = _SELDOM_S if self._limits.memory_gb is None else _LOOK_S
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already
            # Not by communicate: what that has not written when its time is over it never writes.
            self._child.stdin.write(line + "\n")
        while True:
            try:
                return self._child.communicate(timeout=look_s)[0], cut_short
            except subprocess.TimeoutExpired:
                cut_short, look_s = cut_short or self._over(until), min(1.2 * look_s, seldom_s)
            if cut_short:
                _end(self._child)
            elif self._stop.is_set():
                until = min(until, time.monotonic() + _GRACE_S)
                self._child.send_signal(signal.SIGTERM)
                self._stop = Event()  # said once

    def _over(self, until: float) -> str:
        """Return which limit is passed, in words; empty where none is."""
        self.most_bytes = max(self.most_bytes, _most_bytes(self._child.pid))
        most_gb = self._limits.memory_gb
        if most_gb is not None and self.most_bytes > most_gb * 1e9:
            return f"it took more than {most_gb:g} GB of memory; give it more with --memory"
        if time.monotonic() > until:
            return f"it took more than {self._limits.minutes:g} minutes; give it more with --minutes"
        return ""


def _end(child: "subprocess.Popen[str]") -> None:
    """Kill a child that has not ended, and what it started."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _most_bytes(process: int) -> int:
    """Return the most memory that a process has held so far, with what it began where that is more."""
    begun = sum(map(_most_bytes, _begun_by(process)))
    return max(_status_bytes(process, "VmHWM"), begun and begun + _status_bytes(process, "VmRSS"))


def _begun_by(process: int) -> list[int]:
    """Return what a process's first thread began and what still runs: a language model of the narrative.

    To look at all threads took 0.6 ms where there are 24, and this is done ten times a second.
    """
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:  # it has just ended, or this is no Linux
        return []


def _status_bytes(process: int, name: str) -> int:
    """Return a size that the system tells of a process; 0 where it is gone, or this is no Linux."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return 0


def _told(answer: str, code: int, cut_short: str, *, where: str) -> dict:
    """Return what a child answered, or why it could not."""
    if cut_short:
        return {"exit_code": 1, "reason": f"ended in {where}: {cut_short}"}
    try:
        return json.loads(answer)
    except ValueError:
        pass
    if code == -signal.SIGKILL:
        reason = f"killed in {where} by the system, as it does where memory is short: give fewer --workers"
    elif code < 0:
        reason = f"its process crashed in {where} ({signal.Signals(-code).name})"
    else:
        reason = f"its process ended in {where} with code {code} and without a word"
    return {"exit_code": 1, "reason": reason}


def _stage_of(folder: Path) -> str:
    """Return the first stage that a profile has not reached."""
    return next((name for name in stages_to_come(folder)), "the end")


def stages_to_come(folder: Path, stages: tuple[str, ...] = STAGES) -> list[str]:
    """Return the stages of which a profile's folder has nothing yet; few slides have parts."""
    return [name for name in stages if name != "parts" and not (folder / name).is_dir()]
