"""Train the tissue network: seven sigmoids a pixel at 2 um/px from pixels at 1 um/px and label sets."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histome.classes import QC_CLASSES
from histome.datasets.tissue_fields import TissueField
from histome.datasets.tissue_labels import QUALITY_LABELS, TISSUE_LABELS
from histome.models.blended import predict_field
from histome.models.runtime import Predictor
from histome.training.checkpoint import CHECKPOINT, load_average, write_average
from histome.training.loop import Trainer, batches, flushed_subnormals, learning_rate, run
from histome.training.networks import on_device
from histome.training.tissue.crops import TissueSampler, upright
from histome.training.tissue.network import STRIDE, TissueNetwork
from histome.training.tissue.recipe import TissueRecipe

# Classes that hardly any label names: where a set only allows them, they are held back a little.
QUIET = {"VESSEL": 0.1, "BLOOD": 0.1}


def tissue_loss(logits: Tensor, codes: Tensor, table: tuple[Tensor, Tensor, Tensor], quiet: Tensor) -> Tensor:
    """Label-set loss of multilabel sigmoids, a mean over labeled pixels weighted by trust.

    With q_k = 1 - p_k: -log(1 - prod q_k over the allowed set) says that one of them is there, -log q_k that
    each class outside is not; the preferred part of the set gets the same term with its own weight.

    Parameters
    ----------
    logits : (N, 7, h, w) Tensor
        Of the classes.
    codes : (N, h, w) Tensor
        Rows of `table`.
    table : tuple of three Tensors
        That of `label_table`.
    quiet : (7,) Tensor
        Holds back classes that a set allows and nothing names.
    """
    allowed, preferred, weights = (part[codes] for part in table)
    log_q = -nn.functional.softplus(logits.movedim(1, -1))
    weight, preference = weights[..., 0], weights[..., 1]
    wrong = -(log_q * (1 - allowed)).sum(-1)
    others = -log_q * allowed * (1 - preferred)
    unnamed = (others * quiet).sum(-1) * (allowed.sum(-1) > 1)
    unlikely = 0.5 * others.sum(-1) * (preferred.sum(-1) > 0)
    loss = weight * (_nll_of_any(log_q, allowed) + wrong + unnamed)
    loss = loss + preference * (_nll_of_any(log_q, preferred) + unlikely)
    return loss.sum() / weight.sum().clamp_min(1.0)


def _nll_of_any(log_q: Tensor, members: Tensor) -> Tensor:
    """Negative log-likelihood that a member is present, -log(1 - prod of (1 - p)); 0 where there is none."""
    none_there = (log_q * members).sum(-1).clamp_max(-1e-6)
    return -torch.log(-torch.expm1(none_there)) * (members.sum(-1) > 0)


def disagreement(logits: Tensor, seen: Tensor, places: Tensor) -> Tensor:
    """How far two views of one place are from their mean, in nats a pixel.

    Kullback and Leibler's divergence of the mean from each view, summed over the classes: its gradient of a
    logit is what the view says less the mean.

    Parameters
    ----------
    logits : (2n, 7, h, w) Tensor
        Of n pairs of views, one after the other.
    seen : (2n, h, w) Tensor
        1 where a view shows the field.
    places : (n, 6) Tensor
        Where the views lie, as `TissueSampler.pair` gives it.
    """
    parts = []
    for k, (ax, ay, bx, by, turns, flip) in enumerate(places.tolist()):
        first = torch.cat([logits[2 * k], seen[2 * k, None].float()])
        second = upright(torch.cat([logits[2 * k + 1], seen[2 * k + 1, None].float()]), turns, flip)
        parts.append(
            torch.stack([_common(first, bx - ax, by - ay), _common(second, ax - bx, ay - by)]).flatten(2)
        )
    a, b = torch.cat(parts, 2)
    seen_twice = a[-1] * b[-1]
    mean = (torch.sigmoid(a[:-1]) + torch.sigmoid(b[:-1])).detach() / 2
    cross = nn.functional.binary_cross_entropy_with_logits
    apart = (cross(a[:-1], mean, reduction="none") + cross(b[:-1], mean, reduction="none")) / 2
    apart = apart - nn.functional.binary_cross_entropy(mean, mean, reduction="none")
    return (apart.sum(0) * seen_twice).sum() / seen_twice.sum().clamp_min(1.0)


def _common(planes: Tensor, right: int, down: int) -> Tensor:
    """The part of (c, h, w) that a view of the same size shares that lies `right` and `down` of it."""
    h, w = planes.shape[1:]
    return planes[:, max(0, down) : h + min(0, down), max(0, right) : w + min(0, right)]


def predict_tissue(net: nn.Module, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (7, h/2, w/2) of a whole field at 1 um/px, mirrored to a multiple of 64 px."""
    h, w = image.shape[:2]
    padded = np.pad(image, ((0, -h % 64), (0, -w % 64), (0, 0)), mode="symmetric")
    device = next(net.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        logits = net(torch.from_numpy(padded)[None].to(device)).float()
    return torch.sigmoid(logits)[0, :, : -(-h // STRIDE), : -(-w // STRIDE)].cpu().numpy()


def in_windows(network: Predictor) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return image at the card's mpp -> probabilities (classes, h/stride, w/stride), as a slide gets them."""
    return lambda image: predict_field(network, image).astype(np.float32) / np.float32(255)


class TissueTrainer(Trainer):
    """Trains the tissue network, from `start` if given; its encoder, which knows pictures, learns slower."""

    def __init__(
        self, recipe: TissueRecipe, folder: Path, device: str = "cpu", *, start: Path | None = None
    ) -> None:
        torch.manual_seed(recipe.seed)
        size = len(recipe.classes)
        net = TissueNetwork(pretrained=not recipe.smooth, smooth=recipe.smooth, classes=size)
        if start is not None and not (folder / CHECKPOINT).exists():
            net.load_state_dict(load_average(start))
        # Measured at 8 crops of 256 px on one thread: 0.75 s a step without norms, 0.96 s channels last.
        net.to(device) if recipe.smooth else on_device(net, device)
        encoder = [*net.stem.parameters(), *net.blocks.parameters()]
        decoder = [*net.up.parameters(), *net.head.parameters()]
        groups = [{"params": encoder, "factor": recipe.encoder_rate}, {"params": decoder, "factor": 1.0}]
        optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        super().__init__(net, optimizer, folder, device=device, ema=recipe.ema)
        self.recipe = recipe
        vocabulary = QUALITY_LABELS if recipe.classes == QC_CLASSES else TISSUE_LABELS
        allowed, preferred, weights = (torch.from_numpy(part).to(device) for part in vocabulary.table())
        self.table = (allowed, preferred, weights)
        self.quiet = torch.tensor([QUIET.get(name, 0.0) for name in recipe.classes], device=device)

    def update(self, batch: list[Tensor]) -> dict[str, float]:
        """One optimizer step on images and codes, of pairs also on what they say of the same place."""
        self.set_rate(learning_rate(self.step, self.recipe))
        image, codes, *views = (part.to(self.device, non_blocking=True) for part in batch)
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.net(image).float()
        loss = tissue_loss(logits, codes.long(), self.table, self.quiet)
        losses = {"loss": loss.item()}
        if views:
            apart = disagreement(logits, views[0], views[1])
            losses["apart"] = apart.item()
            loss = loss + self.recipe.consistency * apart
        self.optimizer.zero_grad()
        loss.backward()
        self.descend()
        return losses


@flushed_subnormals()
def train_tissue(
    recipe: TissueRecipe,
    fields: Sequence[TissueField],
    folder: Path,
    *,
    follow: Callable[[nn.Module], Mapping[str, float]] | None = None,
    every: int = 150,
    start: Path | None = None,
    device: str = "cpu",
) -> nn.Module:
    """Train until `recipe.steps`, resuming from `folder`; returns the averaged network.

    `follow(network) -> {name: number}` is measured every `every` steps (on tuning fields) and written with
    the loss to folder/log.csv; folder/checkpoint.pt is replaced then, and every 20 steps. Where the learning
    rate has fallen to 0, the averaged network is kept in folder/settled besides. `start` is a folder whose
    averaged network is where the run begins.
    """
    trainer = TissueTrainer(recipe, folder, device, start=start)
    trainer.net.train()
    ready = batches(TissueSampler(fields, recipe), trainer.step, recipe.steps, recipe.seed)

    def evaluate() -> Mapping[str, float]:
        if trainer.step in (*recipe.restarts, recipe.steps):
            write_average(trainer.averaged, folder / "settled")
        return follow(trainer.averaged.eval()) if follow else {}

    run(trainer, ready, recipe.steps, every=every, evaluate=evaluate, save_every=20, log=folder / "log.csv")
    return trainer.averaged.eval()
