"""A cohort while it runs: a live table on a terminal, a line a slide elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from histome.cli import console
from histome.names import shown

if TYPE_CHECKING:
    from rich.console import Group

    from histome.cohort.status import CohortStatus

_MOST_ROWS = 12
Watch = Callable[["CohortStatus"], None]


@contextmanager
def live() -> Iterator[Watch]:
    """Give what shows a cohort's status while its run lasts; a closed terminal does not end the run."""
    from rich.console import Console
    from rich.live import Live

    screen = Console(stderr=True)
    if console.is_quiet():
        yield lambda _: None
    elif not screen.is_terminal:
        yield _Lines()
    else:
        with Live(console=screen, transient=True, refresh_per_second=2) as display:
            yield lambda status: _update(display, status)


def _update(display: object, status: "CohortStatus") -> None:
    with suppress(OSError):
        display.update(table_of(status))  # type: ignore[attr-defined]


class _Lines:
    """A plain line on stderr when a slide begins a stage or ends."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def __call__(self, status: "CohortStatus") -> None:
        counts = status.counts
        asked = len(status.slides) - counts["left out"]
        ended = asked - counts["waiting"] - counts["running"]
        for name, slide in status.slides.items():
            told = f"{slide.state} {slide.stage}" if slide.state == "running" else slide.state
            at_work = slide.state != "running" or slide.stage
            if slide.state in ("left out", "waiting") or not at_work or self._said.get(name) == told:
                continue
            self._said[name] = told
            why = f": {slide.reason}" if slide.reason and slide.state != "running" else ""
            line = shown(f"{name}: {told}{why} ({ended} of {asked} ended)")
            with suppress(OSError):
                print(line, file=sys.stderr, flush=True)


def table_of(status: "CohortStatus") -> "Group":
    """Return counts, what runs, and the last failures as a table."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = ", ".join(f"{count} {state}" for state, count in status.counts.items() if count)
    left = status.seconds_left
    head = Text(counts + ("" if left is None else f"; about {_duration(left)} left"))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    running = [(name, it) for name, it in status.slides.items() if it.state == "running"]
    failed = [(name, it) for name, it in status.slides.items() if it.state == "failed"]
    for name, it in [*running[:_MOST_ROWS], *failed[-_MOST_ROWS:]]:
        why = it.reason if it.state == "failed" else it.stage
        table.add_row(*map(Text, (shown(name), it.state, shown(why))))
    return Group(head, table)


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else "a minute"
