"""A folder that is there whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_in(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder in `folder`; what was not renamed at the end is removed, whatever happens."""
    # Not by tempfile, whose folders are closed to all others.
    staging = folder / f".new-{secrets.token_hex(8)}"
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
