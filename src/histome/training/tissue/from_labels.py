"""A tissue or quality model from a user's own labels: one call from folders to weights and card."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from histome.datasets.declared import declaration_of
from histome.datasets.splits import parts_by_source
from histome.datasets.tissue_fields import TissueField, sources_by_part
from histome.datasets.tissue_folders import load_labeled_maps
from histome.datasets.tissue_labels import QUALITY_LABELS, TISSUE_LABELS, Vocabulary
from histome.errors import DataError, UsageError
from histome.models.card import CARD_NAME, Card, DataSource, load_card
from histome.models.runtime import Network
from histome.models.tasks import Task
from histome.store.disk import writing
from histome.training.checkpoint import CHECKPOINT, load_average, write_average
from histome.training.heads.lora import tuned_maps
from histome.training.heads.tissue import train_tissue_head
from histome.training.tissue.network import smooth_network_of
from histome.training.tissue.recipe import TissueRecipe
from histome.training.tissue.ship import ship_tissue, trained_tissue
from histome.training.tissue.train import in_windows, predict_tissue, train_tissue
from histome.validation.maps.labeled import score_maps
from histome.validation.nuclei import rounded

MapKind = Literal["tissue", "qc"]


class _Map(NamedTuple):
    """What a kind of map decides: the card's task, its labels, what it is called."""

    task: Task
    vocabulary: Vocabulary
    words: str


_MAPS: Mapping[MapKind, _Map] = {
    "tissue": _Map("segmenter", TISSUE_LABELS, "Seven tissue classes"),
    "qc": _Map("quality", QUALITY_LABELS, "Five classes of quality"),
}


@dataclass(frozen=True)
class MapPlan:
    """How a user's model of tissue or quality is trained.

    Attributes
    ----------
    start : str or None
        A tissue model (name, card or folder) whose weights training begins with; else the encoder's are
        ImageNet's.
    seed : int
        Of the split and of training.
    mpp : float, um/px, or None
        Of images whose resolution nothing else says.
    encoder, weights : str or None
        In place of the tissue network, a head on the maps of this encoder, which is not trained.
    lora : int
        Rank of what is learned beside the encoder's layers; 0: nothing.
    """

    steps: int = 3000
    start: str | None = None
    encoder: str | None = None
    weights: str | None = None
    lora: int = 0
    seed: int = 0
    device: str | None = None
    mpp: float | None = None
    window_px: int = 1024
    crop_px: int = 256
    batch: int = 8


def train_maps(
    kind: MapKind, data: Sequence[tuple[str, Path]], out: Path, plan: MapPlan | None = None
) -> Card:
    """Train a model of tissue or quality on labeled folders; write log, model.onnx and card.toml to `out`.

    Sources are split with the seed: a fifth of each data set is only scored, an eighth follows the training
    in log.csv, the others train. Nothing is tuned. Called again with the same settings it goes on where it
    was interrupted. The folder is a model: `--tissue-model OUT`, or `model = "OUT"` under `[qc]`.

    Parameters
    ----------
    data : Sequence[tuple[str, Path]]
        Pairs of name and folder, as `load_labeled_maps` reads them.

    Raises
    ------
    DataError
        Data that cannot be read, or none with three sources.
    UsageError
        A run with other settings is in `out`, or quality is to begin with a model of tissue.
    ModelError
        `start` is no such network.
    """
    plan, about = plan or MapPlan(), _MAPS[kind]
    if kind == "qc" and plan.start is not None:
        raise UsageError("a model of quality begins with ImageNet's weights; leave --from out")
    if plan.encoder is not None and plan.start is not None:
        raise UsageError("a head on an encoder begins with none: give --from or --encoder")
    fields = _split(data, about.vocabulary, plan)
    by_part = {
        part: [field for field in fields if field.part == part] for part in ("train", "tuning", "held-out")
    }
    recipe = _recipe(by_part["train"], plan, about.vocabulary)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        _keep_settings(out / "settings.json", {"data": data, "plan": asdict(plan), "recipe": asdict(recipe)})
    net = _trained(recipe, by_part, out, plan, about.vocabulary)
    finished = load_card(out) if (out / CARD_NAME).exists() else None
    if finished is not None and finished.scores:
        return finished
    score = lambda: _scores(out, by_part, about.vocabulary)  # noqa: E731
    return ship_tissue(net=net, out=out, about=_about(out, fields, recipe, plan, about), score=score)


def _trained(
    recipe: TissueRecipe,
    by_part: Mapping[str, Sequence[TissueField]],
    out: Path,
    plan: MapPlan,
    vocabulary: Vocabulary,
) -> torch.nn.Module:
    """The trained network on the CPU: the tissue network, or a head on an encoder."""
    follow = _follow(by_part["tuning"], vocabulary)
    device = plan.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if plan.encoder is not None:
        maps = tuned_maps(plan.encoder, plan.weights, plan.lora)
        return train_tissue_head(recipe, by_part["train"], out, maps, follow=follow, device=device)
    start = None if plan.start is None else _start(out / "start", load_card(plan.start))
    train_tissue(recipe, by_part["train"], out, follow=follow, every=250, start=start, device=device)
    return trained_tissue(load_average(out))


