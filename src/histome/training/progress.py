"""What a person sees while a network learns: a line now and then with step, losses and the time left."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histome.datasets.fields import Field

Say = Callable[[str], object]
# The first line after some steps, then a line in half a minute.
_SOON_STEPS, _EVERY_S = 5, 30.0
_hushed = False


def hush(quiet: bool) -> None:
    """Say nothing from now on, or, where not `quiet`, again."""
    global _hushed
    _hushed = quiet


def is_first() -> bool:
    """Whether this process is alone or the first of torchrun's, which speaks for all of them."""
    return os.environ.get("RANK", "0") == "0"


def say_now(line: str) -> None:
    """Print a line at once, unless all is to be quiet or another process says it."""
    if is_first() and not _hushed:
        print(line, flush=True)


def tell_unseen(fields: "Sequence[Field]") -> None:
    """Say how many nuclei of the tables teach nothing, for they have no pixel."""
    if some := [field for field in fields if field.unseen]:
        n = sum(field.unseen for field in some)
        say_now(
            f"warning: {n:,} labeled nuclei have no pixel in the instances of their image, such as "
            f"{some[0].unseen:,} of {some[0].name} of {some[0].data_set}; nothing is learned of them"
        )


class Pace:
    """Says how far a run is: step, losses, time left at the pace of this call.

    Parameters
    ----------
    first, last : int
        Step at which this call began, and the run's last one.
    say : callable(line)
        Where a line goes.
    now : callable()
        Seconds of a clock that does not go back.
    """

    def __init__(
        self, first: int, last: int, *, say: Say = say_now, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._first, self._last, self._say, self._now = first, last, say, now
        self._began, self._told = now(), -_EVERY_S

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """Tell of a step that was made, where there is something to tell."""
        seconds = self._now() - self._began
        made = step - self._first
        if step < self._last and (made < _SOON_STEPS or seconds - self._told < _EVERY_S):
            return
        self._told = seconds
        named = ", ".join(f"{name} {loss:.4g}" for name, loss in losses.items())
        left = duration(seconds / made * (self._last - step)) if step < self._last else "nothing"
        share = 100 * step / self._last
        self._say(f"step {step:,} of {self._last:,} ({share:.0f} %), {named}; {left} left")


def duration(seconds: float) -> str:
    """Return a length of time in words: seconds, minutes, or hours with one digit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
