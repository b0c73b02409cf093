"""A nuclei model from a user's own labels: one call from folders to weights and card."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from histome.cells import find_cells
from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP, Field
from histome.datasets.published import load_labeled
from histome.datasets.splits import Split, sources, split_by_source
from histome.errors import DataError, UsageError
from histome.models.card import CARD_NAME, Card, DataSource, Thresholds, load_card, write_card
from histome.models.label_support import card_support
from histome.models.reference import reference_window, summarize
from histome.models.runtime import Network
from histome.slide.plain import array_slide
from histome.store.disk import writing
from histome.training.nuclei.calibrate import (
    calibrate,
    choose_thresholds,
    export_nuclei,
    first_window,
    label_marks,
    loss_tilt,
    move_logits,
    run_network,
    stain_range,
)
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.targets import RAYS
from histome.training.nuclei.train import Recipe, load_average, make_network, train
from histome.validation.nuclei import found_from_table, rounded, score_field, score_tables

# As their publishers say; what is not here is the user's own to state.
PUBLISHED_LICENSES = {
    "pannuke": "CC BY-NC-SA 4.0",
    "lizard": "CC BY-NC-SA 4.0, research use only",
    "conic": "CC BY-NC-SA 4.0, research use only",
    "nucls": "CC0 1.0",
    "monusac": "CC BY-NC-SA 4.0",
}
_SETTINGS = "settings.json"
_STREAM_FIELDS = 16


@dataclass(frozen=True)
class Plan:
    """How a user's model is trained.

    start: a model (name, card or folder) whose weights training begins with; seed: of the split and of
    training; device: "cpu" or "cuda", by default the latter where there is one; widths: channels of the
    network, those of `start` where it is given; window_px: side of the exported window.
    """

    steps: int = 7600
    start: str | None = None
    seed: int = 0
    device: str | None = None
    widths: tuple[int, ...] | None = None
    window_px: int = 1024
    crop_px: int = 256
    batch: int = 8


def train_nuclei(data: Sequence[tuple[str, Path]], out: Path, plan: Plan | None = None) -> Card:
    """Train a nuclei model on labeled folders; write checkpoint, log, model.onnx and card.toml to `out`.

    data: pairs of name and folder, as `published.load_labeled` reads them. Sources (slides, patients) are
    split with the seed: a fifth of each data set is only scored, an eighth chooses thresholds and
    temperature. Called again with the same settings it goes on where it was interrupted. The folder is a
    model: `histome profile --cells-model OUT`.

    Raises
    ------
    DataError : data that cannot be read; none with three sources; no nuclei; no outlines to learn.
    UsageError : a run with other settings is in `out`. ModelError : `start` is no such network.
    """
    plan = plan or Plan()
    parent = None if plan.start is None else load_card(plan.start)
    split = _split(data, plan, outlines_known=parent is not None)
    recipe = _recipe(split.train, plan, parent)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        _keep_settings(out / _SETTINGS, data, plan, recipe)
    start = None if parent is None else _start(out / "start", parent, recipe, split.train)
    device = plan.device or ("cuda" if torch.cuda.is_available() else "cpu")
    train(recipe, split.train, split.tuning, out, device=device, start=start)
    return _finished(out) or _ship(out, split, recipe, plan, parent)


def _finished(out: Path) -> Card | None:
    """The card of a run that came to its end: scores are written last."""
    card = load_card(out) if (out / CARD_NAME).exists() else None
    return card if card is not None and card.scores else None


def _split(data: Sequence[tuple[str, Path]], plan: Plan, *, outlines_known: bool) -> Split:
    fields = [field for name, folder in data for field in load_labeled(name, folder)]
    split = split_by_source(fields, plan.seed)
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


def _recipe(fields: Sequence[Field], plan: Plan, parent: Card | None) -> Recipe:
    """Data sets share the crops by the root of their numbers of nuclei; a started model learns slower."""
    nuclei: dict[str, int] = {}
    for field in fields:
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


def _keep_settings(path: Path, data: Sequence[tuple[str, Path]], plan: Plan, recipe: Recipe) -> None:
    names = [name for name, _ in data]
    settings = json.loads(json.dumps({"data": names, "plan": asdict(plan), "recipe": asdict(recipe)}))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise UsageError(f"{path.parent}: holds a run with other data or settings; give another folder")
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _start(folder: Path, parent: Card, recipe: Recipe, fields: Sequence[Field]) -> Path:
    """Write the parent's weights as a run to start from."""
    if not (folder / "checkpoint.pt").exists():
        step = max(1, len(fields) // _STREAM_FIELDS)
        net = network_of(parent, recipe, [field.image for field in fields[::step]])
        folder.mkdir(parents=True, exist_ok=True)
        state = {f"module.{name}": value for name, value in net.state_dict().items()}
        torch.save({"average": state}, folder / "checkpoint.pt")
    return folder


def _ship(out: Path, split: Split, recipe: Recipe, plan: Plan, parent: Card | None) -> Card:
    net = make_network(recipe)
    net.load_state_dict(load_average(out))
    card = _base_card(out, split, recipe, plan, parent)

    def saved(**changes: Any) -> Card:
        fields = card.model_dump() | changes
        write_card(Card.model_validate(fields), out)
        return load_card(out)

    card = saved(sha256=export_nuclei(net, out / card.weights, plan.window_px))
    tuning = [first_window(field, plan.window_px) for field in split.tuning]
    network = Network(card, precision="f32")
    outputs = [(field, run_network(network, field)) for field in tuning]
    thresholds = card.thresholds.model_dump() | choose_thresholds(card, outputs)
    card = saved(thresholds=thresholds)
    tilt = loss_tilt(split.train, recipe)
    share, temperature, abstain = calibrate(card, outputs, tilt)
    sha256 = move_logits(out / card.weights, -share * tilt)
    card = saved(sha256=sha256, temperature=temperature, thresholds=thresholds | {"abstain": abstain})
    network = Network(card, precision="f32")
    stain = stain_range([find(field, network) for field in split.train if field.shapes])
    return saved(
        training=card.training | {"tilt_taken_back": share, "stain": stain},
        reference=summarize(network(reference_window(card))),
        scores=_scores(split, network),
    )


def find(field: Field, network: Network) -> pa.Table:
    """The cells of one field's image, through the code that profiles a slide."""
    slide = array_slide(field.image, IMAGE_MPP, name="field")
    return find_cells(slide, None, network)


def _scores(split: Split, network: Network) -> dict[str, Any]:
    def tables(fields: Sequence[Field]) -> Mapping[str, Any]:
        return score_tables([score_field(found_from_table(find(f, network), IMAGE_MPP), f) for f in fields])

    return rounded(
        {
            "held_out": tables(split.held_out),
            "tuning": tables(split.tuning),
            "interval": "95 % percentile bootstrap over sources (fields when < 5)",
            "note": "thresholds and temperature were chosen on the tuning sources: those figures flatter",
        }
    )


def _base_card(out: Path, split: Split, recipe: Recipe, plan: Plan, parent: Card | None) -> Card:
    """What the card says before anything is measured."""
    names = list(recipe.mix)
    before = "" if parent is None else f", begun with {parent.name} (version {parent.version})"
    return Card(
        name=re.sub(r"[^a-z0-9_-]+", "-", out.resolve().name.lower()).strip("-_")[:64] or "nuclei-own",
        task="stardist",
        description=f"Nuclei with nine cell types, learned from {', '.join(names)}{before}",
        license="as its training data allow"
        + ("" if parent is None else f"; {parent.name}: {parent.license}"),
        classes=CELL_CLASSES,
        mpp=IMAGE_MPP,
        window_px=plan.window_px,
        halo_px=min(64, plan.window_px // 8),
        stride=2,
        n_rays=RAYS,
        sha256="0" * 64,
        limits=tuple(_limits(split, names, parent)),
        thresholds=Thresholds(prob=0.4, nms=0.3) if parent is None else parent.thresholds,
        temperature=1.0 if parent is None else parent.temperature,
        training_data=tuple(_training_data(split, names, parent)),
        training={
            "widths": list(recipe.widths),
            "steps": recipe.steps,
            "batch": recipe.batch,
            "seed": plan.seed,
            "labels": label_marks(split.train, None if parent is None else card_support(parent)),
            "tuning_sources": sources(split.tuning),
            "held_out_sources": sources(split.held_out),
        },
    )


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
        terms = PUBLISHED_LICENSES.get(name, "not stated here: its owner's")
        yield DataSource(name=name, license=terms, note=f"{len(mine)} fields, {nuclei} nuclei")
    if parent is not None:
        for source in parent.training_data:
            yield source.model_copy(update={"note": f"through {parent.name}"})
