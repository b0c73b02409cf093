"""Weights of an encoder: a file of the user's first, the hub only when it is asked for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histome.encoders.card import EncoderCard
from histome.errors import ModelError, UsageError
from histome.models.card import models_folder
from histome.models.hub import fetch_file, look_up
from histome.models.staging import staged_in

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
    with staged_in(home.parent) as staging:
        for wanted in [name, *({_CONFIG} & files.keys())]:
            fetch_file(offer, files[wanted], staging / wanted)
        if card.sha256 and file_sha256(staging) != card.sha256:
            raise ModelError(f"{offer.place}: the sha256 of {name} is not {card.sha256[:12]}..., its card's")
        staging.rename(home)
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


def load_into(network: Any, path: Path) -> None:
    """Give a network all its tensors from a file; raises ModelError where one is missing or differs."""
    from histome.models.importers.checkpoint import fill, read_checkpoint

    file = _file_of(path)
    wanted, tensors = network.state_dict(), read_checkpoint(file)
    for _ in _WRAPPERS:
        if wanted.keys() <= tensors.keys():
            break
        tensors = _unwrapped(tensors, wanted)
    fill(network, tensors, file, what="file of this encoder's weights", exactly=False)


def _unwrapped(tensors: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The tensors under the wrapper that brings the most of their names to the wanted ones."""
    tries = [
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        for prefix in _WRAPPERS
    ]
    best = max(tries, key=lambda some: (len(some.keys() & wanted.keys()), len(some)))
    return best or tensors
