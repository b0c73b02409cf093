"""What a person sees: bars while it runs, one line for an error, a log on request."""

import itertools
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histome.errors import HistomeError, Interrupted, OutputError, UsageError, error_line
from histome.names import shown
from histome.store.disk import writing
from histome.store.runner import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Display
    from rich.progress import TaskID

    from histome.checks import Finding


@dataclass
class _Voice:
    quiet: bool = False
    debug: bool = False


_voice = _Voice()


def configure(*, quiet: bool, debug: bool, log: Path | None) -> None:
    """Set how much is said, and where the log goes."""
    _voice.quiet, _voice.debug = quiet, debug
    logging.captureWarnings(True)  # warnings of libraries go to the log, not between our lines
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    if log is not None:
        with writing(log):
            handler = logging.FileHandler(log, encoding="utf-8")
        handler.setFormatter(_JsonLines())
        logging.getLogger().addHandler(handler)
        logging.getLogger("histome").setLevel(logging.DEBUG if debug else logging.INFO)


def is_quiet() -> bool:
    """Whether nothing but results and errors is to be said."""
    return _voice.quiet


class _JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, logger and message, and the traceback where there is one."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return shown(json.dumps(line, ensure_ascii=False))


def examples(*commands: str) -> str:
    """Return commands as the last lines of a help text."""
    return "\n".join(["\b", "Examples:", *(f"  histome {command}" for command in commands)])


def say(text: str = "", *, aside: bool = False) -> None:
    """Print what happened to files, unless all is to be quiet; `aside`: to stderr, beside a result."""
    if _voice.quiet:
        return
    if aside:
        print(shown(text), file=sys.stderr, flush=True)
    else:
        print_result(text)


def print_json(document: object) -> None:
    """Print a result as one JSON document."""
    print_result(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def print_result(text: str) -> None:
    """Print what was asked for, even where all else is quiet; raises OutputError where stdout takes none."""
    try:
        print(shown(text, keep="\n\t"), flush=True)
    except OSError as error:
        # What stays in the buffer would be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # `| head` has seen enough
            sys.exit(1)
        raise OutputError(f"standard output cannot be written ({error.strerror})") from error


def say_findings(findings: "Iterable[Finding]") -> int:
    """Print what was looked at, a line each; returns 0 when all is fine, else 1."""
    told = list(findings)
    width = max((len(finding.name) for finding in told), default=0)
    for finding in told:
        print_result(f"{'ok  ' if finding.fine else 'FAIL'}  {finding.name:<{width}}  {finding.text}")
    return 0 if all(finding.fine for finding in told) else 1


def warn(text: str) -> None:
    """Print a warning to stderr, unless all is to be quiet."""
    if not _voice.quiet:
        print(f"warning: {shown(text)}", file=sys.stderr, flush=True)


def fail(error: BaseException, *, hint: str = "") -> int:
    """Print an error as one line (with --debug its traceback before it) and return its exit code."""
    if _voice.debug:
        traceback.print_exception(error)
    told = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    text = " ".join(told.split()).removesuffix(".")
    if isinstance(error, MemoryError):
        text = error_line(error)
    elif not isinstance(error, HistomeError | typer.TyperException):
        text = f"unexpected {type(error).__name__}: {text}; please report it with what --debug prints"
    print(f"histome: error: {shown(text)}{hint}", file=sys.stderr, flush=True)
    return getattr(error, "exit_code", 1)


def tell_stop(stop: Interrupted) -> int:
    """Print one line for a run that a signal ended and return its exit code."""
    with _terminal_may_be_gone():
        print(f"histome: {stop}", file=sys.stderr, flush=True)
    return stop.exit_code


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say in one line which extra to install where a library that it brings is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"no module {error.name!r}; install it: pip install 'histome[{name}]'") from error


@contextmanager
def bars(slides: int = 1) -> Iterator[Callable[[Path], Progress]]:
    """Show a bar per stage on a terminal, else a line; yields what makes a slide's progress of its path."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    screen = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    hidden = _voice.quiet or not screen.is_terminal
    display = Display(*columns, console=screen, transient=True, disable=hidden)
    with _terminal_may_be_gone():
        display.start()
    number = itertools.count(1)
    kind = partial(_Bars, display) if screen.is_terminal else _Lines
    try:
        yield lambda path: kind(_titled(shown(path.name), next(number), slides))
    finally:
        with _terminal_may_be_gone():
            display.stop()


def _titled(name: str, number: int, slides: int) -> str:
    return f"{name} (slide {number} of {slides})" if slides > 1 else name


def _terminal_may_be_gone() -> suppress:
    """Go on where a closed terminal takes no more: the signal that it sends ends the run in order."""
    return suppress(OSError)


class _Lines:
    """A plain line a stage that begins after another one, on stderr: a slide that is refused has none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stage = ""
        self._started = 0.0

    def __call__(self, stage: str, done: float, total: float) -> None:
        """Say, when a stage begins, how long the one before it took."""
        if stage == self._stage:
            return
        now = time.monotonic()
        if self._stage and not _voice.quiet:
            with _terminal_may_be_gone():
                line = f"{self._name}: {self._stage} took {now - self._started:.0f} s, now {stage}"
                print(line, file=sys.stderr, flush=True)
        self._stage, self._started = stage, now


class _Bars:
    """The bars of one slide."""

    def __init__(self, display: "Display", name: str) -> None:
        self._display = display
        self._name = name
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: float, total: float) -> None:
        """Start, move or end the bar of a stage."""
        with _terminal_may_be_gone():
            self._show(stage, done, total)

    def _show(self, stage: str, done: float, total: float) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._display.add_task(f"{self._name}: {stage}", total=None, amount="")
        known = total > 0
        amount = f"{done:.1f} of {total:.1f} mm²" if stage == "cells" else f"{done / (total or 1):.0%}"
        self._display.update(
            self._tasks[stage], completed=done, total=total if known else None, amount=amount if known else ""
        )
