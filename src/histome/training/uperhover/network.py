"""UperHoVer: a vision transformer with two UperNet decoders, classes and HV maps (arXiv:2606.17702).

Four taps of the encoder become maps at four scales; each decoder (pyramid pooling and a feature pyramid, Xiao
et al. 2018, arXiv:1807.10221) has weights of its own.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histome.classes import PANNUKE_CLASSES
from histome.errors import UsageError
from histome.training.uperhover.encoder import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    freeze_unread,
    tap_indices,
)

PIXEL_CLASSES = ("background", *PANNUKE_CLASSES)
IGNORE = 255


def _conv(a: int, b: int, size: int) -> nn.Sequential:
    """Convolution, group norm (no batch statistics: batch size and devices change nothing), ReLU."""
    groups = next((g for g in (8, 4, 2) if b % g == 0 and b > g), 1)
    return nn.Sequential(
        nn.Conv2d(a, b, size, padding=size // 2, bias=False), nn.GroupNorm(groups, b), nn.ReLU(inplace=True)
    )


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class UperNetDecoder(nn.Module):
    """Pyramid pooling on the coarsest map, a feature pyramid over all, one prediction at the finest.

    Parameters
    ----------
    channels
        Of the maps, finest first.
    hidden, outputs
        Channels inside and of the prediction.
    """

    POOLS = (1, 2, 3, 6)

    def __init__(self, channels: Sequence[int], hidden: int, outputs: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(_conv(channels[-1], hidden, 1) for _ in self.POOLS)
        self.top = _conv(channels[-1] + len(self.POOLS) * hidden, hidden, 3)
        self.laterals = nn.ModuleList(_conv(c, hidden, 1) for c in channels[:-1])
        self.smooth = nn.ModuleList(_conv(hidden, hidden, 3) for _ in channels[:-1])
        self.fuse = _conv(len(channels) * hidden, hidden, 3)
        self.predict = nn.Conv2d(hidden, outputs, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> (N, outputs, h, w) at the finest one's size."""
        last = maps[-1]
        pooled = [
            _resize(conv(pool(last, n)), last.shape[-2:])
            for conv, n in zip(self.pools, self.POOLS, strict=True)
        ]
        levels = [self.top(torch.cat([last, *pooled], 1))]
        for lateral, x in zip(reversed(self.laterals), reversed(maps[:-1]), strict=True):
            levels.insert(0, lateral(x) + _resize(levels[0], x.shape[-2:]))
        smoothed = [conv(x) for conv, x in zip(self.smooth, levels, strict=False)] + [levels[-1]]
        fine = levels[0].shape[-2:]
        return self.predict(self.fuse(torch.cat([_resize(x, fine) for x in smoothed], 1)))


def pool(x: Tensor, n: int) -> Tensor:
    """Adaptive average pooling to n x n as two products: what ONNX has no operator for."""
    rows, cols = (_pool_matrix(side, n, x) for side in x.shape[-2:])
    return rows @ x @ cols.T


def _pool_matrix(side: int, n: int, like: Tensor) -> Tensor:
    matrix = torch.zeros(n, side, dtype=like.dtype, device=like.device)
    for k in range(n):
        first, last = k * side // n, -(-(k + 1) * side // n)
        matrix[k, first:last] = 1 / (last - first)
    return matrix


