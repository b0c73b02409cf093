"""Self-distillation: a student sees parts and says what its own average says of the whole (DINO, DINOv2).

Losses, heads and masked transformer are those of lightly: DINO (arXiv:2104.14294), iBOT's of hidden patches
and KoLeo's of distance, as DINOv2 (arXiv:2304.07193) joins them.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from histome.encoders.card import IMAGENET_MEAN, IMAGENET_STD
from histome.encoders.vit import import_without_torchvision, timm_encoder
from histome.encoders.weights import load_into
from histome.errors import UsageError

_HIDDEN, _BOTTLENECK = 2048, 256


class Said(NamedTuple):
    """What a branch says: of large views (2n, k), small ones, hidden patches; class tokens (2n, d)."""

    whole: Tensor
    local: Tensor
    patches: Tensor
    tokens: Tensor


def lightly(part: str) -> Any:
    """Return a module of lightly; raises UsageError where it is not installed."""
    try:
        return import_without_torchvision(f"lightly.{part}")
    except ImportError as error:
        raise UsageError(
            f"lightly does not import ({error}); install it: pip install 'histome[pretrain]'"
        ) from error


def transformer(model: str, side_px: int) -> Any:
    """Return a vision transformer of timm with a class token, its weights random."""
    made = timm_encoder(model_name=model, img_size=side_px)
    if getattr(made, "cls_token", None) is None or getattr(made, "pos_embed", None) is None:
        raise UsageError(f"{model}: pretraining takes vision transformers of timm with a class token")
    return made


class Branch(nn.Module):
    """A transformer with the heads of self-distillation: the student, and its average, the teacher.

    Parameters
    ----------
    model : str
        A vision transformer of timm.
    side_px : int
        Of the large views.
    prototypes : int
        Length of what is said of a view or a patch.
    patches : bool
        Is something said of hidden patches too.
    frozen : int
        Steps in which the last layer of the heads does not learn.
    """

    def __init__(self, model: str, side_px: int, prototypes: int, *, patches: bool, frozen: int) -> None:
        super().__init__()
        masked, heads = lightly("models.modules"), lightly("models.modules.heads")
        vit = transformer(model, side_px)
        self.backbone = masked.MaskedVisionTransformerTIMM(
            vit, weight_initialization="skip", pos_embed_initialization="skip"
        )
        self.backbone.mask_token.requires_grad_(patches)

        def head() -> nn.Module:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch.nn.utils.weight_norm
                sizes = (vit.embed_dim, _HIDDEN, _BOTTLENECK, prototypes)
                return heads.DINOProjectionHead(*sizes, freeze_last_layer=frozen)

        self.head = head()
        self.patch_head = head() if patches else None

    def forward(self, whole: Tensor, local: Tensor, hidden: Tensor, mask: bool = True) -> Said:
        """Say of views, uint8; `hidden` are the patches asked about, and not seen where `mask`."""
        vit, flat = self.backbone.vit, hidden.flatten(1)
        shown = nn.functional.pad(flat, (vit.num_prefix_tokens, 0)) if mask and self.patch_head else None
        tokens = self.backbone.encode(normalized(whole), mask=shown)
        first, patches = tokens[:, 0], tokens[:, vit.num_prefix_tokens :][flat]
        return Said(
            whole=self.head(first),
            local=self.head(self.backbone.encode(normalized(local))[:, 0]) if len(local) else first[:0],
            patches=self.patch_head(patches) if self.patch_head else patches,
            tokens=first,
        )

    def free_or_freeze(self, step: int) -> None:
        """Forget the gradients of the heads' last layers in the first steps."""
        heads: tuple[Any, ...] = (self.head, self.patch_head)
        for head in heads:
            if head is not None:
                head.cancel_last_layer_gradients(step)


def normalized(views: Tensor) -> Tensor:
    """uint8 (n, h, w, 3) -> float (n, 3, h, w) with ImageNet's mean and deviation."""
    mean, std = (
        torch.tensor(given, device=views.device).view(1, 3, 1, 1) for given in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (views.permute(0, 3, 1, 2).float() / 255 - mean) / std


class Losses(nn.Module):
    """The terms of the loss.

    What the teacher says of a batch is balanced (Sinkhorn-Knopp, as DINOv2 does): every prototype is said of
    something. With running centers in its place (DINO) all tiles came to be the same to it within 100 steps.

    Parameters
    ----------
    prototypes : int
        Length of what is said.
    patches, spread : float
        Weights of the terms besides DINO's: of hidden patches, of the distance between tiles.
    """

    def __init__(self, prototypes: int, patches: float, spread: float) -> None:
        super().__init__()
        found = lightly("loss")
        self.weights = {"views": 1.0, "patches": patches, "spread": spread}
        # 1: their running centers stay at 0.
        self.views = found.DINOLoss(prototypes, center_momentum=1.0)
        self.patches = found.IBOTPatchLoss(prototypes, center_momentum=1.0)
        self.spread, self._sinkhorn = found.KoLeoLoss(), lightly("loss.swav_loss").sinkhorn

    def balanced(self, said: Tensor, temperature: float) -> Tensor:
        """Balanced shares as what a softmax of `temperature` makes them of; of all processes' batches."""
        shares = self._sinkhorn(said.float(), epsilon=temperature, gather_distributed=True)
        return temperature * torch.log(shares.clamp(min=1e-12))

    def forward(self, student: Said, teacher: Said, hidden: Tensor, temperature: float) -> dict[str, Tensor]:
        """Each term that counts, not yet weighted."""
        seen = [*student.whole.chunk(2), *student.local.split(len(student.whole) // 2)]
        seen = [one for one in seen if len(one)]
        whole = self.balanced(teacher.whole, temperature).chunk(2)
        losses = {"views": self.views(list(whole), seen, teacher_temp=temperature)}
        if self.weights["patches"]:
            patches = self.balanced(teacher.patches, temperature)
            losses["patches"] = self.patches(patches, student.patches, hidden, temperature)
        if self.weights["spread"]:
            losses["spread"] = torch.stack([self.spread(one) for one in student.tokens.chunk(2)]).mean()
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum, each term times its weight."""
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()


def begin_with(branch: Branch, weights: Path | None) -> None:
    """Give a branch's transformer the weights of a file, where there is one."""
    if weights is not None:
        load_into(branch.backbone.vit, weights)


def likeness(tokens: Tensor) -> float:
    """Mean cosine between the class tokens of different tiles: 1 where all are the same, a collapse."""
    unit = nn.functional.normalize(tokens.float(), dim=1)
    n = len(unit)
    return float((unit.sum(0).square().sum() - n) / (n * (n - 1)))
