"""Training of UperHoVer: bf16, accumulation, linear decay, resume, the best two; under torchrun, DDP."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histome.datasets.fields import IMAGE_MPP
from histome.threads import ordered_map
from histome.training.nuclei.train import flushed_subnormals, log_row
from histome.training.uperhover.network import (
    IGNORE,
    PANNUKE_CLASSES,
    FeatheredExport,
    UperHoVer,
    imagenet_pixels,
    uperhover_loss,
)
from histome.training.uperhover.patches import HV_UNIT_UM, Crop, Patch, random_crop
from histome.validation.semantic import confusion, mean_iou

KEPT_BEST = 2


@dataclass(frozen=True)
class HoverRecipe:
    """All that decides how a UperHoVer is trained; the defaults are the published ones but for the scale.

    `batch` is that of one device, `accumulate` how many of them make a step; `every` steps it is evaluated.
    """

    crop_px: int = 224
    mpp: float = IMAGE_MPP
    steps: int = 10_000
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 5e-5
    weight_decay: float = 1e-2
    every: int = 500
    compile: bool = False
    seed: int = 1


class Place(NamedTuple):
    """Where this process stands among those of torchrun: its rank, their number, its device."""

    rank: int
    processes: int
    device: str


def start() -> Place:
    """Join the process group that torchrun announces; alone without it."""
    gpu = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = f"cuda:{local}" if gpu else "cpu"
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if gpu else "gloo")
    return Place(int(os.environ.get("RANK", "0")), processes, device)


def wait(place: Place) -> None:
    """Let the other processes catch up (with what the first one wrote)."""
    if place.processes > 1:
        torch.distributed.barrier()


class HoverTrainer:
    """Network, optimizer, step and the best scores so far: what a checkpoint holds."""

    def __init__(self, net: UperHoVer, recipe: HoverRecipe, folder: Path, place: Place) -> None:
        self.recipe, self.folder, self.place = recipe, folder, place
        self.net = net.to(place.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            net.parameters(), recipe.learning_rate, (0.9, 0.999), weight_decay=recipe.weight_decay
        )
        self.step, self.best = 0, list[tuple[float, int]]()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._load(torch.load(folder / "checkpoint.pt", weights_only=True, map_location=place.device))
        self.run: nn.Module = torch.compile(net) if recipe.compile else net  # type: ignore[assignment]
        if place.processes > 1:
            self.run = nn.parallel.DistributedDataParallel(self.run)

    def _load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], [tuple(pair) for pair in state["best"]]

    def save(self) -> None:
        """Write the checkpoint in one move, on the first process."""
        if self.place.rank == 0:
            state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
            _write(state | {"step": self.step, "best": self.best}, self.folder / "checkpoint.pt")

    def keep_best(self, score: float) -> None:
        """Keep these weights if they are among the best two."""
        if self.place.rank:
            return
        self.best = sorted([*self.best, (score, self.step)], reverse=True)[:KEPT_BEST]
        if (score, self.step) in self.best:
            _write(self.net.state_dict(), self.folder / f"best-{self.step}.pt")
        kept = {f"best-{step}.pt" for _, step in self.best}
        for path in self.folder.glob("best-*.pt"):
            if path.name not in kept:
                path.unlink()

    def update(self, batches: Sequence[list[Tensor]]) -> float:
        """One optimizer step over `accumulate` batches; returns the mean loss."""
        rate = self.recipe.learning_rate * (1 - self.step / self.recipe.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total = 0.0
        for batch in batches:
            image, classes, hv, foreground = (part.to(self.place.device) for part in batch)
            with torch.autocast(torch.device(self.place.device).type, torch.bfloat16):
                out = self.run(imagenet_pixels(image).contiguous(memory_format=torch.channels_last))
            loss = uperhover_loss(out, classes, hv, foreground) / len(batches)
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        return total


def _write(state: dict[str, Any], path: Path) -> None:
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


@flushed_subnormals()
def fit(
    net: UperHoVer, recipe: HoverRecipe, patches: Sequence[Patch], validation: Sequence[Patch], folder: Path
) -> UperHoVer:
    """Train until `recipe.steps`, resuming from `folder`; returns the network with its best weights.

    Writes checkpoint.pt, the best two by validation mean IoU as best-<step>.pt, and a line of log.csv at each
    evaluation: step, loss, mean IoU.
    """
    place = start()
    trainer = HoverTrainer(net, recipe, folder, place)
    trainer.net.train()
    losses: list[float] = []
    make = lambda step: _batches(patches, recipe, step, place)  # noqa: E731
    for ready in ordered_map(make, range(trainer.step, recipe.steps), 1, ahead=1):
        losses.append(trainer.update(ready))
        if trainer.step % recipe.every == 0 or trainer.step == recipe.steps:
            score = validation_miou(trainer.net, validation, recipe)
            trainer.keep_best(score)
            if place.rank == 0:
                loss = round(float(np.mean(losses)), 4)
                log_row(folder / "log.csv", {"step": trainer.step, "loss": loss, "miou": round(score, 4)})
            losses = []
            trainer.save()
    wait(place)
    best = max((path for path in folder.glob("best-*.pt")), key=_rank_of(folder))
    net.load_state_dict(torch.load(best, weights_only=True, map_location=place.device))
    return net.eval()


def _rank_of(folder: Path) -> Callable[[Path], float]:
    best = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")["best"]
    scores = {f"best-{step}.pt": score for score, step in best}
    return lambda path: scores.get(path.name, -1.0)


def _batches(patches: Sequence[Patch], recipe: HoverRecipe, step: int, place: Place) -> list[list[Tensor]]:
    """The batches of one step; they follow from seed, step and rank alone."""
    rng = np.random.default_rng((recipe.seed, step, place.rank))
    unit_px = HV_UNIT_UM / recipe.mpp
    batches = []
    for _ in range(recipe.accumulate):
        chosen = [patches[int(rng.integers(len(patches)))] for _ in range(recipe.batch)]
        crops: list[Crop] = [random_crop(p, recipe.crop_px, rng, unit_px=unit_px) for p in chosen]
        batches.append([torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)])
    return batches


def predict(
    net: UperHoVer, image: NDArray[np.uint8], tile_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Class probabilities (k, h, w) and HV maps (2, h, w) of an image, blended; its rim is mirrored."""
    half = tile_px // 2
    height, width = image.shape[:2]
    below, right = (half + -side % half for side in (height, width))
    padded = cv2.copyMakeBorder(image, half, below, half, right, cv2.BORDER_REFLECT_101)
    device = next(net.parameters()).device
    training = net.training
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        export = FeatheredExport(net.eval(), tile_px).to(device)
        classes, hv = export(torch.from_numpy(padded)[None].to(device))
    net.train(training)
    inside = np.s_[half : half + height, half : half + width]
    return classes[0].float().cpu().numpy()[:, *inside], hv[0].float().cpu().numpy()[:, *inside]


def validation_miou(net: UperHoVer, patches: Sequence[Patch], recipe: HoverRecipe) -> float:
    """Mean IoU over all pixels of the patches, background among the classes."""
    n = len(PANNUKE_CLASSES)
    total = np.zeros((n, n), np.int64)
    for patch in patches:
        if (patch.classes == IGNORE).all():
            continue
        found = predict(net, patch.image, recipe.crop_px)[0].argmax(0)
        total += confusion(patch.classes, found, n)
    return float(mean_iou(total.reshape(-1).astype(float)))
