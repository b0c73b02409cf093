"""A cells model whose outlines are another model's and whose classes a head on an encoder tells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histome.classes import CELL_CLASSES
from histome.datasets.splits import Split
from histome.errors import DataError
from histome.models.card import Card, load_card
from histome.store.disk import writing
from histome.training.heads.lora import tuned_maps
from histome.training.heads.maps import FrozenMaps
from histome.training.heads.network import ClassesOnEncoder
from histome.training.heads.train import HeadRecipe, set_dice_loss, train_head
from histome.training.nuclei.from_labels import (
    Plan,
    finished_model,
    keep_run_settings,
    own_about,
    own_recipe,
    own_split,
)
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.losses import label_set_loss
from histome.training.nuclei.ship import ship, support_of
from histome.training.nuclei.train import Sampler

# Inside a nucleus; fainter ones teach no class, as in the nuclei network.
_INSIDE = 0.15


@dataclass(frozen=True)
class HeadPlan:
    """How a head on an encoder is trained.

    Attributes
    ----------
    encoder : str
        As `open_maps` takes it.
    weights : str or None
        File or folder of the encoder's, where they are not inside.
    lora : int
        Rank of what is learned beside the encoder's layers; 0: nothing.
    start : str
        The cells model that makes the outlines.
    """

    encoder: str
    weights: str | None = None
    lora: int = 0
    start: str = "nuclei"
    steps: int = 1000
    seed: int = 0
    device: str | None = None
    window_px: int = 1024
    crop_px: int = 256
    batch: int = 8

    def recipe(self) -> HeadRecipe:
        """What decides the training of the head."""
        return HeadRecipe(steps=self.steps, decay_steps=max(1, self.steps // 3), seed=self.seed + 1)


def train_cells(data: Sequence[tuple[str, Path]], out: Path, plan: HeadPlan) -> Card:
    """Train a head on an encoder's maps to tell cells' classes; write model.onnx and card.toml to `out`.

    The outlines are those of the model `plan.start`, which is not trained; nor is the encoder, but by LoRA.
    Sources are split as `train_nuclei` splits them. Called again with the same settings it goes on where it
    was interrupted. The folder is a model: `histome profile --cells-model OUT`.

    Raises
    ------
    DataError
        Data that cannot be read; no cell with a type.
    UsageError
        A run with other settings is in `out`, or the encoder's maps cannot be read.
    """
    like = Plan(**{name: getattr(plan, name) for name in ("steps", "start", "seed", "device", "window_px")})
    like = replace(like, crop_px=plan.crop_px, batch=plan.batch)
    detector = load_card(plan.start)
    split = _typed(own_split(data, like, outlines_known=True))
    recipe = own_recipe(split.train, like, detector)
    maps = tuned_maps(plan.encoder, plan.weights, plan.lora)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        keep_run_settings(out / "settings.json", data, plan, recipe)
    model = ClassesOnEncoder(network_of(detector, recipe, []), maps, len(CELL_CLASSES))
    sampler = Sampler(split.train, recipe)
    loss = partial(class_losses, set_weight=torch.from_numpy(sampler.set_weight))
    device = plan.device or ("cuda" if torch.cuda.is_available() else "cpu")
    train_head(model, sampler, loss, out, recipe=plan.recipe(), device=device)
    about = _about(own_about(out, split, recipe, like, detector), split, maps, detector)
    return finished_model(out) or ship(split, recipe, net=model.cpu(), out=out, about=about)


def _typed(split: Split) -> Split:
    """The split without training fields that tell no type."""
    train = [field for field in split.train if (field.sets[1:] > 0).any()]
    if not train:
        raise DataError("these data tell no types of cells: there is nothing that a head could learn")
    return replace(split, train=train)


def class_losses(logits: Tensor, known: list[Tensor], *, set_weight: Tensor) -> dict[str, Tensor]:
    """Focal cross-entropy of label sets, and Dice, inside nuclei; `known` is a batch less its images."""
    prob, _, _, sets, *_ = known
    bits = torch.arange(len(CELL_CLASSES), device=sets.device)
    member = ((sets[:, None] >> bits[None, :, None, None]) & 1).float()
    weight = set_weight.to(sets.device)[sets.long()] * (prob > _INSIDE)
    return {
        "class": label_set_loss(logits.float(), member, weight),
        "dice": set_dice_loss(logits.float().softmax(1), member, weight),
    }


def _about(about: dict[str, Any], split: Split, maps: FrozenMaps, detector: Card) -> dict[str, Any]:
    """What the card says: whose outlines, whose maps, which labels taught the head."""
    names = ", ".join(
        source.name for source in about["training_data"] if not source.note.startswith("through")
    )
    training = {name: value for name, value in about["training"].items() if name != "widths"}
    lora = {"lora": maps.lora} if maps.lora else {}
    more = lora | {"encoder": maps.name, "outlines": f"{detector.name} (version {detector.version})"}
    return about | {
        "description": f"Outlines of {detector.name}; nine cell types told by a head on {maps.name}, learned "
        f"from {names}",
        "license": f"{about['license']}; {maps.name}: {maps.terms}",
        "training": training | more | {"labels": support_of(split.train)},
    }
