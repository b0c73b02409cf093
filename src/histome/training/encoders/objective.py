"""Self-distillation: a student predicts an averaged teacher's soft assignment to prototypes.

The dense term (iBOT, arXiv:2111.07832) asks for the teacher's assignment at positions that the student does
not see, and at those that it does. Assignments are balanced over the prototypes (Sinkhorn-Knopp,
arXiv:2006.09882), so that they can not all become one. Balance alone let the channels agree on three
directions (300 steps, participation ratio 2.9 of 736; 21 before the first). Two terms hold against it: the
correlation of the channels (arXiv:2105.04906) and the pixels of each position in gray, normalized
(arXiv:2111.06377), which keep the outlines of nuclei in the features and know no color.

The pooled term (DINO, arXiv:2104.14294) compares the bottleneck of whole crops. See `train.TermWeights`
for what each is worth.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histome.training.encoders.crops import CELL_PX
from histome.training.encoders.network import PlainEncoder

TEACHER_TEMPERATURE, STUDENT_TEMPERATURE = 0.04, 0.1
DENSE_PX = 8
_BALANCED_ROUNDS = 3


class PrototypeHead(nn.Module):
    """Features -> cosine with each prototype, through a small perceptron (DINO's head)."""

    def __init__(self, in_channels: int, hidden: int, prototypes: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(in_channels, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()),
            nn.Linear(hidden, bottleneck),
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels) -> (N, prototypes), -1..1."""
        return F.linear(F.normalize(self.layers(x), dim=-1), F.normalize(self.prototypes, dim=-1))


class Distilled(nn.Module):
    """An encoder with heads: prototypes on its pooled and on its dense features, pixels on strides 8 to 32.

    Pixels in gray, normalized patch by patch, can not say which slide they are of: they alone teach stride 32
    where the pooled term is off.
    """

    def __init__(self, encoder: PlainEncoder, prototypes: int = 512) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooled_head = PrototypeHead(encoder.widths[-1], 512, prototypes)
        self.dense_head = PrototypeHead(sum(encoder.widths[2:4]), 256, prototypes)
        self.detail_head = nn.Linear(sum(encoder.widths[2:]), DENSE_PX**2)


def pooled(maps: list[Tensor]) -> Tensor:
    """Mean of the bottleneck: (N, widths[-1])."""
    return maps[-1].float().mean((2, 3))


def dense(maps: list[Tensor], coarsest: int = 16) -> Tensor:
    """Features of strides 8 to `coarsest`, side by side on the grid of stride 8: (N, H / 8, W / 8, C)."""
    parts = [maps[2].float()]
    for above, m in enumerate(maps[3:], start=1):
        if DENSE_PX << above <= coarsest:
            parts.append(F.interpolate(m.float(), scale_factor=float(1 << above), mode="nearest"))
    return torch.cat(parts, 1).permute(0, 2, 3, 1)


@torch.no_grad()
def balanced(scores: Tensor, temperature: float = TEACHER_TEMPERATURE) -> Tensor:
    """Sinkhorn-Knopp: (N, K) scores -> (N, K), rows sum to 1, columns nearly to N / K."""
    q = torch.exp((scores - scores.max()) / temperature)
    for _ in range(_BALANCED_ROUNDS):
        q = q / q.sum(0, keepdim=True).clamp(min=1e-12)
        q = q / q.sum(1, keepdim=True).clamp(min=1e-12)
    return q


def hide(x: Tensor, hidden: Tensor) -> Tensor:
    """(N, 3, H, W) pixels with the hidden cells (N, H / 16, W / 16) filled with the image's mean color."""
    mask = hidden.repeat_interleave(CELL_PX, 1).repeat_interleave(CELL_PX, 2)[:, None]
    return torch.where(mask, x.mean((2, 3), keepdim=True), x)


def cut(features: Tensor, corner: Tensor, side: int) -> Tensor:
    """The student's (N, side, side, C) of the teacher's (N, h, w, C) features; `corner` in cells of 16 px."""
    step = CELL_PX // DENSE_PX
    corners = (corner * step).tolist()
    parts = [f[y : y + side, x : x + side] for f, (y, x) in zip(features, corners, strict=True)]
    return torch.stack(parts)


def cross_entropy(target: Tensor, scores: Tensor) -> Tensor:
    """(..., K) assignment and student scores -> (...) nats."""
    return -(target * F.log_softmax(scores / STUDENT_TEMPERATURE, dim=-1)).sum(-1)


def crops_loss(target: Tensor, whole: Tensor, local: Tensor) -> Tensor:
    """DINO: each global target (2n, K) against the other global crop (2n, K) and all local ones (k n, K)."""
    n = len(target) // 2
    own = target.view(2, n, -1)
    others = cross_entropy(own.flip(0), whole.view(2, n, -1))
    # Local crops of a field lie side by side in the batch's parts: (locals, n, K).
    parts = cross_entropy(own[:, None], local.view(1, -1, n, local.shape[-1]))
    return torch.cat([others.flatten(), parts.flatten()]).mean()


class DenseLoss(NamedTuple):
    """Mean cross entropy where the student sees nothing, and where it sees."""

    hidden: Tensor
    seen: Tensor


def dense_loss(target: Tensor, scores: Tensor, hidden: Tensor) -> DenseLoss:
    """The term of iBOT: assignments and scores (N, h, w, K), hidden cells (N, h / 2, w / 2) of 16 px."""
    step = CELL_PX // DENSE_PX
    mask = hidden.repeat_interleave(step, 1).repeat_interleave(step, 2).float()
    loss = cross_entropy(target, scores)
    return DenseLoss(_mean(loss, mask), _mean(loss, 1 - mask))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


def spread_loss(features: Tensor) -> Tensor:
    """KoLeo (arXiv:1806.03198): minus the mean log distance of each unit feature (N, C) to its nearest."""
    unit = F.normalize(features, dim=-1)
    with torch.no_grad():
        nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(1)
    return -torch.log((unit - unit[nearest]).norm(dim=1) + 1e-6).mean()


def correlation(features: Tensor) -> Tensor:
    """Sum of the squared correlations of each channel of (N, C, h, w) with the others, mean over channels.

    C / (1 + this) is the participation ratio: the number of directions that the channels span.
    """
    z = features.float().movedim(1, -1).flatten(0, -2)
    z = z - z.mean(0)
    z = z / (z.square().mean(0) + 1e-4).sqrt()
    c = z.T @ z / len(z)
    return (c.square().sum() - c.diagonal().square().sum()) / len(c)


def gray_patches(x: Tensor) -> Tensor:
    """(N, 3, H, W) normalized pixels -> (N, H / 8, W / 8, 64): gray, of each patch of 8 px mean 0, std 1.

    A flat patch is nearly 0: six gray levels are added to its std.
    """
    gray = x.mean(1).unfold(1, DENSE_PX, DENSE_PX).unfold(2, DENSE_PX, DENSE_PX).flatten(3)
    gray = gray - gray.mean(-1, keepdim=True)
    return gray / (gray.std(-1, keepdim=True) + 0.1)


def detail_loss(found: Tensor, pixels: Tensor, corner: Tensor) -> Tensor:
    """Mean squared error of (N, h, w, 64) against `gray_patches` of the teacher's pixels (N, 3, H, W)."""
    return F.mse_loss(found, cut(gray_patches(pixels), corner, found.shape[1]))


def entropy(assignment: Tensor) -> float:
    """Mean entropy of the rows of (N, K), in nats."""
    return float(-(assignment * torch.log(assignment.clamp(min=1e-12))).sum(-1).mean())


def feature_std(features: Tensor) -> float:
    """Spread of unit features (N, C): 1 = as on a whole sphere, 0 = all the same."""
    unit = F.normalize(features.detach().flatten(0, -2), dim=-1)
    return float(unit.std(0).mean() * unit.shape[1] ** 0.5)
