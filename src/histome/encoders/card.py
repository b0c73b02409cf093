"""What is known of an encoder: its card. What its publisher does not state is None, and reads `unknown`."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[float, float, float]
Tiles = NDArray[np.uint8]
Embeddings = NDArray[np.float32]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF: Rgb = (0.5, 0.5, 0.5)


class Encoder(Protocol):
    """Anything with a card that turns a batch of tiles into vectors."""

    @property
    def card(self) -> "EncoderCard":
        """What is known of it."""
        ...

    def __call__(self, tiles: Tiles, /) -> Embeddings:
        """Return (n, dimension) float32 for (n, h, w, 3) uint8 RGB at the card's um/px."""
        ...


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """One encoder; None where the fact is not known.

    Attributes
    ----------
    name, publisher, about : str
        What it is called here, who made it, and one paragraph.
    level : "tile" or "slide"
        A slide encoder reads the vectors of a slide's tiles, those of `reads`, instead of pixels.
    dimension : int
        Length of its vector.
    mpp : float, um/px
        What its tiles are read at.
    input_px, patch_px : int
        Side of a tile, and of the patches that a transformer cuts it into.
    mean, std : (float, float, float), 0-1
        Subtracted from red, green and blue, and what they are divided by.
    pooling : "class", "class+mean", "mean", "attention" or "own"
        What its vector is made of: the class token, that and the mean of the patches, the mean alone, tiles
        weighed by attention (of a slide encoder), or what the network itself returns.
    weights : "given", "inside" or "none"
        Whether they are a file that the user has, come with the package, or there are none.
    license : str
        Of the weights.
    gated : bool
        Whether the publisher wants to be asked first.
    hub, file : str
        Repository on the Hugging Face hub and the file of it.
    where : str
        Where else the user gets it.
    sha256 : str
        Of the file.
    parameters : int
        Of the network that makes the vector.
    paper : str
        DOI or arXiv.
    needs : str
        What must be done before it runs here, where timm and transformers do not build it.
    reads : str
        Of a slide encoder: the encoder of its tiles.
    build : callable
        Returns the network, its weights random, or what runs as it is.
    """

    name: str
    publisher: str
    about: str = ""
    level: Literal["tile", "slide"] = "tile"
    dimension: int | None = None
    mpp: float | None = None
    input_px: int | None = None
    patch_px: int | None = None
    mean: Rgb | None = IMAGENET_MEAN
    std: Rgb | None = IMAGENET_STD
    pooling: Literal["class", "class+mean", "mean", "attention", "own"] = "class"
    weights: Literal["given", "inside", "none"] = "given"
    license: str | None = None
    gated: bool | None = None
    hub: str | None = None
    file: str | None = None
    where: str | None = None
    sha256: str | None = None
    parameters: int | None = None
    paper: str | None = None
    needs: str | None = None
    reads: str | None = None
    build: Callable[[], Any] | None = None

    @property
    def link(self) -> str | None:
        """Where the user gets it."""
        return f"https://huggingface.co/{self.hub}" if self.hub else self.where

    def facts(self) -> dict[str, Any]:
        """Return all that it says, but for how it is built."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("build", "where")
        } | {"where": self.link}


def describe_encoder(card: EncoderCard) -> str:
    """Return a card as lines of words; what is not known reads `unknown`."""
    units = {"mpp": " um/px", "input_px": " px", "patch_px": " px", "parameters": ""}
    facts = card.facts()
    about = facts.pop("about")
    lines = [
        f"{name:<12}{_word(value)}{units.get(name, '') if value is not None else ''}"
        for name, value in facts.items()
    ]
    return "\n".join([card.name, about, "", *lines[1:], "", standing(card)])


def standing(card: EncoderCard) -> str:
    """Return in one line what was tried of it here."""
    if card.weights != "given":
        return "runs as it is"
    if card.needs:
        return f"not built here: {card.needs}"
    return "untested with real weights: built from its publisher's architecture with random ones"


def _word(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
