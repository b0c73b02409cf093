"""Libraries that an export needs and that histome runs without."""

import importlib
from types import ModuleType

from histome.errors import UsageError


def needed(library: str, extra: str) -> ModuleType:
    """Return a library; raises UsageError with the line that installs it where it is not there."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise UsageError(
            f"{library} is not installed (or cannot be imported: {error}); pip install 'histome[{extra}]'"
        ) from error
