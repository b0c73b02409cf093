"""Train the quality network: five classes a pixel at 8 um/px from pixels at 4 um/px, on drawn artifacts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histome.classes import QC_CLASSES
from histome.training.loop import Trainer, batches, flushed_subnormals, learning_rate, run
from histome.training.networks import UNet, on_device, scale_pixels
from histome.training.quality.crops import STRIDE, QualityRecipe, QualitySampler
from histome.training.quality.fields import CleanField

_PADDED_TO = 64
# Folds are one pixel in fifty: alike weighted, none was found after 1,700 steps.
WEIGHTS = {"TISSUE_ARTIFACT": 6.0, "MARKER": 2.0}


def quality_network(recipe: QualityRecipe) -> UNet:
    """The network of a recipe: a plain U-Net."""
    return UNet(recipe.widths, {"logits": len(QC_CLASSES)}, recipe.head_width)


class QualityExport(nn.Module):
    """The quality contract: uint8 (1, H, W, 3) -> probabilities (1, 5, H/2, W/2).

    Parameters
    ----------
    doubt : Mapping[str, float]
        What is taken from the logits of classes: by so much surer it must be to refuse tissue.
    """

    def __init__(self, net: nn.Module, doubt: Mapping[str, float]) -> None:
        super().__init__()
        self.net = net
        taken = torch.tensor([doubt.get(name, 0.0) for name in QC_CLASSES])
        self.register_buffer("taken", taken[None, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Softmax."""
        return torch.softmax(self.net(scale_pixels(image))["logits"] - self.taken, dim=1)


def quality_loss(logits: Tensor, codes: Tensor) -> Tensor:
    """Cross-entropy of the labeled pixels, and 1 less the mean Dice of the classes that are labeled.

    Parameters
    ----------
    logits : (N, 5, h, w) Tensor
        Of the classes.
    codes : (N, h, w) Tensor
        k + 1 of the k-th class, 0 where nothing is labeled.
    """
    weight = torch.tensor([WEIGHTS.get(name, 1.0) for name in QC_CLASSES], device=logits.device)
    entropy = nn.functional.cross_entropy(logits, codes - 1, weight, ignore_index=-1)
    labeled = (codes > 0)[:, None]
    truth = nn.functional.one_hot(codes, len(QC_CLASSES) + 1)[..., 1:].movedim(-1, 1)
    said = torch.softmax(logits, dim=1) * labeled
    both, size = (said * truth).sum((0, 2, 3)), (said + truth).sum((0, 2, 3))
    there = truth.sum((0, 2, 3)) > 0
    dice = (2 * both + 1) / (size + 1)
    return entropy + 0.5 * (1 - dice[there].mean())


def predict_quality(net: nn.Module, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (5, h/2, w/2) of a whole field at 4 um/px, mirrored to a multiple of 64 px."""
    h, w = image.shape[:2]
    padded = np.pad(image, ((0, -h % _PADDED_TO), (0, -w % _PADDED_TO), (0, 0)), mode="symmetric")
    with torch.inference_mode():
        logits = net(scale_pixels(torch.from_numpy(padded)[None]))["logits"][0].numpy()
    return logits[:, : -(-h // STRIDE), : -(-w // STRIDE)]


class QualityTrainer(Trainer):
    """Trains the quality network."""

    def __init__(self, recipe: QualityRecipe, folder: Path, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        net = quality_network(recipe)
        on_device(net, device)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=recipe.weight_decay)
        super().__init__(net, optimizer, folder, device=device, ema=recipe.ema)
        self.recipe = recipe

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One optimizer step on images and codes."""
        self.set_rate(learning_rate(self.step, self.recipe))
        image, codes = (part.to(self.device) for part in batch)
        pixels = scale_pixels(image).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.net(pixels)["logits"].float()
        loss = quality_loss(logits, codes.long())
        self.optimizer.zero_grad()
        loss.backward()
        self.descend()
        return {"loss": loss.item()}


@flushed_subnormals()
def train_quality(
    recipe: QualityRecipe,
    fields: Sequence[CleanField],
    folder: Path,
    *,
    follow: Callable[[nn.Module], Mapping[str, float]],
    every: int = 500,
) -> nn.Module:
    """Train until `recipe.steps`, resuming from `folder`; returns the averaged network.

    `follow(network) -> {name: number}` is measured every `every` steps and written with the loss to
    folder/log.csv; folder/checkpoint.pt is replaced then, and every 100 steps.
    """
    trainer = QualityTrainer(recipe, folder)
    trainer.net.train()
    ready = batches(QualitySampler(fields, recipe), trainer.step, recipe.steps, recipe.seed)

    def evaluate() -> Mapping[str, float]:
        return follow(trainer.averaged.eval())

    run(trainer, ready, recipe.steps, every=every, evaluate=evaluate, save_every=100, log=folder / "log.csv")
    return trainer.averaged.eval()
