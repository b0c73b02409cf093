"""Which models there are: shipped, in a folder, or an object of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from histome.config import RuntimeConfig
from histome.errors import ModelError
from histome.models.card import CARD_NAME, ZOO, Card, Task, load_card

if TYPE_CHECKING:
    from histome.models.runtime import Predictor

_OWN: "dict[str, Predictor]" = {}


def list_models(folder: Path = ZOO) -> tuple[Card, ...]:
    """Return the cards of all models in `folder` (default: the shipped ones), ordered by name."""
    return tuple(load_card(path) for path in sorted(Path(folder).glob(f"*/{CARD_NAME}")))


def find_model(name_or_path: str | Path, *, task: Task | tuple[Task, ...] | None = None) -> Card:
    """Return the card of one model and check that it is made for `task` (or one of several).

    Names of registered models go first, then those of shipped ones, then paths. Raises `ModelError` when
    there is no such model or it does something else.
    """
    own = _OWN.get(str(name_or_path))
    card = load_card(name_or_path) if own is None else own.card
    wanted = (task,) if isinstance(task, str) else task
    if wanted is not None and card.task not in wanted:
        raise ModelError(f"{name_or_path}: this model is a {card.task}; give a {' or '.join(wanted)} model")
    return card


def register_model(model: "Predictor") -> None:
    """Make a model that is no ONNX file known by its card's name, in this process.

    `model` has a `card` and is called as `models.runtime.Predictor` says; `histome.checks.check_model` says
    whether it keeps to that. `CellsConfig(model=<name>)` or `TissueConfig(model=<name>)` then uses it. A
    profile is made anew when the card changes: let its sha256 be that of the weights. Registering a name
    again replaces the model. Raises ModelError for the name of a shipped model.
    """
    name = model.card.name
    if (ZOO / name).is_dir():
        raise ModelError(f"{name}: a shipped model has this name; give your card another")
    _OWN[name] = model


def open_model(card: Card, runtime: RuntimeConfig | None = None, *, threads: int = 1) -> "Predictor":
    """Return the registered model of this card, else its weights as a `Network` for so many threads."""
    from histome.models.runtime import Network

    runtime = runtime or RuntimeConfig()
    own = _own(card)
    return own or Network(card, threads=threads, backend=runtime.backend, precision=runtime.precision)


def arithmetic(card: Card, runtime: RuntimeConfig) -> dict[str, str]:
    """Return the backend and precision that `open_model` takes on this machine, without opening the model."""
    from histome.models.runtime import resolve

    if own := _own(card):
        return {"backend": type(own).__name__}
    return dict(zip(("backend", "precision"), resolve(runtime.backend, runtime.precision), strict=True))


def _own(card: Card) -> "Predictor | None":
    own = _OWN.get(card.name)
    return own if own is not None and own.card == card else None


def describe_model(model: "Predictor") -> dict[str, str]:
    """Return what run.json keeps of a running model, see `Network.describe`."""
    from histome.models.runtime import Network

    if isinstance(model, Network):
        return model.describe()
    card, kind = model.card, type(model).__name__
    return {"name": card.name, "version": card.version, "sha256": card.sha256, "backend": kind}
