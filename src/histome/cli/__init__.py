"""The command line: one small module a group of commands, each body a call of one library function."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cli.application import app, main

__all__ = ["app", "main"]
__getattr__ = opened(__name__, __file__)
