"""The face of a room: its public names, imported when they are first asked for.

`import histome` takes milliseconds; the pixel, table and network libraries behind a room's names take up to a
second. So an `__init__` states its names once, as the imports that a type checker reads, and opens them by

    if TYPE_CHECKING:
        from histome.room.module import name

    __all__ = ["name"]
    __getattr__ = opened(__name__, __file__)
"""

import ast
import importlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any


def opened(package: str, init_file: str) -> Callable[[str], Any]:
    """Return a package's `__getattr__`: it imports the names of its `if TYPE_CHECKING` block on demand."""

    def get(name: str) -> Any:
        home = homes(init_file).get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home), name)

    return get


@cache
def homes(init_file: str) -> dict[str, str]:
    """Name -> module, as the imports for the type checker say."""
    body = ast.parse(Path(init_file).read_text(encoding="utf-8")).body
    return {alias.asname or alias.name: module for module, alias in _imported(body)}


def _imported(body: list[ast.stmt]) -> Iterator[tuple[str, ast.alias]]:
    for block in body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.module:
                    yield from ((node.module, alias) for alias in node.names)