def _split(data: Sequence[tuple[str, Path]], vocabulary: Vocabulary, plan: MapPlan) -> list[TissueField]:
    """All fields with their part set."""
    fields = [
        field for name, folder in data for field in load_labeled_maps(name, folder, vocabulary, plan.mpp)
    ]
    parts = parts_by_source([(field.data_set, field.source) for field in fields], plan.seed)
    if "held-out" not in parts.values():
        names = ", ".join(dict.fromkeys(name for name, _ in data))
        raise DataError(
            f"{names}: fewer than three sources (slides or patients) in each; one must be kept for scores "
            "and one to follow the training"
        )
    return [replace(field, part=parts[field.source]) for field in fields]


def _recipe(fields: Sequence[TissueField], plan: MapPlan, vocabulary: Vocabulary) -> TissueRecipe:
    """Data sets share the crops by the root of their numbers of fields."""
    names = [field.data_set for field in fields]
    return TissueRecipe(
        steps=plan.steps,
        decay_steps=max(1, plan.steps // 3),
        restarts=(),
        batch=plan.batch,
        crop_px=plan.crop_px,
        learning_rate=TissueRecipe.learning_rate / (1 if plan.start is None else 3),
        seed=plan.seed + 1,
        shares={name: round(names.count(name) ** 0.5, 3) for name in dict.fromkeys(names)},
        smooth=plan.start is not None,
        classes=vocabulary.classes,
    )


def _keep_settings(path: Path, given: Mapping[str, Any]) -> None:
    settings = json.loads(json.dumps(given, default=str))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise UsageError(f"{path.parent}: holds a run with other data or settings; give another folder")
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _start(folder: Path, parent: Card) -> Path:
    if not (folder / CHECKPOINT).exists():
        write_average(smooth_network_of(parent), folder)
    return folder


def _follow(
    fields: Sequence[TissueField], vocabulary: Vocabulary
) -> Callable[[torch.nn.Module], Mapping[str, float]]:
    def follow(net: torch.nn.Module) -> dict[str, float]:
        found = score_maps(lambda image: predict_tissue(net, image), fields, vocabulary)
        return {name: table["labeled_right"]["value"] for name, table in found.items()}

    return follow


def _scores(
    out: Path, by_part: Mapping[str, Sequence[TissueField]], vocabulary: Vocabulary
) -> dict[str, Any]:
    predict = in_windows(Network(load_card(out), precision="f32"))
    tables = {
        part.replace("-", "_"): score_maps(predict, by_part[part], vocabulary)
        for part in ("held-out", "tuning")
    }
    note = "nothing was tuned on the tuning sources; they followed the training"
    return rounded({**tables, "interval": "95 % percentile bootstrap over sources", "note": note})


def _about(
    out: Path, fields: Sequence[TissueField], recipe: TissueRecipe, plan: MapPlan, about: _Map
) -> dict[str, Any]:
    """What the card says before anything is measured."""
    names, parts = list(recipe.shares), sources_by_part(fields)
    begun = "" if plan.start is None else f", begun with {load_card(plan.start).name}"
    lora = f" with LoRA of rank {plan.lora}" if plan.lora else ""
    begun = begun if plan.encoder is None else f", by a head on {plan.encoder}{lora}"
    return {
        "name": re.sub(r"[^a-z0-9_-]+", "-", out.resolve().name.lower()).strip("-_")[:64] or "own-map",
        "task": about.task,
        "classes": recipe.classes,
        "description": f"{about.words} at 2 um/px, learned from {', '.join(names)}{begun}",
        "license": "as its training data allow"
        + (f"; {load_card(plan.start).license}" if plan.start else "")
        + (f"; that of {plan.encoder}" if plan.encoder else ""),
        "window_px": plan.window_px,
        "halo_px": min(64, plan.window_px // 8),
        "limits": tuple(_limits(names, plan)),
        "training_data": tuple(_data(name, fields) for name in names),
        "training": {
            "steps": recipe.steps,
            "batch": recipe.batch,
            "seed": plan.seed,
            "labels": _support(fields, about.vocabulary),
            "tuning_sources": parts.get("tuning", {}),
            "held_out_sources": parts.get("held-out", {}),
        },
    }


def _limits(names: Sequence[str], plan: MapPlan) -> Iterator[str]:
    yield f"never scored on organs, stains and scanners other than those of {', '.join(names)}"
    if plan.start is not None:
        yield f"begun with {load_card(plan.start).name}, which may have seen what is held out here"


def _data(name: str, fields: Sequence[TissueField]) -> DataSource:
    count = sum(field.data_set == name and field.part == "train" for field in fields)
    terms = declaration_of(name).license or "not stated here: its owner's"
    return DataSource(name=name, license=terms, note=f"{count} fields")


def _support(fields: Sequence[TissueField], vocabulary: Vocabulary) -> dict[str, str]:
    """How each class was learned: in n training fields with pixels labeled as it alone, else indirectly."""
    allowed = vocabulary.table()[0]
    alone = np.where(allowed.sum(1) == 1, allowed.argmax(1), -1)
    seen = [set(alone[np.unique(field.codes)].tolist()) for field in fields if field.part == "train"]
    counts = {name: sum(k in classes for classes in seen) for k, name in enumerate(vocabulary.classes)}
    return {name: f"direct, n = {n} fields" if n else "indirect" for name, n in counts.items()}
