"""UperHoVer: a vision transformer with two UperNet decoders, classes and HV maps (arXiv:2606.17702).

Four taps of the encoder become maps at four scales; each decoder (pyramid pooling and a feature pyramid, Xiao
et al. 2018, arXiv:1807.10221) has weights of its own. Any encoder with timm's `blocks`, `embed_dim`,
`patch_embed.patch_size` and `forward_intermediates` fits; `PlainViT` is one in plain PyTorch.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histome.classes import PANNUKE_CLASSES
from histome.errors import UsageError

PIXEL_CLASSES = ("background", *PANNUKE_CLASSES)
IGNORE = 255
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Block(nn.Module):
    """Attention and MLP, normalized before each (Dosovitskiy et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same shape."""
        n, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
        x = x + self.proj(mixed)
        return x + self.mlp(self.norm2(x))


class _PatchEmbed(nn.Module):
    """3x3 convolutions of stride 2, then one: early convolutions train faster (Xiao 2021, 2106.14881)."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.patch_size = (patch_size, patch_size)
        halvings = patch_size.bit_length() - 1
        channels = [3, *(max(16, width >> (halvings - k)) for k in range(halvings)), width]
        steps = []
        for a, b in pairwise(channels[:-1]):
            steps += [nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.GroupNorm(8, b), nn.GELU()]
        self.proj = nn.Sequential(*steps, nn.Conv2d(channels[-2], width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, width, H / patch, W / patch)."""
        return self.proj(x)


class PlainViT(nn.Module):
    """A plain vision transformer with fixed sine positions: any image size that the patch divides.

    Parameters
    ----------
    width, depth, heads
        Of the transformer; the width is a multiple of 8.
    patch_size
        Pixels a token, a power of two.
    """

    def __init__(self, width: int = 192, depth: int = 8, heads: int = 3, patch_size: int = 8) -> None:
        super().__init__()
        if patch_size < 2 or patch_size & (patch_size - 1) or width % (4 * heads) or width % 8:
            raise UsageError(
                f"encoder: patch_size {patch_size} must be a power of two, width {width} a multiple of 8 "
                f"and of 4 x {heads} heads"
            )
        self.embed_dim = width
        self.patch_embed = _PatchEmbed(patch_size, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: Sequence[int],
        *,
        norm: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = True,
    ) -> list[Tensor]:
        """As timm's: the maps (N, width, h, w) after the blocks of `indices`."""
        if norm or output_fmt != "NCHW" or not intermediates_only:
            raise NotImplementedError("only the maps, not normalized")
        x = self.patch_embed(x)
        height, width = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2) + _positions(height, width, self.embed_dim, x)
        maps = []
        for k, block in enumerate(self.blocks):
            tokens = block(tokens)
            if k in indices:
                maps.append(tokens.transpose(1, 2).unflatten(2, (height, width)))
        return maps


def _positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """(1, height * width, channels) sines and cosines of row and column."""
    rate = 100.0 ** -(torch.arange(channels // 4, device=like.device) / (channels // 4))
    rows = torch.arange(height, device=like.device)[:, None] * rate
    cols = torch.arange(width, device=like.device)[:, None] * rate
    down = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, width, -1)
    right = torch.cat([cols.sin(), cols.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([down, right], 2).flatten(0, 1)[None].to(like.dtype)


def tap_indices(depth: int) -> list[int]:
    """Blocks at 25, 50, 75 and 100 % of the depth: 5, 11, 17, 23 of 24."""
    if depth < 4:
        raise UsageError(f"an encoder of {depth} blocks has no four taps; give one of at least 4")
    return [round(depth * k / 4) - 1 for k in (1, 2, 3, 4)]


def _conv(a: int, b: int, size: int) -> nn.Sequential:
    """Convolution, group norm (no batch statistics: batch size and devices change nothing), ReLU."""
    groups = next(g for g in (8, 4, 2, 1) if b % g == 0 and b > g)
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
        A timm ViT or `PlainViT`.
    channels, strides
        Channels of the four maps, and input pixels a cell of each.
    hidden
        Channels inside the decoders.
    classes
        With background.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: Sequence[int] = (256, 512, 1024, 2048),
        strides: Sequence[int] = (4, 8, 16, 32),
        hidden: int = 768,
        classes: int = len(PIXEL_CLASSES),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.strides = tuple(strides)
        self.taps = tap_indices(len(cast(nn.ModuleList, encoder.blocks)))
        width = cast(int, encoder.embed_dim)
        self.project = nn.ModuleList(nn.Conv2d(width, c, 1) for c in channels)
        self.semantic = UperNetDecoder(channels, hidden, classes)
        self.hv = UperNetDecoder(channels, hidden, 2)

    @property
    def patch_px(self) -> int:
        """Side of the square of pixels that is one token; inputs are multiples of it."""
        return int(cast(Any, self.encoder).patch_embed.patch_size[0])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) normalized pixels -> (N, classes, H, W) logits, (N, 2, H, W) HV maps."""
        size = x.shape[-2:]
        taps = cast(Any, self.encoder).forward_intermediates(
            x, indices=self.taps, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        maps = [
            _resize(project(tap), [max(1, side // stride) for side in size])
            for project, tap, stride in zip(self.project, taps, self.strides, strict=True)
        ]
        return _resize(self.semantic(maps), size), _resize(self.hv(maps), size)


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
