"""Which models there are."""

from pathlib import Path

from histome.errors import ModelError
from histome.models.card import CARD_NAME, ZOO, Card, Task, load_card


def list_models(folder: Path = ZOO) -> tuple[Card, ...]:
    """Return the cards of all models in `folder` (default: the shipped ones), ordered by name."""
    return tuple(load_card(path) for path in sorted(Path(folder).glob(f"*/{CARD_NAME}")))


def find_model(name_or_path: str | Path, *, task: Task | tuple[Task, ...] | None = None) -> Card:
    """Return the card of one model and check that it is made for `task` (or one of several).

    Raises `ModelError` when there is no such model or it does something else.
    """
    card = load_card(name_or_path)
    wanted = (task,) if isinstance(task, str) else task
    if wanted is not None and card.task not in wanted:
        raise ModelError(f"{name_or_path}: this model is a {card.task}; give a {' or '.join(wanted)} model")
    return card
