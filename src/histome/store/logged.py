"""What the package logs as a warning while a stage runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logged_warnings() -> Iterator[list[str]]:
    """Collect what the package logs as a warning, in the end sorted and each line once."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("histome")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        # Sorted: threads log in any order, and a run's bytes do not depend on it.
        lines[:] = sorted(set(lines))
