"""The encoders of UperHoVer: which of their blocks are read, and a plain vision transformer.

Any encoder with timm's `blocks`, `embed_dim`, `patch_embed.patch_size` and `forward_intermediates` fits;
`PlainViT` is one in plain PyTorch, `EfficientNetLite` a convolutional one with strides of its own.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from histome.errors import UsageError

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
        self.checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As timm's: compute the inside of the blocks again on the way back."""
        self.checkpointing = enable

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
            again = self.checkpointing and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
            if k in indices:
                maps.append(tokens.transpose(1, 2).unflatten(2, (height, width)))
        return maps


class EfficientNetLite(nn.Module):
    """The strides 4, 8, 16 and 32 of an EfficientNet-lite as four blocks with a tap each.

    Its batch norms are folded into the convolutions before them, so that batch size and number of devices
    change nothing and a frozen one is frozen.

    Parameters
    ----------
    network
        An `efficientnet_lite_pytorch.EfficientNet`, without its classifier.
    mean, std
        What its pixels (0-1) are normalized by; this one takes ImageNet's, as `imagenet_pixels` gives.
    """

    embed_dims = (24, 40, 112, 320)

    def __init__(self, network: Any, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.patch_embed: Any = nn.Sequential(_folded(network, "_conv_stem", "_bn0"), nn.ReLU6())
        self.patch_embed.patch_size = (32, 32)
        stages: list[list[nn.Module]] = [[]]
        for block in network._blocks:
            _fold_block(block)
            if block._depthwise_conv.stride[0] > 1 and len(stages[0]) > 1:
                stages.append([])
            stages[-1].append(block)
        self.blocks = nn.ModuleList(nn.Sequential(*stage) for stage in stages)

    def forward_intermediates(self, x: Tensor, indices: Sequence[int], **_: Any) -> list[Tensor]:
        """As timm's: the maps (N, channels, h, w) after the blocks of `indices`, not normalized."""
        like: dict[str, Any] = {"dtype": x.dtype, "device": x.device}
        of, by = (torch.tensor(v, **like)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        x = self.patch_embed(((x * by + of) - self.mean) / self.std)
        maps = []
        for k, stage in enumerate(self.blocks):
            x = stage(x)
            if k in indices:
                maps.append(x)
        return maps


def _folded(parent: Any, convolution: str, norm: str) -> nn.Module:
    return fuse_conv_bn_eval(getattr(parent, convolution).eval(), getattr(parent, norm).eval())


def _fold_block(block: Any) -> None:
    """Fold the norms of one inverted bottleneck."""
    for convolution, norm in (
        ("_expand_conv", "_bn0"),
        ("_depthwise_conv", "_bn1"),
        ("_project_conv", "_bn2"),
    ):
        if hasattr(block, convolution):
            setattr(block, convolution, _folded(block, convolution, norm))
            setattr(block, norm, nn.Identity())


def _positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """(1, height * width, channels) sines and cosines of row and column."""
    rate = 100.0 ** -(torch.arange(channels // 4, device=like.device) / (channels // 4))
    rows = torch.arange(height, device=like.device)[:, None] * rate
    cols = torch.arange(width, device=like.device)[:, None] * rate
    down = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, width, -1)
    right = torch.cat([cols.sin(), cols.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([down, right], 2).flatten(0, 1)[None].to(like.dtype)


def tap_indices(depth: int, taps: int = 4) -> list[int]:
    """Blocks at 25, 50, 75 and 100 % of the depth: 5, 11, 17, 23 of 24.

    With two taps the blocks of the four maps are 11, 11, 23, 23, with one 23 four times.
    """
    if depth < 4:
        raise UsageError(f"an encoder of {depth} blocks has no four taps; give one of at least 4")
    quarters = {4: (1, 2, 3, 4), 2: (2, 2, 4, 4), 1: (4, 4, 4, 4)}[taps]
    return [round(depth * k / 4) - 1 for k in quarters]


def freeze_unread(encoder: nn.Module, taps: Sequence[int]) -> None:
    """Let no weight of an encoder be trained that its taps do not depend on, such as timm's last norm.

    Such a weight gets no gradient, and DistributedDataParallel waits for one. Which they are is asked of a
    copy on the meta device: no number is computed.
    """
    with torch.enable_grad():
        weights = {name: torch.empty_like(p, device="meta") for name, p in encoder.named_parameters()}
        for weight in weights.values():
            weight.requires_grad_()
        buffers = {name: b.to("meta") for name, b in encoder.named_buffers()}
        side = 4 * int(cast(Any, encoder).patch_embed.patch_size[0])
        image = torch.empty(1, 3, *_input_size(encoder, side), device="meta")
        maps = functional_call(_Tapped(encoder, taps), _inside(weights | buffers), (image,))
        read = torch.autograd.grad(
            torch.stack([m.sum() for m in maps]).sum(), list(weights.values()), allow_unused=True
        )
    for (_, parameter), gradient in zip(encoder.named_parameters(), read, strict=True):
        parameter.requires_grad_(parameter.requires_grad and gradient is not None)


class _Tapped(nn.Module):
    """An encoder whose output are its maps."""

    def __init__(self, encoder: nn.Module, taps: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.taps = encoder, list(taps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> the maps of the taps."""
        encoder = cast(Any, self.encoder)
        return encoder.forward_intermediates(
            x, indices=self.taps, norm=False, output_fmt="NCHW", intermediates_only=True
        )


def _inside(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"encoder.{name}": tensor for name, tensor in tensors.items()}


def _input_size(encoder: nn.Module, side: int) -> tuple[int, int]:
    """The image size that an encoder's positions were made for; any other would be interpolated."""
    height, width = getattr(encoder.patch_embed, "img_size", None) or (side, side)
    return int(height), int(width)


def set_checkpointing(encoder: nn.Module, on: bool) -> None:
    """Keep only what lies between the blocks of an encoder for the way back, and compute the rest again."""
    if not hasattr(encoder, "set_grad_checkpointing"):
        raise UsageError("this encoder knows no gradient checkpointing; set encoder.checkpointing to false")
    cast(Any, encoder).set_grad_checkpointing(on)
