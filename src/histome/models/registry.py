"""Which models there are: shipped, in a folder, an object of one's own, or of an installed package."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histome.config import RuntimeConfig
from histome.errors import ModelError
from histome.models.card import CARD_NAME, ZOO, Card, has_card, load_card
from histome.models.plugins import load_plugin, plugin_names
from histome.models.tasks import Task

if TYPE_CHECKING:
    from histome.models.runtime import Predictor

# Entry points of installed packages: name = the card's, value = a folder, a Predictor or what returns one.
GROUP = "histome.models"
_REGISTERED: "dict[str, Predictor]" = {}


def list_models(folder: Path = ZOO) -> tuple[Card, ...]:
    """Return the cards of all models in `folder` (default: the shipped ones), ordered by name."""
    return tuple(load_card(path) for path in sorted(Path(folder).glob(f"*/{CARD_NAME}")))


def plugin_models() -> "dict[str, Card | ModelError]":
    """Return the models of installed packages by name: the card of each, or why it cannot be used."""
    return {name: _card_or_error(name) for name in plugin_names(GROUP)}


def find_model(name_or_path: str | Path, *, task: Task | tuple[Task, ...] | None = None) -> Card:
    """Return the card of one model and check that it is made for `task` (or one of several).

    Names of registered models go first, then paths, then names of shipped models, then those in
    `models_folder()`, then those of installed packages. Raises `ModelError` when there is no such model or it
    does something else.
    """
    card = _find(str(name_or_path))
    wanted = (task,) if isinstance(task, str) else task
    if wanted is not None and card.task not in wanted:
        raise ModelError(f"{name_or_path}: this model is a {card.task}; give a {' or '.join(wanted)} model")
    return card


def _find(name: str) -> Card:
    if name in _REGISTERED:
        return _REGISTERED[name].card
    # Packages are asked last: it takes milliseconds to read what they all say of themselves.
    given = None if has_card(name) else load_plugin(GROUP, name)
    return load_card(name) if given is None else _plugin_card(name, given)


def _plugin_card(name: str, given: Any) -> Card:
    """Return the card of what an entry point gives: a folder, a `Predictor` or what returns one."""
    given = _made(name, given)
    card = load_card(given) if isinstance(given, str | Path) else getattr(given, "card", None)
    if not isinstance(card, Card):
        raise ModelError(
            f"{name}: its entry point gives a {type(given).__name__}, not a folder or a Predictor"
        )
    if card.name != name:
        raise ModelError(f"{name}: its entry point gives the model {card.name}; name both alike")
    if not isinstance(given, str | Path):
        _REGISTERED[name] = given
    return card


def _made(name: str, given: Any) -> Any:
    """Call what is a function and no `Predictor`."""
    if not callable(given) or hasattr(given, "card"):
        return given
    try:
        return given()
    except Exception as error:  # code of others, as in `load_plugin`
        raise ModelError(f"{name}: its entry point raised {type(error).__name__}: {error}") from error


def _card_or_error(name: str) -> "Card | ModelError":
    try:
        _refuse_shipped_name(name)
        return find_model(name)
    except ModelError as error:
        return error


def register_model(model: "Predictor") -> None:
    """Make a model that is no ONNX file known by its card's name, in this process.

    A package that is installed names its model in the entry points `histome.models` instead: then every
    process knows it.

    `model` has a `card` and is called as `models.runtime.Predictor` says; `histome.checks.check_model` says
    whether it keeps to that. `CellsConfig(model=<name>)` or `TissueConfig(model=<name>)` then uses it. A
    profile is made anew when the card changes: let its sha256 be that of the weights. Registering a name
    again replaces the model. Raises ModelError for the name of a shipped model.
    """
    name = model.card.name
    _refuse_shipped_name(name)
    _REGISTERED[name] = model


def _refuse_shipped_name(name: str) -> None:
    if (ZOO / name).is_dir():
        raise ModelError(f"{name}: a shipped model has this name; give your card another")


def open_model(card: Card, runtime: RuntimeConfig | None = None, *, threads: int = 1) -> "Predictor":
    """Return the registered model of this card, else its weights as a `Network` for so many threads.

    `runtime.mirrored` makes it a `Mirrored` one.
    """
    from histome.models.mirrored import Mirrored
    from histome.models.runtime import Network

    runtime = runtime or RuntimeConfig()
    model = registered_model(card) or Network(
        card, threads=threads, backend=runtime.backend, precision=runtime.precision
    )
    return Mirrored(model) if runtime.mirrored else model


def arithmetic(card: Card, runtime: RuntimeConfig) -> dict[str, str]:
    """Return the backend and precision that `open_model` takes on this machine, without opening the model."""
    from histome.models.runtime import resolve

    seen = {"seen": "mirrored"} if runtime.mirrored else {}
    if own := registered_model(card):
        return {"backend": type(own).__name__} | seen
    return (
        dict(zip(("backend", "precision"), resolve(runtime.backend, runtime.precision), strict=True)) | seen
    )


def registered_model(card: Card) -> "Predictor | None":
    """Return the object that was registered with this very card, None for weights in a file."""
    own = _REGISTERED.get(card.name)
    return own if own is not None and own.card == card else None


def describe_model(model: "Predictor") -> dict[str, str]:
    """Return what run.json keeps of a running model, see `Network.describe`."""
    from histome.models.mirrored import Mirrored
    from histome.models.runtime import Network

    if isinstance(model, Mirrored):
        return describe_model(model.model) | {"seen": "mirrored"}
    if isinstance(model, Network):
        return model.describe()
    card, kind = model.card, type(model).__name__
    return {"name": card.name, "version": card.version, "sha256": card.sha256, "backend": kind}
