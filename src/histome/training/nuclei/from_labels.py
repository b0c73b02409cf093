"""A nuclei model from a user's own labels: one call from folders to weights and card."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import create_model

from histome.config import Settings, read_settings
from histome.datasets.declared import declaration_of
from histome.datasets.fields import Field
from histome.datasets.published import load_labeled
from histome.datasets.splits import Split, split_labeled
from histome.errors import DataError, UsageError
from histome.models.card import CARD_NAME, Card, DataSource, Thresholds, load_card
from histome.models.label_support import card_support
from histome.store.disk import writing
from histome.training.checkpoint import CHECKPOINT, load_average, write_average
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.ship import ship, support_of, trained_network
from histome.training.nuclei.train import Recipe, train
from histome.training.progress import tell_unseen

_SETTINGS = "settings.json"
_STREAM_FIELDS = 16


@dataclass(frozen=True)
class Plan:
    """How a user's model is trained.

    Attributes
    ----------
    start : str or None
        A model (name, card or folder) whose weights training begins with.
    seed : int
        Of the split and of training.
    device : str or None
        "cpu" or "cuda", by default the latter where there is one.
    widths : tuple[int, ...] or None
        Channels of the network, those of `start` where it is given.
    window_px : int
        Side of the exported window.
    recipe : Recipe or None
        In place of all of the plan but `start`, `device` and `window_px`; `read_recipe` reads one.
    """

    steps: int = 7600
    start: str | None = None
    seed: int = 0
    device: str | None = None
    widths: tuple[int, ...] | None = None
    window_px: int = 1024
    crop_px: int = 256
    batch: int = 8
    recipe: Recipe | None = None


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a TOML file: fields of `Recipe`, those that it leaves out as they are there."""
    given = read_settings(_RecipeFile, path)
    return replace(Recipe(), **given.model_dump(exclude_unset=True))


_FIELDS: dict[str, Any] = {each.name: (each.type, None) for each in fields(Recipe)}
_RecipeFile = create_model("_RecipeFile", __base__=Settings, **_FIELDS)


def train_nuclei(data: Sequence[tuple[str, Path]], out: Path, plan: Plan | None = None) -> Card:
    """Train a nuclei model on labeled folders; write checkpoint, log, model.onnx and card.toml to `out`.

    Sources (slides, patients) of data sets that declare them are split as the shipped model's were. The
    others are split with the seed: a fifth of each data set is only scored, an eighth chooses thresholds and
    temperature. stages.csv has the tuning scores of each settled network on the way. Called again with the
    same settings it goes on where it was interrupted. The folder is a model: `histome profile --cells-model
    OUT`.

    Parameters
    ----------
    data : Sequence[tuple[str, Path]]
        Pairs of name and folder, as `published.load_labeled` reads them.

    Raises
    ------
    DataError
        Data that cannot be read; none with three sources; no nuclei; no outlines to learn.
    UsageError
        A run with other settings is in `out`.
    ModelError
        `start` is no such network.
    """
    plan = plan or Plan()
    parent = None if plan.start is None else load_card(plan.start)
    split = own_split(data, plan, outlines_known=parent is not None)
    recipe = own_recipe(split.train, plan, parent)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        keep_run_settings(out / _SETTINGS, data, plan, recipe)
    start = None if parent is None else _start(out / "start", parent, recipe, split.train)
    device = plan.device or ("cuda" if torch.cuda.is_available() else "cpu")
    train(recipe, split.train, split.tuning, out, device=device, start=start)
    about = own_about(out, split, recipe, plan, parent)
    net = trained_network(recipe, load_average(out))
    return finished_model(out) or ship(split, recipe, net=net, out=out, about=about)


def finished_model(out: Path) -> Card | None:
    """The card of a run that came to its end: scores are written last. None before."""
    card = load_card(out) if (out / CARD_NAME).exists() else None
    return card if card is not None and card.scores else None


def own_split(data: Sequence[tuple[str, Path]], plan: Plan, *, outlines_known: bool) -> Split:
    """Labeled folders split by source; raises DataError where a part or what is to be learned is missing."""
    found = [f for name, folder in data for f in load_labeled(name, folder)]
    tell_unseen(found)
    split = split_labeled(found, plan.seed)
    for name in dict.fromkeys(name for name, _ in data):
        mine = [field for field in split.train if field.data_set == name]
        if not sum(len(field.points_px) for field in mine):
            raise DataError(f"{name}: no labeled nucleus to train on")
    if not split.tuning:
        raise DataError(
            f"{', '.join(name for name, _ in data)}: fewer than three sources (slides or patients) in each; "
            "one must be kept for scores and one for thresholds"
        )
    if not outlines_known and not any(field.shapes for field in split.train):
        raise DataError("none of these data have outlines of nuclei; begin with a model: --from nuclei")
    return split


