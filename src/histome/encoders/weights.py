"""Weights of an encoder: a file of the user's first, the hub only when it is asked for."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histome.encoders.card import EncoderCard
from histome.errors import ModelError, UsageError
from histome.models.card import models_folder
from histome.models.hub import fetch_file, look_up

Told = Callable[[str], object]

# A folder of weights, each NAME.safetensors, NAME.bin, ... or a folder NAME as the publisher's repository is.
FOLDER_VARIABLE = "HISTOME_ENCODERS"
_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_CONFIG = "config.json"
# What training frameworks put before the names of a network's tensors.
_WRAPPERS = ("module.", "state_dict.", "teacher.", "model.", "backbone.", "encoder.", "_orig_mod.")


def find_weights(
    card: EncoderCard, given: Path | None = None, *, hub: bool = False, told: Told = lambda line: None
) -> Path | None:
    """Return the file or folder of an encoder's weights; None where it needs none.

    Looked for in this order: `given`, what `weights_folder()` holds under the encoder's name, and, only with
    `hub`, the Hugging Face hub. Raises UsageError where there are none, with what the user can do.
    """
    if given is not None:
        return _existing(Path(given))
    if card.weights != "given":
        return None
    if card.hub is None and card.file and Path(card.file).is_file():
        return Path(card.file)
    names = [card.name, *(card.name + ending for ending in (*_ENDINGS, ".onnx"))]
    if found := next((path for name in names if (path := weights_folder() / name).exists()), None):
        return found
    if hub:
        return fetch_weights(card, told)
    raise UsageError(
        f"{card.name}: no weights; get them from {card.link or 'its publisher'} (license: "
        f"{card.license or 'unknown'}{', its publisher wants to be asked' if card.gated else ''}) and give "
        f"--weights FILE, or put them into {weights_folder()}" + (", or give --hub" if card.hub else "")
    )


def weights_folder() -> Path:
    """Return where weights of encoders are kept by name: HISTOME_ENCODERS, or a folder beside the models'."""
    return Path(os.environ.get(FOLDER_VARIABLE) or models_folder() / "encoders")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder of weights")
    return path


def fetch_weights(card: EncoderCard, told: Told) -> Path:
    """Download the weights of a card from the hub into `weights_folder()`; `told` gets the license before.

    The file is held against the sha256 that the hub states, and that of the card where it has one. HF_TOKEN
    is the user's login.
    """
    if card.hub is None:
        raise UsageError(f"{card.name} is not on the hub; get it from {card.where or 'its publisher'}")
    offer = look_up(f"hf:{card.hub}")
    files = {file.name: file for file in offer.files}
    name = card.file or "model.safetensors"
    if name not in files:
        raise ModelError(f"{offer.place}: no file {name} among its files")
    told(f"{offer.place}: license {offer.license}, access {offer.access}, {files[name].size / 1e6:.0f} MB")
    home = weights_folder() / card.name
    staging = home.with_name(f".{home.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        for wanted in [name, *({_CONFIG} & files.keys())]:
            fetch_file(offer, files[wanted], staging / wanted)
        if card.sha256 and file_sha256(staging) != card.sha256:
            raise ModelError(f"{offer.place}: the sha256 of {name} is not {card.sha256[:12]}..., its card's")
        staging.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return home


def file_sha256(path: Path) -> str:
    """Return the checksum of a file, or of the weights in a folder."""
    from histome.models.runtime import weights_sha256

    return weights_sha256(_file_of(path))


def config_folder(path: Path) -> Path:
    """Return the folder with the publisher's config.json; raises UsageError where there is none."""
    folder = path if path.is_dir() else path.parent
    if not (folder / _CONFIG).is_file():
        raise UsageError(f"{folder}: no {_CONFIG}; put that of its publisher's repository beside the weights")
    return folder


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [file for ending in _ENDINGS for file in sorted(path.glob(f"*{ending}"))]
    if not found:
        raise UsageError(f"{path}: no weights in it ({', '.join(_ENDINGS)})")
    return found[0]


def read_tensors(path: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors or torch file; a pickle that holds more than tensors is refused."""
    import torch

    file = _file_of(path)
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        held = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip, safetensors: each has its own
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file}: not weights that can be read ({reason})") from error
    while isinstance(held, dict) and not any(hasattr(value, "shape") for value in held.values()):
        inner = [held[key] for key in ("state_dict", "model", "teacher", "student") if key in held]
        if not inner:
            raise ModelError(f"{file}: no tensors in it")
        held = inner[0]
    return held


def load_into(network: Any, path: Path) -> None:
    """Give a network all its tensors from a file; raises ModelError where one is missing or differs."""
    wanted, tensors = network.state_dict(), read_tensors(path)
    for _ in _WRAPPERS:
        if wanted.keys() <= tensors.keys():
            break
        tensors = _unwrapped(tensors, wanted)
    missing = sorted(wanted.keys() - tensors.keys())
    odd = [name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape]
    if missing or odd:
        what = f"no tensor {missing[0]} ({len(missing)} missing)" if missing else f"another shape of {odd[0]}"
        raise ModelError(f"{path}: not the weights of this encoder: {what}")
    network.load_state_dict({name: tensors[name] for name in wanted})


def _unwrapped(tensors: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The tensors under the wrapper that brings the most of their names to the wanted ones."""
    tries = [
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        for prefix in _WRAPPERS
    ]
    best = max(tries, key=lambda some: (len(some.keys() & wanted.keys()), len(some)))
    return best or tensors
