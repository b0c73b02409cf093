"""Errors that a user can act on: one line that says what, which file and what to do."""


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


class OutputError(HistomeError):
    """An output folder that cannot be written or is held by another run."""


class NoTissueError(HistomeError):
    """Quality control found no valid tissue."""

    exit_code = 3
