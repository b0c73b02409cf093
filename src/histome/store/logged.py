"""What the package logs as a warning while a stage runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# The lines of the stage that a thread works for: other threads of the process may profile other slides.
_lines_of_stage: ContextVar[list[str] | None] = ContextVar("lines of the stage", default=None)


@contextmanager
def logged_warnings() -> Iterator[list[str]]:
    """Collect what the package logs as a warning, in the end sorted and each line once.

    In this thread, and in those that `threads.ordered_map` works in for it.
    """
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.addFilter(lambda _: _lines_of_stage.get() is lines)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("histome")
    logger.addHandler(handler)
    before = _lines_of_stage.set(lines)
    try:
        yield lines
    finally:
        _lines_of_stage.reset(before)
        logger.removeHandler(handler)
        # Sorted: threads log in any order, and a run's bytes do not depend on it.
        lines[:] = sorted(set(lines))
