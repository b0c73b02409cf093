"""A tissue model that is a head on an encoder's maps."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from histome.classes import QC_CLASSES
from histome.datasets.tissue_fields import TissueField
from histome.datasets.tissue_labels import QUALITY_LABELS, TISSUE_LABELS
from histome.training.heads.maps import FrozenMaps
from histome.training.heads.network import OnEncoder
from histome.training.heads.train import HeadRecipe, set_dice_loss, train_head
from histome.training.tissue.crops import TissueSampler
from histome.training.tissue.recipe import TissueRecipe
from histome.training.tissue.train import QUIET, tissue_loss


def train_tissue_head(
    recipe: TissueRecipe,
    fields: Sequence[TissueField],
    folder: Path,
    maps: FrozenMaps,
    *,
    follow: Callable[[nn.Module], Mapping[str, float]] | None = None,
    device: str = "cpu",
) -> OnEncoder:
    """Train a head as the tissue network is trained, resuming from `folder`; returns it on the CPU."""
    vocabulary = QUALITY_LABELS if recipe.classes == QC_CLASSES else TISSUE_LABELS
    table = [torch.from_numpy(part).to(device) for part in vocabulary.table()]
    quiet = torch.tensor([QUIET.get(name, 0.0) for name in recipe.classes], device=device)
    like = HeadRecipe(
        steps=recipe.steps,
        decay_steps=recipe.decay_steps,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        ema=recipe.ema,
        seed=recipe.seed,
    )
    model = OnEncoder(maps, len(recipe.classes))
    nn.init.constant_(model.heads["logits"].bias, -2.0)  # type: ignore[arg-type]
    loss = partial(map_losses, table=table, quiet=quiet)
    sampler = TissueSampler(fields, recipe)
    train_head(model, sampler, loss, folder, recipe=like, device=device, follow=follow)
    return model.cpu()


def map_losses(
    logits: Tensor, known: list[Tensor], *, table: Sequence[Tensor], quiet: Tensor
) -> dict[str, Tensor]:
    """Cross-entropy of label sets, and Dice; `known` holds the label codes of the pixels."""
    codes, (allowed, preferred, weights) = known[0].long(), table
    member, weight = allowed[codes].movedim(-1, 1), weights[codes][..., 0]
    return {
        "sets": tissue_loss(logits, codes, (allowed, preferred, weights), quiet),
        "dice": set_dice_loss(torch.sigmoid(logits), member, weight),
    }
