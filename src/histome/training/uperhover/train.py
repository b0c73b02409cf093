"""Training of UperHoVer: bf16, accumulation, linear decay, resume, the best two; under torchrun, DDP."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histome.datasets.fields import IMAGE_MPP
from histome.training.checkpoint import CHECKPOINT, read_state, told_damaged, write
from histome.training.loop import Trainer, batches, flushed_subnormals, run
from histome.training.networks import on_device
from histome.training.processes import Worker, start, wait
from histome.training.uperhover.network import (
    IGNORE,
    PIXEL_CLASSES,
    FeatheredExport,
    UperHoVer,
    imagenet_pixels,
    uperhover_loss,
)
from histome.training.uperhover.patches import HV_UNIT_UM, Crop, Patch, random_crop
from histome.validation.maps.semantic import confusion, mean_iou

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


class HoverTrainer(Trainer):
    """Trains a UperHoVer and keeps its best weights; the first of several workers writes."""

    def __init__(self, net: UperHoVer, recipe: HoverRecipe, folder: Path, worker: Worker) -> None:
        on_device(net, worker.device)
        learned = [p for p in net.parameters() if p.requires_grad]
        rate, decay = recipe.learning_rate, recipe.weight_decay
        optimizer = torch.optim.AdamW(learned, rate, (0.9, 0.999), weight_decay=decay)
        super().__init__(net, optimizer, folder, device=worker.device)
        self.recipe, self.folder, self.worker = recipe, folder, worker
        self.run: nn.Module = torch.compile(net) if recipe.compile else net  # type: ignore[assignment]
        if worker.processes > 1:
            self.run = nn.parallel.DistributedDataParallel(self.run)

    def numbers(self) -> dict[str, Any]:
        """The step and the best scores so far."""
        return super().numbers() | {"best": self.best}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take up the step and the best scores."""
        super().restore(numbers)
        self.best: list[tuple[float, int]] = [(score, step) for score, step in numbers.get("best", ())]

    def save(self) -> None:
        """Write the checkpoint, on the first process."""
        if self.worker.rank == 0:
            super().save()

    def keep_best(self, score: float) -> None:
        """Keep these weights if they are among the best two."""
        if self.worker.rank:
            return
        self.best = sorted([*self.best, (score, self.step)], reverse=True)[:KEPT_BEST]
        if (score, self.step) in self.best:
            write(self.folder / f"best-{self.step}.pt", self.net.state_dict())
        kept = {f"best-{step}.pt" for _, step in self.best}
        for path in self.folder.glob("best-*.pt"):
            if path.name not in kept:
                path.unlink()

    def update(self, batch: Sequence[list[Tensor]]) -> dict[str, float]:
        """One optimizer step over `accumulate` batches; the loss is their mean."""
        self.set_rate(self.recipe.learning_rate * (1 - self.step / self.recipe.steps))
        self.optimizer.zero_grad()
        total = 0.0
        for k, part in enumerate(batch, start=1):
            image, classes, hv, foreground = (each.to(self.device) for each in part)
            with self._shared(k == len(batch)):
                with torch.autocast(torch.device(self.device).type, torch.bfloat16):
                    out = self.run(imagenet_pixels(image).contiguous(memory_format=torch.channels_last))
                loss = uperhover_loss(out, classes, hv, foreground) / len(batch)
                loss.backward()
            total += loss.item()
        self.descend()
        return {"loss": total}

    def _shared(self, last: bool) -> AbstractContextManager[None]:
        """The processes tell each other their gradients once a step, with its last batch."""
        if last or not isinstance(self.run, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self.run.no_sync()


@dataclass(frozen=True)
class PatchSampler:
    """Draws the batches of one step: crops of patches, any patch as likely."""

    patches: Sequence[Patch]
    recipe: HoverRecipe

    def batch(self, rng: np.random.Generator) -> list[list[Tensor]]:
        """`accumulate` batches, each part stacked."""
        return [self._stacked(rng) for _ in range(self.recipe.accumulate)]

    def _stacked(self, rng: np.random.Generator) -> list[Tensor]:
        recipe, unit_px = self.recipe, HV_UNIT_UM / self.recipe.mpp
        chosen = [self.patches[int(rng.integers(len(self.patches)))] for _ in range(recipe.batch)]
        crops: list[Crop] = [random_crop(p, recipe.crop_px, rng, unit_px=unit_px) for p in chosen]
        return [torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)]


@flushed_subnormals()
def fit(
    net: UperHoVer, recipe: HoverRecipe, patches: Sequence[Patch], validation: Sequence[Patch], folder: Path
) -> UperHoVer:
    """Train until `recipe.steps`, resuming from `folder`; returns the network with its best weights.

    Writes checkpoint.pt, the best two by validation mean IoU as best-<step>.pt, and a line of log.csv at each
    evaluation: step, seconds, loss, mean IoU.
    """
    worker = start()
    trainer = HoverTrainer(net, recipe, folder, worker)
    trainer.net.train()
    ready = batches(PatchSampler(patches, recipe), trainer.step, recipe.steps, recipe.seed, worker.rank)

    def evaluate() -> dict[str, float]:
        score = validation_miou(net, validation, recipe, worker)
        trainer.keep_best(score)
        return {"miou": round(score, 4)}

    log = folder / "log.csv" if worker.rank == 0 else None
    run(trainer, ready, recipe.steps, every=recipe.every, evaluate=evaluate, log=log)
    wait(worker)
    take_best(net, folder, worker.device)
    return net.eval()


def take_best(net: UperHoVer, folder: Path, device: str) -> None:
    """Give a network its best weights; raises UsageError, one line, where their file is damaged."""
    best = max(folder.glob("best-*.pt"), key=_rank_of(folder), default=folder / "best-*.pt")
    remedy = f"remove it and {CHECKPOINT} to train the stage anew"
    with told_damaged(best, remedy):
        net.load_state_dict(read_state(best, device, remedy=remedy))


def _rank_of(folder: Path) -> Callable[[Path], float]:
    with told_damaged(folder / CHECKPOINT):
        best = read_state(folder / CHECKPOINT)["best"]
    scores = {f"best-{step}.pt": score for score, step in best}
    return lambda path: scores.get(path.name, -1.0)


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


def validation_miou(net: UperHoVer, patches: Sequence[Patch], recipe: HoverRecipe, worker: Worker) -> float:
    """Mean IoU over all pixels of the patches, background among the classes; the processes share them."""
    n = len(PIXEL_CLASSES)
    total = np.zeros((n, n), np.int64)
    for patch in patches[worker.rank :: worker.processes]:
        if (patch.classes == IGNORE).all():
            continue
        found = predict(net, patch.image, recipe.crop_px)[0].argmax(0)
        total += confusion(patch.classes, found, n)
    counts = torch.from_numpy(total.reshape(-1)).to(worker.device)
    if worker.processes > 1:
        torch.distributed.all_reduce(counts)
    return float(mean_iou(counts.cpu().numpy().astype(float)))
