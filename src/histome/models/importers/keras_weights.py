"""Weights that Keras keeps in HDF5, read as arrays and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from histome.errors import ModelError


def read_keras(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a Keras model's folder, `layer.kernel` or the like, in the order of its layers.

    Of several files with weights in HDF5 the one with `best` in its name is taken, as csbdeep does.

    Raises
    ------
    ModelError
        No folder, no such file or several that may be meant, a damaged one, one in the layout of Keras 3.
    """
    path = weights_file(folder)
    try:
        with h5py.File(path, "r") as file:
            weights = dict(_layers(file))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: damaged, or not HDF5") from error
    if not weights:
        raise ModelError(f"{path}: holds no weights by layer; save it as weights_best.h5, not .weights.h5")
    return weights


def weights_file(folder: Path) -> Path:
    """Return the file of weights in a folder of a Keras model."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: give the folder that holds config.json and weights_best.h5")
    files = sorted([*folder.glob("*.h5"), *folder.glob("*.hdf5")])
    chosen = [file for file in files if "best" in file.name] or files
    if len(chosen) != 1:
        said = "holds no weights in HDF5" if not chosen else f"holds {len(chosen)} files of weights"
        raise ModelError(f"{folder}: {said}; it needs one named weights_best.h5")
    return chosen[0]


def _layers(file: h5py.File) -> Iterator[tuple[str, Tensor]]:
    """Yield each array as `layer.what`; files of whole models have the weights in a group of their own."""
    root: Any = file.get("model_weights", file)
    for layer in root.attrs.get("layer_names", ()):
        group = root[_text(layer)]
        for name in group.attrs["weight_names"]:
            what = _text(name).rsplit("/", 1)[-1].removesuffix(":0")
            yield f"{_text(layer)}.{what}", torch.from_numpy(group[_text(name)][()].astype("float32"))


def _text(name: "bytes | str") -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
