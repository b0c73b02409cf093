"""The command line, run in this process."""

import logging
from collections.abc import Iterator

import pytest
from helpers.cli import Cli


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger("histome").level
    yield Cli(capsys)
    logging.captureWarnings(False)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        handler.close()
        logging.getLogger().removeHandler(handler)
    logging.getLogger("histome").setLevel(level)
