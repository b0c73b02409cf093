"""Train the nuclei network: crops of mixed data sets, five losses, the tuning fields' F1 in the log."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP, Field
from histome.training.augment import appearance, similarity, warp
from histome.training.checkpoint import load_average
from histome.training.loop import Trainer, batches, flushed_subnormals, learning_rate, log_row, run
from histome.training.networks import (
    OFFSET_PX,
    UNet,
    full_resolution,
    on_device,
    scale_pixels,
    star_distance,
)
from histome.training.nuclei.follow import score_stage, tuning_f1
from histome.training.nuclei.losses import label_set_loss, mask_loss, object_loss, offset_loss, polar_iou_loss
from histome.training.nuclei.targets import RAYS, sample_targets

N_SETS = 1 << len(CELL_CLASSES)


@dataclass(frozen=True)
class Recipe:
    """All that decides how a nuclei network is trained.

    Attributes
    ----------
    fine_outlines : bool
        Whether it also learns the mask of nuclei at the input's resolution and the way to each nucleus'
        centroid, which sharpen the star-convex outlines (see cells/decode/sharpen.py).
    """

    widths: tuple[int, ...] = (32, 48, 96, 160, 224)
    crop_px: int = 256
    batch: int = 8
    steps: int = 6600
    restarts: tuple[int, ...] = (4600,)
    decay_steps: int = 1600
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    ema: float = 0.998
    seed: int = 1
    fine_outlines: bool = True
    mix: dict[str, float] = field(
        default_factory=lambda: {
            "consep": 0.42,
            "monuseg": 0.20,
            "tnbc": 0.12,
            "monusac": 0.08,
            "crchistophenotypes": 0.12,
            "glas": 0.06,
        }
    )


def make_network(recipe: Recipe) -> UNet:
    """The nuclei network: object probability, 32 star distances, nine class logits, mask and offsets."""
    heads = {"prob": 1, "dist": RAYS, "logits": len(CELL_CLASSES)}
    return UNet(recipe.widths, heads | ({"mask": 4, "offset": 2} if recipe.fine_outlines else {}), 48)


class Sampler:
    """Random augmented crops: a data set by weight, then any place or a nucleus of a rarer label set."""

    def __init__(self, fields: Sequence[Field], recipe: Recipe) -> None:
        self.recipe = recipe
        self.names = [name for name in recipe.mix if any(f.data_set == name for f in fields)]
        self.fields = {name: [f for f in fields if f.data_set == name] for name in self.names}
        share = np.array([recipe.mix[name] for name in self.names])
        self.share = share / share.sum()
        self.nuclei = {name: self._nuclei(self.fields[name]) for name in self.names}
        self.set_weight = self._set_weights(fields)

    @staticmethod
    def _nuclei(fields: Sequence[Field]) -> tuple[NDArray, NDArray]:
        """(field, instance) of every nucleus and its chance: label sets by the root of their number."""
        places = [(i, k) for i, f in enumerate(fields) for k in range(len(f.points_px))]
        sets = np.concatenate([f.sets[1:] for f in fields])
        chance = 1 / np.sqrt(np.bincount(sets, minlength=N_SETS)[sets])
        return np.array(places), chance / chance.sum()

    @staticmethod
    def _set_weights(fields: Sequence[Field]) -> NDArray[np.float32]:
        """Loss weight of each label set: the inverse root of its number, 0.5-5, 0 for "no type"."""
        count = np.bincount(np.concatenate([f.sets[1:] for f in fields]), minlength=N_SETS)
        typical = np.median(count[count > 0])
        weight = np.clip(np.sqrt(typical / np.maximum(count, 1)), 0.5, 5.0) * (count > 0)
        weight[0] = 0
        return weight.astype(np.float32)

    def _place(self, rng: np.random.Generator) -> tuple[Field, NDArray[np.float64]]:
        name = self.names[rng.choice(len(self.names), p=self.share)]
        fields = self.fields[name]
        if rng.random() < 0.5:
            places, chance = self.nuclei[name]
            i, k = places[rng.choice(len(places), p=chance)]
            center = fields[i].points_px[k] * (fields[i].label_mpp / IMAGE_MPP)
            return fields[i], self._inside(
                fields[i], center + rng.uniform(-0.35, 0.35, 2) * self.recipe.crop_px
            )
        f = fields[rng.integers(len(fields))]
        h, w = f.image.shape[:2]
        return f, self._inside(f, np.array([rng.uniform(0, w), rng.uniform(0, h)]))

    def _inside(self, f: Field, center: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move a crop's center so that most of the crop shows the field, not the white round it."""
        extent = np.array([f.image.shape[1], f.image.shape[0]])
        margin = np.minimum(0.4 * self.recipe.crop_px, extent / 2)
        return np.clip(center, margin, extent - margin)

    def crop(self, rng: np.random.Generator) -> tuple[NDArray, ...]:
        """One crop: image (s, s, 3) uint8, the parts of `Targets`, weight of the outlines' losses (n, n)."""
        f, center = self._place(rng)
        size = self.recipe.crop_px
        matrix = similarity(center, size, rng)
        image = appearance(warp(f.image, matrix, size), rng)
        to_labels = matrix * (IMAGE_MPP / f.label_mpp)
        targets = sample_targets(f, matrix=to_labels, size=size)
        return image, *targets, targets.prob_weight * np.float32(f.shapes)

    def batch(self, rng: np.random.Generator) -> list[Tensor]:
        """A batch of crops, each part stacked."""
        crops = [self.crop(rng) for _ in range(self.recipe.batch)]
        return [torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)]


