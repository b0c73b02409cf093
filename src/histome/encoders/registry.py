"""Which encoders there are: a decorated function each, one file a publisher, here or in packages."""

import importlib
import tomllib
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from histome.encoders.card import EncoderCard
from histome.encoders.publishers import PUBLISHERS
from histome.errors import ModelError
from histome.models.plugins import load_plugin, plugin_names

# Entry points of installed packages: name = the encoder's, value = a function that `encoder` has decorated.
GROUP = "histome.encoders"
_DECLARED: dict[str, EncoderCard] = {}


def encoder(*, publisher: str, **facts: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Declare an encoder: its name is the function's, its paragraph the docstring, the rest `EncoderCard`'s.

    The function returns the network with random weights (see `histome.encoders.architectures`), or what turns
    tiles into vectors as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from histome.encoders import encoder, find_encoder, open_encoder
    >>> @encoder(publisher="me", dimension=3, mpp=0.5, input_px=32, pooling="own", weights="none")
    ... def mean_color():
    ...     "Mean red, green and blue, 0-1."
    ...     return lambda tiles: tiles.mean((1, 2)) / 255
    >>> white = np.full((2, 32, 32, 3), 255, np.uint8)
    >>> open_encoder("mean-color")(white).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def declare(build: Callable[[], Any]) -> Callable[[], Any]:
        name, about = build.__name__.replace("_", "-"), " ".join((build.__doc__ or "").split())
        card = EncoderCard(name=name, publisher=publisher, about=about, build=build, **facts)
        _DECLARED[name] = card
        build.__dict__["card"] = card
        return build

    return declare


def list_encoders() -> tuple[EncoderCard, ...]:
    """Return the cards of all encoders by name: those named here and those of installed packages."""
    _load_publishers()
    plugins = (find_encoder(name) for name in plugin_names(GROUP) if name not in _DECLARED)
    return tuple(sorted((*_DECLARED.values(), *plugins), key=lambda card: (card.level, card.name)))


def find_encoder(name_or_path: str | Path) -> EncoderCard:
    """Return the card of one encoder: a name, `timm:MODEL`, or the path of a card (TOML) of your own.

    Raises ModelError where there is none.
    """
    name = str(name_or_path)
    _load_publishers()
    if name in _DECLARED:
        return _DECLARED[name]
    if name.startswith("timm:"):
        return _timm_card(name)
    if name.endswith(".toml"):
        return read_card(Path(name))
    card = getattr(load_plugin(GROUP, name), "card", None)
    if not isinstance(card, EncoderCard):
        raise ModelError(
            f"{name}: no such encoder; `histome encoders list` names them, or give `timm:MODEL` or the "
            ".toml of a card of your own"
        )
    return card


def read_card(path: Path) -> EncoderCard:
    """Return a card of the user's own: the fields of `EncoderCard` as TOML, `file` an ONNX file beside it.

    Instead of `file`, `timm` names a model of timm, and `[arguments]` what it is made with.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: no card of an encoder ({' '.join(str(error).split())})") from error
    model, arguments = facts.pop("timm", None), facts.pop("arguments", {})
    unknown = sorted(facts.keys() - {field.name for field in fields(EncoderCard)} | facts.keys() & {"build"})
    missing = sorted({"name", "publisher", "dimension", "mpp", "input_px"} - facts.keys())
    if unknown or missing:
        wrong = f"unknown fields {', '.join(unknown)}" if unknown else f"no {', '.join(missing)}"
        raise ModelError(f"{path}: {wrong}; see docs/encoders.md for what a card of an encoder says")
    own: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
    }
    if model is not None:
        return EncoderCard(**own, build=lambda: _timm(model, arguments))
    own |= {"file": str(path.parent / own.get("file", "encoder.onnx")), "pooling": "own"}
    return EncoderCard(**own)


def _timm_card(name: str) -> EncoderCard:
    model = name.removeprefix("timm:")
    card = EncoderCard(name=name, publisher="timm", build=lambda: _timm(model, {}))
    return replace(
        card,
        about=f"The model {model} of timm, shown 224 px of 0.5 um and ImageNet's normalization.",
        pooling="own",
        input_px=224,
        mpp=0.5,
    )


def _timm(model: str, arguments: dict[str, Any]) -> Any:
    from histome.encoders.vit import timm_encoder

    return timm_encoder(model_name=model, **{"dynamic_img_size": None, **arguments})


@cache
def _load_publishers() -> None:
    for module in PUBLISHERS:
        importlib.import_module(f"histome.encoders.publishers.{module}")
