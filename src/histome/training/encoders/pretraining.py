"""Pretraining of an encoder without labels: its recipe, its trainer, what a run leaves."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from histome.encoders.vit import timm_encoder
from histome.encoders.weights import file_sha256
from histome.errors import UsageError
from histome.threads import available_cpus
from histome.training.checkpoint import CHECKPOINT, Stateful, read_state
from histome.training.encoders.dino import (
    Branch,
    Losses,
    Said,
    begin_with,
    lightly,
    likeness,
    transformer,
)
from histome.training.encoders.export import ClassVector, export_tile_encoder
from histome.training.encoders.sources import TileSource, TissueTiles
from histome.training.encoders.views import ViewBatch, ViewSampler
from histome.training.loop import Trainer, batches, flushed_subnormals, run
from histome.training.processes import Worker, start, wait

Method = Literal["dino", "dinov2"]
# Weights of the terms of hidden patches and of distance, besides that of the views.
_TERMS: dict[str, tuple[float, float]] = {"dino": (0.0, 0.0), "dinov2": (1.0, 0.1)}
_SAVE_EVERY = 50
# The teacher's temperature: sharp at first, over this share of the steps up to the second.
_TEMPERATURES, _TEMPERED = (0.04, 0.07), 0.3
_DECAYS = (0.04, 0.4)


@dataclass(frozen=True)
class PretrainRecipe:
    """All that decides how an encoder is pretrained.

    Attributes
    ----------
    method : "dino" or "dinov2"
        With the terms of hidden patches and distance, or without.
    model : str
        A vision transformer of timm.
    batch : int
        Tiles at once, of each process; two large views and `locals_each` small ones of each.
    mpp : (float, float), um/px
        Finest and coarsest of the tiles.
    learning_rate : float
        For 256 tiles at once; it goes with the root of their number.
    teacher : float
        Share of the teacher that stays at a step at the start; 1 at the end (cosine between).
    """

    steps: int = 10_000
    method: Method = "dinov2"
    model: str = "vit_small_patch16_224"
    batch: int = 32
    side_px: int = 224
    local_px: int = 96
    locals_each: int = 6
    mpp: tuple[float, float] = (0.25, 2.0)
    prototypes: int = 4096
    learning_rate: float = 1e-3
    teacher: float = 0.99
    seed: int = 1

    @property
    def patch_px(self) -> int:
        """Side of a patch."""
        with torch.device("meta"):
            return int(transformer(self.model, self.side_px).patch_embed.patch_size[0])

    @property
    def warm_up(self) -> int:
        """Steps over which the rate rises: a tenth of them."""
        return max(1, self.steps // 10)


class Pretrainer(Trainer):
    """Trains a student; its teacher, an average of it, goes with it.

    Parameters
    ----------
    sources : int
        Number of slides and fields that are learned from: the same in a run that goes on.
    """

    clip_norm = 3.0
    net: Branch

    def __init__(
        self,
        recipe: PretrainRecipe,
        folder: Path,
        worker: Worker,
        *,
        sources: int = 0,
        weights: Path | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        patches, spread = _TERMS[recipe.method]
        made = {"patches": bool(patches), "frozen": recipe.warm_up // 4}
        student, teacher = (
            Branch(recipe.model, recipe.side_px, recipe.prototypes, **made).to(worker.device) for _ in "st"
        )
        begin_with(student, weights)
        teacher.load_state_dict(student.state_dict())
        self.recipe, self.worker, self.teacher = recipe, worker, teacher.requires_grad_(False).eval()
        self.losses = Losses(recipe.prototypes, patches, spread).to(worker.device)
        optimizer = torch.optim.AdamW(_groups(student))
        settings = {"recipe": asdict(recipe), "sources": sources, "processes": worker.processes}
        settings |= {"weights": file_sha256(weights) if weights else ""}
        super().__init__(student, optimizer, folder, device=worker.device, settings=settings)
        self.run: nn.Module = student
        if worker.processes > 1:
            self.run = nn.parallel.DistributedDataParallel(student)
        self._scheduler, self._models = lightly("utils.scheduler"), lightly("models.utils")

    @property
    def parts(self) -> dict[str, Stateful]:
        """What has a state: the teacher too."""
        return super().parts | {"teacher": self.teacher}

    def save(self) -> None:
        """Write the checkpoint, on the first process."""
        if self.worker.rank == 0:
            super().save()

    def _cosine(self, start_: float, end: float) -> float:
        return self._scheduler.cosine_schedule(self.step, self.recipe.steps, start_, end)

    def _set_pace(self) -> None:
        """Set rate and decay: a warm-up, then a cosine to a hundredth; a cosine from 0.04 to 0.4."""
        tiles = self.recipe.batch * self.worker.processes
        top = self.recipe.learning_rate * (tiles / 256) ** 0.5
        self.set_rate(self._cosine(top, top / 100) * min(1.0, (self.step + 1) / self.recipe.warm_up))
        for group in self.optimizer.param_groups:
            group["weight_decay"] = self._cosine(*_DECAYS) if group["decays"] else 0.0

    def _temperature(self) -> float:
        done = min(1.0, self.step / max(1.0, _TEMPERED * self.recipe.steps))
        return _TEMPERATURES[0] + done * (_TEMPERATURES[1] - _TEMPERATURES[0])

    def update(self, batch: ViewBatch) -> dict[str, float]:
        """One step of the optimizer and of the teacher; returns the terms and a measure of collapse."""
        self._set_pace()
        whole, local, hidden = (part.to(self.device, non_blocking=True) for part in batch)
        gpu = self.device.startswith("cuda")
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=gpu):
            with torch.no_grad():
                teacher: Said = self.teacher(whole, local[:0], hidden, mask=False)
            student: Said = self.run(whole, local, hidden)
        said = (Said(*(part.float() for part in one)) for one in (student, teacher))
        losses = self.losses(*said, hidden, self._temperature())
        self.optimizer.zero_grad()
        self.losses.total(losses).backward()
        self.net.free_or_freeze(self.step)
        stays = self._cosine(self.recipe.teacher, 1.0)
        self.descend()
        with torch.no_grad():
            self._models.update_momentum(self.net, self.teacher, stays)
        return {name: loss.item() for name, loss in losses.items()} | {"likeness": likeness(teacher.tokens)}


def _groups(net: nn.Module) -> list[dict[str, Any]]:
    """Weights of layers decay; norms, biases, tokens and positions do not."""
    learned = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    decays = {name: p.ndim > 1 and not name.endswith(("token", "pos_embed")) for name, p in learned}
    return [{"params": [p for n, p in learned if decays[n] == on], "decays": on} for on in (True, False)]


@flushed_subnormals()
def pretrain(
    sources: Sequence[TileSource],
    folder: Path,
    recipe: PretrainRecipe,
    *,
    weights: Path | None = None,
    device: str | None = None,
    every: int = 100,
) -> Path:
    """Train until `recipe.steps`, resuming from `folder`; returns the encoder's card, folder/encoder.toml.

    Under torchrun the processes share the work, the first one writes. Writes folder/checkpoint.pt and, every
    `every` steps, a line of folder/log.csv with the terms of the loss.

    Parameters
    ----------
    sources : sequence of TileSource
        See `find_sources`.
    weights : Path or None
        Of the transformer, to begin with.
    """
    if not 0 < recipe.mpp[0] <= recipe.mpp[1]:
        raise UsageError(f"tiles of {recipe.mpp[0]:g} to {recipe.mpp[1]:g} um/px: give the finer one first")
    worker = start(device=device)
    trainer = Pretrainer(recipe, folder, worker, sources=len(sources), weights=weights)
    trainer.net.train()
    share = max(1, available_cpus() // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    sampler = ViewSampler(TissueTiles(sources), recipe, share)
    ready = batches(sampler, trainer.step, recipe.steps, recipe.seed, worker.rank)
    log = folder / "log.csv" if worker.rank == 0 else None
    run(trainer, ready, recipe.steps, every=every, save_every=_SAVE_EVERY, log=log)
    if worker.rank == 0:
        export_pretrained(folder)
    wait(worker)
    return folder / "encoder.toml"


def load_encoder(folder: Path) -> tuple[Any, PretrainRecipe]:
    """Return the teacher of a run's last checkpoint, a transformer of timm, and how it was trained."""
    state = read_state(folder / CHECKPOINT)
    if not isinstance(state.get("teacher"), dict):
        raise UsageError(f"{folder}: no run of `histome train encoder`")
    recipe, prefix = PretrainRecipe(**state["recipe"]), "backbone.vit."
    encoder = timm_encoder(model_name=recipe.model, img_size=recipe.side_px)
    own: dict[str, Tensor] = state["teacher"]
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)})
    return encoder.eval(), recipe


def export_pretrained(folder: Path) -> Path:
    """Write the teacher of a run's last checkpoint, trained to the end or not, as an encoder of tiles."""
    encoder, recipe = load_encoder(folder)
    state = read_state(folder / CHECKPOINT)
    about = (
        f"{recipe.model} pretrained with {recipe.method} for {state['step']:,} of {recipe.steps:,} steps on "
        f"tiles of {state['sources']:,} slides and fields, {recipe.mpp[0]:g} to {recipe.mpp[1]:g} um/px; its "
        "class token."
    )
    vector = ClassVector(encoder)
    name = folder.resolve().name
    return export_tile_encoder(vector, folder, name=name, about=about, side_px=recipe.side_px)
