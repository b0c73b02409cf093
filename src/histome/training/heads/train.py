"""Train a head on an encoder's maps: batches of any sampler, a loss, checkpoints of the head alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histome.training.heads.lora import merge_lora
from histome.training.heads.network import EncoderHead
from histome.training.loop import BatchSampler, Trainer, batches, flushed_subnormals, learning_rate, run
from histome.training.networks import on_device

# Logits and the parts of a batch after its image -> the losses by name, to be summed.
HeadLoss = Callable[[Tensor, list[Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class HeadRecipe:
    """All that decides how a head is trained."""

    steps: int = 1000
    decay_steps: int = 300
    restarts: tuple[int, ...] = ()
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.99
    seed: int = 1
    width: int = 48


class HeadTrainer(Trainer):
    """Trains what a network on an encoder learns."""

    def __init__(
        self, model: EncoderHead, recipe: HeadRecipe, loss: HeadLoss, folder: Path, *, device: str = "cpu"
    ) -> None:
        on_device(model, device)
        learned = model.learned
        optimizer = torch.optim.AdamW(learned.parameters(), weight_decay=recipe.weight_decay)
        settings = {"encoder": model.maps.name, "lora": model.maps.lora}
        super().__init__(learned, optimizer, folder, device=device, ema=recipe.ema, settings=settings)
        self.model, self.recipe, self.loss = model, recipe, loss

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One optimizer step on images and what is known of them."""
        self.set_rate(learning_rate(self.step, self.recipe))
        image, *known = (part.to(self.device, non_blocking=True) for part in batch)
        logits = self.model.of_pixels(image.permute(0, 3, 1, 2).float())
        losses = self.loss(logits, known)
        self.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.descend()
        return {name: loss.item() for name, loss in losses.items()}


@flushed_subnormals()
def train_head(
    model: EncoderHead,
    sampler: BatchSampler[Any],
    loss: HeadLoss,
    folder: Path,
    *,
    recipe: HeadRecipe,
    device: str = "cpu",
    follow: Callable[[EncoderHead], Mapping[str, float]] | None = None,
) -> None:
    """Train until `recipe.steps`, resuming from `folder`; the model then has the averaged head, LoRA merged.

    Writes folder/checkpoint.pt every 20 steps, and a line of folder/log.csv every 250: losses, and what
    `follow` says of the averaged model.
    """
    trainer = HeadTrainer(model, recipe, loss, folder, device=device)
    trainer.net.train()
    ready = batches(sampler, trainer.step, recipe.steps, recipe.seed)

    def evaluate() -> Mapping[str, float]:
        if follow is None:
            return {}
        mine = {name: value.clone() for name, value in trainer.net.state_dict().items()}
        trainer.net.load_state_dict(trainer.averaged.state_dict())
        scores = follow(model.eval())
        trainer.net.load_state_dict(mine)
        trainer.net.train()
        return scores

    run(trainer, ready, recipe.steps, every=250, evaluate=evaluate, save_every=20, log=folder / "log.csv")
    trainer.net.load_state_dict(trainer.averaged.state_dict())
    merge_lora(model.maps)
    model.eval()


def set_dice_loss(probability: Tensor, member: Tensor, weight: Tensor) -> Tensor:
    """1 less the mean Dice of the classes that some pixel is labeled as alone.

    Parameters
    ----------
    probability, member : (N, C, H, W) Tensor
        Of the classes; and 1 for the classes that a pixel's label allows.
    weight : (N, H, W) Tensor
        0 where nothing is labeled. Pixels of which the label allows several classes do not count.
    """
    counted = (weight > 0) & (member.sum(1) == 1)
    p, truth = (part.movedim(1, -1)[counted] for part in (probability, member.float()))
    there = truth.sum(0) > 0
    if not there.any():
        return probability.sum() * 0
    dice = (2 * (p * truth).sum(0) + 1) / (p.sum(0) + truth.sum(0) + 1)
    return 1 - dice[there].mean()