def own_recipe(labeled: Sequence[Field], plan: Plan, parent: Card | None) -> Recipe:
    """Data sets share the crops by the root of their numbers of nuclei; a started model learns slower."""
    if plan.recipe is not None:
        return _given(plan.recipe, labeled)
    nuclei: dict[str, int] = {}
    for field in labeled:
        nuclei[field.data_set] = nuclei.get(field.data_set, 0) + len(field.points_px)
    widths = plan.widths or Recipe.widths
    if parent is not None:
        widths = tuple(parent.training.get("widths", widths))
    return Recipe(
        widths=widths,
        crop_px=plan.crop_px,
        batch=plan.batch,
        steps=plan.steps,
        restarts=(),
        decay_steps=max(1, plan.steps // 4),
        learning_rate=Recipe.learning_rate / (1 if parent is None else 3),
        seed=plan.seed + 1,
        mix={name: round(n**0.5, 3) for name, n in nuclei.items()},
    )


def _given(recipe: Recipe, labeled: Sequence[Field]) -> Recipe:
    if missing := {field.data_set for field in labeled} - recipe.mix.keys():
        raise UsageError(f"the recipe's mix has no share for {', '.join(sorted(missing))}")
    return recipe


def keep_run_settings(path: Path, data: Sequence[tuple[str, Path]], *settings_of: Any) -> None:
    """Write names of the data and the settings of a run; raises UsageError where others are there."""
    given = {type(each).__name__.lower(): asdict(each) for each in settings_of}
    settings = json.loads(json.dumps({"data": [name for name, _ in data], **given}))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise UsageError(f"{path.parent}: holds a run with other data or settings; give another folder")
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _start(folder: Path, parent: Card, recipe: Recipe, fields: Sequence[Field]) -> Path:
    """Write the parent's weights as a run to start from."""
    if not (folder / CHECKPOINT).exists():
        step = max(1, len(fields) // _STREAM_FIELDS)
        write_average(network_of(parent, recipe, [field.image for field in fields[::step]]), folder)
    return folder


def own_about(out: Path, split: Split, recipe: Recipe, plan: Plan, parent: Card | None) -> dict[str, Any]:
    """What the card says before anything is measured."""
    names = list(recipe.mix)
    before = "" if parent is None else f", begun with {parent.name} (version {parent.version})"
    terms = "" if parent is None else f"; {parent.name}: {parent.license}"
    return {
        "name": re.sub(r"[^a-z0-9_-]+", "-", out.resolve().name.lower()).strip("-_")[:64] or "nuclei-own",
        "description": f"Nuclei with nine cell types, learned from {', '.join(names)}{before}",
        "license": f"as its training data allow{terms}",
        "window_px": plan.window_px,
        "halo_px": min(64, plan.window_px // 8),
        "limits": tuple(_limits(split, names, parent)),
        "thresholds": Thresholds(prob=0.4, nms=0.3) if parent is None else parent.thresholds,
        "temperature": 1.0 if parent is None else parent.temperature,
        "training_data": tuple(_training_data(split, names, parent)),
        "training": {
            "widths": list(recipe.widths),
            "steps": recipe.steps,
            "batch": recipe.batch,
            "seed": plan.seed,
            "labels": support_of(split.train, None if parent is None else card_support(parent)),
        },
    }


def _limits(split: Split, names: Sequence[str], parent: Card | None) -> Iterator[str]:
    yield f"never scored on organs, stains and scanners other than those of {', '.join(names)}"
    unscored = [name for name in names if not any(field.data_set == name for field in split.held_out)]
    if unscored:
        yield f"fewer than three sources, trained on only: {', '.join(unscored)}"
    known = [source.name for source in (parent.training_data if parent else ()) if source.name in names]
    if parent is not None and known:
        yield f"{parent.name} learned from {', '.join(known)} before: it may have seen what is held out here"


def _training_data(split: Split, names: Sequence[str], parent: Card | None) -> Iterator[DataSource]:
    for name in names:
        mine = [field for field in split.train if field.data_set == name]
        nuclei = sum(len(field.points_px) for field in mine)
        terms = declaration_of(name).license or "not stated here: its owner's"
        yield DataSource(name=name, license=terms, note=f"{len(mine)} fields, {nuclei} nuclei")
    if parent is not None:
        for source in parent.training_data:
            yield source.model_copy(update={"note": f"through {parent.name}"})
