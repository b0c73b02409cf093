"""Errors that a user can act on: one line that says what, which file and what to do."""

import os
import signal
from typing import Any

# What the command line exits with; `HistomeError.exit_code` and those below it are the only others.
EXIT_CODES = {
    0: "done; `profile`: every slide has a profile",
    1: "failed: something could not be read, written or computed",
    2: "wrong usage: an option, an argument or a setting",
    3: "refused by quality control: no valid tissue, or a dark background (fluorescence)",
    4: "refused for broken tiles: more of the tissue lies in them than `broken_tiles_at_most` of `[slide]`",
    129: "interrupted by SIGHUP: the terminal was closed",
    130: "interrupted by Ctrl-C",
    143: "interrupted by SIGTERM: a scheduler's end of time",
}


class HistomeError(Exception):
    """Anything histome refuses or cannot do; the message is one clear line."""

    exit_code = 1


class UsageError(HistomeError):
    """A wrong option, argument or setting."""

    exit_code = 2


class SlideError(HistomeError):
    """A slide that cannot be read."""


class MppError(SlideError):
    """A slide whose resolution is missing, contradictory or implausible."""


class ModelError(HistomeError):
    """A model card or its weights that cannot be used."""


class DataError(HistomeError):
    """Labeled data to learn from or to compare with that cannot be used."""


class OutputError(HistomeError):
    """An output folder that cannot be written or is held by another run."""


class MissingPartError(OutputError):
    """A part of a profile that its run did not come to, or was not asked for; one that is damaged is none."""


class HeldError(OutputError):
    """An output folder that another run is writing."""


class BrokenTilesError(SlideError):
    """More of the tissue lies in tiles that cannot be read than the settings allow."""

    exit_code = 4


class NoTissueError(HistomeError):
    """Quality control found no valid tissue, or no H&E; `quality` is what it saw, kept beside the refusal."""

    exit_code = 3

    def __init__(self, message: str, *, quality: Any = None) -> None:
        super().__init__(message)
        self.quality = quality


class Interrupted(BaseException):
    """Ctrl-C, a scheduler's end of time (SIGTERM) or a closed terminal (SIGHUP), by the signal's number."""

    def __init__(self, number: int) -> None:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        super().__init__(f"interrupted by {name}; what is finished is kept, run the same line again to go on")
        self.exit_code = 128 + number


def disk_reason(error: OSError) -> str:
    """Return what the system says of an error of the disk, without the path."""
    return os.strerror(error.errno) if error.errno else " ".join(str(error).split())


def error_line(error: BaseException) -> str:
    """Return an error in one line: ours as it is, short memory in words, any other with its type."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        told = f" ({text})" if text else ""
        return f"memory is short{told}: close other programs, give fewer --workers or run where more is"
    return text if isinstance(error, HistomeError | Interrupted) else f"{type(error).__name__}: {text}"
