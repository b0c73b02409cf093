"""Weights of others, read as tensors and nothing else."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from histome.errors import ModelError

_M = TypeVar("_M", bound=BaseModel)
# Training scripts keep their best score beside the weights, a number of NumPy's: bytes and a type.
_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
]
# How a zip and a pickle begin; a page that says why a download was refused begins otherwise.
_MAGIC = (b"PK", b"\x80")
# Under these keys training scripts keep the weights.
_NESTED = (
    "desc",
    "state_dict",
    "model_state_dict",
    "model",
    "teacher",
    "student",
    "net",
    "teacher_slide_encoder",
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the weights of a PyTorch or safetensors file by name; never runs what a pickle holds.

    Names lose the `module.` that data-parallel training puts before them.

    Raises
    ------
    ModelError
        No such file, a truncated one, one that holds code, or no weights.
    """
    return weights_in(read_saved(path), path)


def weights_in(saved: Any, path: Path) -> dict[str, Tensor]:
    """Return the weights in what `read_saved` gives of a file; raises ModelError where there are none."""
    state = saved
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    weights = {
        str(name).removeprefix("module."): value
        for name, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not weights:
        raise ModelError(f"{path}: holds no weights by name")
    return weights


def read_saved(path: Path) -> Any:
    """Return all that a file of PyTorch or safetensors holds: tensors, numbers, text, tables of them."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with path.open("rb") as file:
            if not file.read(2).startswith(_MAGIC):
                raise ModelError(f"{path}: no file of PyTorch or safetensors")
        with torch.serialization.safe_globals(_NUMBERS), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or 'no such file'})") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds more than weights, which is not run; save its state_dict alone with torch.save"
        ) from error
    except (RuntimeError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{path}: damaged, or no file of PyTorch or safetensors") from error
    except Exception as error:  # safetensors' own error has no public base
        raise ModelError(f"{path}: cannot be read ({type(error).__name__})") from error


def read_json(kind: type[_M], path: Path, *, what: str) -> _M:
    """Return what a file of JSON beside weights says; raises ModelError where it is no `what`."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "it"
        raise ModelError(f"{path}: no {what}: {name}: {first['msg']}") from error


def fill(
    net: nn.Module, weights: Mapping[str, Tensor], path: Path, *, what: str, exactly: bool = True
) -> None:
    """Load weights into a network of the kind `what`: each of its own and, if `exactly`, no other.

    Raises ModelError that names what is missing, left over or of another shape.
    """
    own = net.state_dict()
    # Counters of batches that norms saw, which older versions of PyTorch do not write.
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    extra = [name for name in weights if name not in own] if exactly else []
    shapes = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    for names, said in ((missing, "lacks"), (extra, "also has"), (shapes, "has another shape of")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(f"{path}: no {what}: it {said} {names[0]}{more}")
    net.load_state_dict(dict(weights), strict=False)
