"""TorchScript, opened without letting it do more than compute.

It holds no Python and no pickled objects of any class: a small language that PyTorch interprets, with tensors
and no imports. But that language can write and read files, and run something when it is opened; a file whose
code does is refused before it is opened.
"""

import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from histome.errors import ModelError

_REFUSED = re.compile(
    r"\b(torch\.(?:save|load|from_file)|__setstate__|ops\.(?!prim\.)\w+\.\w+|torch\.classes)\b"
)
# Code of a network is a few kB a layer.
_MOST_CODE_BYTES = 64_000_000


def load_script(path: Path) -> torch.jit.ScriptModule:
    """Return the network of a file of TorchScript, for inference on a CPU.

    Raises
    ------
    ModelError
        No such file, a damaged one, one of another kind, or one whose code reads or writes files, runs when
        it is opened or calls what is not PyTorch's own.
    """
    _refuse_code(path)
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # the reader and the interpreter have many of their own
        raise ModelError(f"{path}: damaged, or no TorchScript ({type(error).__name__})") from error


def script_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of a file of TorchScript by name."""
    return dict(load_script(path).state_dict())


def _refuse_code(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            parts = [each for each in file.infolist() if "/code/" in each.filename]
            if sum(each.file_size for each in parts) > _MOST_CODE_BYTES:
                raise ModelError(f"{path}: holds more code than a network has")
            texts = [file.read(each).decode() for each in parts if each.filename.endswith(".py")]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or 'no such file'})") from error
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path}: damaged, or no TorchScript") from error
    if not texts:
        raise ModelError(f"{path}: no TorchScript; this kind is saved by torch.jit.save")
    if found := next((hit for hit in map(_REFUSED.search, texts) if hit), None):
        raise ModelError(f"{path}: its code uses {found[0]}, which is not run")