class UperHoVer(nn.Module):
    """Class logits and HV maps of H&E pixels.

    Parameters
    ----------
    encoder
        A timm ViT, `PlainViT` or `EfficientNetLite`; what no tap reads of it is frozen, see
        `encoder.freeze_unread`.
    channels, strides
        Channels of the four maps, and input pixels a cell of each.
    hidden
        Channels inside the decoders.
    classes
        With background.
    taps
        Blocks that are read: 4, 2 (at half and at the whole depth, two maps each) or 1 (the last, all four).
    hv
        Whether there is a decoder of HV maps; without one they are 0.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: Sequence[int] = (256, 512, 1024, 2048),
        strides: Sequence[int] = (4, 8, 16, 32),
        hidden: int = 768,
        classes: int = len(PIXEL_CLASSES),
        taps: int = 4,
        hv: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.strides = tuple(strides)
        self.taps = tap_indices(len(cast(nn.ModuleList, encoder.blocks)), taps)
        freeze_unread(encoder, sorted(set(self.taps)))
        self.project = nn.ModuleList(
            nn.Conv2d(width, c, 1) for width, c in zip(_widths(encoder, self.taps), channels, strict=True)
        )
        self.semantic = UperNetDecoder(channels, hidden, classes)
        self.hv = UperNetDecoder(channels, hidden, 2) if hv else None

    @property
    def patch_px(self) -> int:
        """Side of the square of pixels that is one token; inputs are multiples of it."""
        return int(cast(Any, self.encoder).patch_embed.patch_size[0])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) normalized pixels -> (N, classes, H, W) logits, (N, 2, H, W) HV maps."""
        size = x.shape[-2:]
        read = sorted(set(self.taps))
        taps = cast(Any, self.encoder).forward_intermediates(
            x, indices=read, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        maps = [
            _resize(project(taps[read.index(tap)]), [max(1, side // stride) for side in size])
            for project, tap, stride in zip(self.project, self.taps, self.strides, strict=True)
        ]
        logits = _resize(self.semantic(maps), size)
        if self.hv is None:
            return logits, torch.zeros_like(logits[:, :2])
        return logits, _resize(self.hv(maps), size)


def _widths(encoder: nn.Module, taps: Sequence[int]) -> list[int]:
    """Channels of the map after each tap: of a transformer all the same."""
    own = cast("Sequence[int] | None", getattr(encoder, "embed_dims", None))
    return [own[tap] if own else cast(int, encoder.embed_dim) for tap in taps]


def imagenet_pixels(image: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W), ImageNet mean and deviation."""
    mean, std = (torch.tensor(v, device=image.device) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((image.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def semantic_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of (N, classes, H, W) with (N, H, W) codes; 255 is ignored; 0 where all are."""
    loss = F.cross_entropy(logits.float(), classes.long(), ignore_index=IGNORE, reduction="sum")
    return loss / (classes != IGNORE).sum().clamp(min=1)


def hv_loss(predicted: Tensor, hv: Tensor, foreground: Tensor) -> Tensor:
    """MSE + 2 MSGE of the HV maps over the foreground; exactly 0 without foreground.

    MSE: squared error of both maps; MSGE: of the x gradient of the horizontal map and the y gradient of the
    vertical one; each summed over the foreground and divided by its number of pixels.

    Parameters
    ----------
    predicted, hv
        (N, 2, H, W).
    foreground
        (N, H, W) bool.
    """
    weight = foreground[:, None].float()
    pixels = weight.sum().clamp(min=1.0)
    error = predicted.float() - hv.float()
    mse = (error.square() * weight).sum() / pixels
    msge = (_gradients(error).square() * weight).sum() / pixels
    return mse + 2 * msge


def _gradients(maps: Tensor) -> Tensor:
    """d/dx of channel 0 and d/dy of channel 1, HoVer-Net's 5 x 5 kernel x / (x^2 + y^2), per pixel."""
    at = torch.arange(-2.0, 3.0, device=maps.device)
    kernel = at[None] / (at[None].square() + at[:, None].square()).clamp(min=1e-6)
    kernel = kernel / (kernel * at[None]).sum()
    kernels = torch.stack([kernel, kernel.T])[:, None].to(maps.dtype)
    return F.conv2d(F.pad(maps, (2, 2, 2, 2), mode="replicate"), kernels, groups=2)


def uperhover_loss(out: tuple[Tensor, Tensor], classes: Tensor, hv: Tensor, foreground: Tensor) -> Tensor:
    """L_sem + 1.0 L_hv."""
    return semantic_loss(out[0], classes) + hv_loss(out[1], hv, foreground)


class FeatheredExport(nn.Module):
    """uint8 window in; class probabilities and HV maps out, blended from overlapping tiles.

    The tiles lie half a tile apart and each is weighed by a raised cosine in x and y: the weights of the four
    that cover a pixel add up to 1, so there is no seam, and windows whose origins lie on one lattice of half
    tiles give the same numbers wherever all four tiles fit into both.

    Parameters
    ----------
    net
        A trained `UperHoVer`.
    tile_px
        A multiple of twice the encoder's patch; the window is a multiple of half of it.
    batch
        Tiles that go through the network at once.
    """

    def __init__(self, net: UperHoVer, tile_px: int = 224, *, batch: int = 64) -> None:
        super().__init__()
        if tile_px % (2 * net.patch_px):
            raise UsageError(
                f"tile of {tile_px} px: give a multiple of {2 * net.patch_px} (and of the stride)"
            )
        self.net, self.tile_px, self.batch = net, tile_px, batch
        ramp = torch.sin(torch.pi * (torch.arange(tile_px) + 0.5) / tile_px).square()
        self.register_buffer("weight", ramp[:, None] * ramp[None], persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(1, H, W, 3) -> (1, classes, H, W) probabilities, (1, 2, H, W) HV maps."""
        tiles = _half_steps(image[0], self.tile_px // 2)
        rows, cols = tiles.shape[:2]
        parts = []
        for some in tiles.flatten(0, 1).split(self.batch):
            logits, hv = self.net(imagenet_pixels(some))
            parts.append(torch.cat([logits.float().softmax(1), hv.float()], 1))
        seen = torch.cat(parts).unflatten(0, (rows, cols))
        weight = cast(Tensor, self.weight)
        total = _overlap_add(seen * weight) / _overlap_add(weight.expand(rows, cols, 1, -1, -1))
        return total[None, :-2], total[None, -2:]


def _half_steps(image: Tensor, half: int) -> Tensor:
    """(H, W, 3) -> (rows, cols, 2 half, 2 half, 3) tiles half a tile apart."""
    blocks = image.reshape(image.shape[0] // half, half, image.shape[1] // half, half, 3).transpose(1, 2)
    bands = torch.cat([blocks[:-1], blocks[1:]], 2)
    return torch.cat([bands[:, :-1], bands[:, 1:]], 3)


def _overlap_add(tiles: Tensor) -> Tensor:
    """(rows, cols, k, t, t) tiles half a tile apart -> (k, (rows + 1) t / 2, (cols + 1) t / 2) sums."""
    half = tiles.shape[-1] // 2
    upper, lower = tiles[..., :half, :], tiles[..., half:, :]
    bands = F.pad(upper, (0, 0) * 4 + (0, 1)) + F.pad(lower, (0, 0) * 4 + (1, 0))
    left, right = bands[..., :half], bands[..., half:]
    cells = F.pad(left, (0, 0) * 3 + (0, 1)) + F.pad(right, (0, 0) * 3 + (1, 0))
    return cells.permute(2, 0, 3, 1, 4).flatten(1, 2).flatten(2, 3)