def losses(out: dict[str, Tensor], parts: list[Tensor], set_weight: Tensor) -> dict[str, Tensor]:
    """The losses of one batch, to be summed."""
    _, prob, weight, dist, sets, mask, offset, outlined = parts
    bits = torch.arange(len(CELL_CLASSES), device=sets.device)
    membership = ((sets[:, None] >> bits[None, :, None, None]) & 1).float()
    parts_of_loss = {
        "object": object_loss(out["prob"].float()[:, 0], prob, weight),
        "shape": polar_iou_loss(star_distance(out["dist"].float()), dist, prob * outlined),
        "class": label_set_loss(out["logits"].float(), membership, set_weight[sets.long()] * (prob > 0.15)),
    }
    if "mask" in out:
        fine = outlined.repeat_interleave(2, 1).repeat_interleave(2, 2)
        parts_of_loss["mask"] = mask_loss(full_resolution(out["mask"].float()), mask, fine)
        inside = outlined * (prob > 0)
        parts_of_loss["offset"] = offset_loss(out["offset"].float(), offset / OFFSET_PX, inside)
    return parts_of_loss


class NucleiTrainer(Trainer):
    """Trains the nuclei network; a new run begins with the averaged weights of the run in `start`."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        set_weight: NDArray[np.float32],
        device: str = "cpu",
        *,
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        net = make_network(recipe)
        on_device(net, device)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=recipe.weight_decay)
        super().__init__(net, optimizer, folder, device=device, ema=recipe.ema)
        self.recipe, self.set_weight = recipe, torch.from_numpy(set_weight).to(device)
        if start is not None and not self.resumed:
            net.load_state_dict(load_average(start), strict=False)
            self.averaged.load_state_dict(net.state_dict())

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One optimizer step on the parts of a batch of the `Sampler`."""
        self.set_rate(learning_rate(self.step, self.recipe))
        parts = [part.to(self.device, non_blocking=True) for part in batch]
        with torch.autocast(self.device, torch.bfloat16):
            out = self.net(scale_pixels(parts[0]).contiguous(memory_format=torch.channels_last))
        part_losses = losses(out, parts, self.set_weight)
        self.optimizer.zero_grad()
        torch.stack(list(part_losses.values())).sum().backward()
        self.descend()
        return {name: loss.item() for name, loss in part_losses.items()}


@flushed_subnormals()
def train(
    recipe: Recipe,
    fields: Sequence[Field],
    tuning: Sequence[Field],
    folder: Path,
    *,
    device: str = "cpu",
    every: int = 500,
    start: Path | None = None,
) -> nn.Module:
    """Train until `recipe.steps`, resuming from `folder`; returns the averaged network.

    A new run begins with the averaged weights of the run in `start`, as far as the two networks share them.

    Writes folder/checkpoint.pt and a line of folder/log.csv every `every` steps: step, seconds, losses,
    tuning F1; where the learning rate has fallen to 0, a line of folder/stages.csv: all scores of the stage.
    """
    sampler = Sampler(fields, recipe)
    trainer = NucleiTrainer(recipe, folder, sampler.set_weight, device, start=start)
    trainer.net.train()
    ready = batches(sampler, trainer.step, recipe.steps, recipe.seed)

    def evaluate() -> dict[str, float]:
        if trainer.step in (*recipe.restarts, recipe.steps):
            row = {"step": trainer.step} | score_stage(trainer.averaged.eval(), tuning)
            log_row(folder / "stages.csv", row)
        return {f"f1_{name}": score for name, score in tuning_f1(trainer.averaged, tuning).items()}

    log = folder / "log.csv"
    run(trainer, ready, recipe.steps, every=every, evaluate=evaluate, save_every=100, log=log)
    return trainer.averaged.eval()
