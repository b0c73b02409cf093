"""What installed packages add: the entry points of one group, loaded when their name is asked for."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from histome.errors import ModelError


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names that installed packages give in a group, in order; nothing is loaded."""
    return tuple(sorted(entry_points(group=group).names))


def load_plugin(group: str, name: str) -> Any:
    """Import and return what a package has put under a name, None where no package names it.

    Raises ModelError, one line, when it cannot be imported or two packages give the name.
    """
    found = [*entry_points(group=group, name=name)]
    if len(found) > 1:
        raise ModelError(f"{name}: {' and '.join(map(_origin, found))} both give a model of this name")
    return _load(found[0]) if found else None


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # code of others may raise anything: it becomes one line that names them
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"{point.name}: {_origin(point)} cannot be loaded ({cause})") from error


def _origin(point: EntryPoint) -> str:
    package = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
    return f"the entry point {point.value}{package}"
