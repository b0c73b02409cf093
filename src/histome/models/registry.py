"""Which models there are."""

from pathlib import Path
from typing import Literal

from histome.errors import ModelError
from histome.models.card import CARD_NAME, ZOO, Card, load_card


def list_models(folder: Path = ZOO) -> tuple[Card, ...]:
    """Return the cards of all models in `folder` (default: the shipped ones), ordered by name."""
    return tuple(load_card(path) for path in sorted(Path(folder).glob(f"*/{CARD_NAME}")))


def find_model(name_or_path: str | Path, *, task: Literal["segmenter", "stardist"] | None = None) -> Card:
    """Return the card of one model and check that it is made for `task`.

    Raises `ModelError` when there is no such model or it does something else.
    """
    card = load_card(name_or_path)
    if task is not None and card.task != task:
        raise ModelError(f"{name_or_path}: this model is a {card.task}; give a {task} model")
    return card
