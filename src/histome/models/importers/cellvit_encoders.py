"""The encoders of CellViT: a plain vision transformer, Segment Anything's (arXiv:2304.02643), one of DINOv2.

Their parameters are named as in the checkpoints, and every size is read off the weights. What depends on the
side of the window, positions and distances between tokens, is worked out once, by `settle`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# px a side of a token.
TOKEN_PX = 16
# Channels of a head of the plain transformer, as ViT-S, B and L have; those of the other are in its weights.
_HEAD = 64
_EPS = 1e-6
_LEVELS = 4
# HistoPLUS takes other blocks than each quarter's last.
_REGISTER_DEPTH, _REGISTER_LEVELS = 12, (3, 5, 7, 11)


def encoder_of(weights: Mapping[str, Tensor]) -> "WholeEncoder | WindowedEncoder | RegisterEncoder":
    """Return the encoder whose weights these are, by their names without `encoder.`, with random weights."""
    depth = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    width = weights["patch_embed.proj.weight"].shape[0]
    if "reg_token" in weights:
        return RegisterEncoder(weights, depth)
    hidden = weights[
        "blocks.0.mlp.lin1.weight" if _is_windowed(weights) else "blocks.0.mlp.fc1.weight"
    ].shape[0]
    if not _is_windowed(weights):
        return WholeEncoder(width, depth, hidden, tokens=weights["pos_embed"].shape[1] - 1)
    reaches = [(len(weights[f"blocks.{k}.attn.rel_pos_h"]) + 1) // 2 for k in range(depth)]
    head = weights["blocks.0.attn.rel_pos_h"].shape[1]
    return WindowedEncoder(width, reaches, hidden, side=weights["pos_embed"].shape[1], heads=width // head)


def _is_windowed(weights: Mapping[str, Tensor]) -> bool:
    return "blocks.0.attn.rel_pos_h" in weights


def _levels(depth: int) -> tuple[int, ...]:
    """The blocks whose tokens are taken: at each quarter of the depth."""
    return tuple((k + 1) * depth // _LEVELS - 1 for k in range(_LEVELS))


class WholeEncoder(nn.Module):
    """A vision transformer with one more token for the whole (arXiv:2010.11929): ViT-256."""

    positions: Tensor

    def __init__(self, width: int, depth: int, hidden: int, *, tokens: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens + 1, width))
        self.patch_embed = _Patches(width)
        self.blocks = nn.ModuleList(
            _Block(width, _Attention(width, width // _HEAD), _mlp("fc", width, hidden)) for _ in range(depth)
        )
        self.levels = _levels(depth)

    def settle(self, side: int) -> None:
        """Bring the positions to `side` x `side` tokens as DINO does: bicubic, the scale a hair too large."""
        whole, places = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        own = round(places.shape[1] ** 0.5)
        if side != own:
            grid = places.reshape(1, own, own, -1).permute(0, 3, 1, 2)
            scale = (side + 0.1) / own
            grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
            places = grid.permute(0, 2, 3, 1).reshape(1, side * side, -1)
        self.register_buffer("positions", torch.cat([whole, places], 1).detach(), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(1, 3, H, W) -> four maps of tokens (1, width, H / 16, W / 16)."""
        tokens = self.patch_embed(image)
        side = tokens.shape[2:]
        x = torch.cat([self.cls_token, tokens.flatten(2).transpose(1, 2)], 1) + self.positions
        taken = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in self.levels:
                taken.append(x[:, 1:].transpose(1, 2).unflatten(2, side))
        return taken


class WindowedEncoder(nn.Module):
    """The image encoder of Segment Anything: most blocks see windows of 14 x 14 tokens, some see all.

    Parameters
    ----------
    reaches : list of int
        Tokens a side that each block sees; `side` is all of them.
    side : int
        Tokens a side that the positions were learned for.
    """

    positions: Tensor

    def __init__(self, width: int, reaches: list[int], hidden: int, *, side: int, heads: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, width))
        self.patch_embed = _Patches(width)
        self.blocks = nn.ModuleList(
            _Block(width, _Attention(width, heads, reach=reach), _mlp("lin", width, hidden))
            for reach in reaches
        )
        self.windows = [None if reach == side else reach for reach in reaches]
        self.levels = _levels(len(reaches))

    def settle(self, side: int) -> None:
        """Take positions and distances for `side` x `side` tokens."""
        if side > self.pos_embed.shape[1]:
            raise ValueError(f"{side} tokens a side are more than positions were learned for")
        self.register_buffer("positions", self.pos_embed[:, :side, :side].detach(), persistent=False)
        for block, window in zip(self.blocks, self.windows, strict=True):
            block.attn.settle(window or side)  # type: ignore[operator,union-attr]

    def forward(self, image: Tensor) -> list[Tensor]:
        """(1, 3, H, W) -> four maps of tokens (1, width, H / 16, W / 16)."""
        x = self.patch_embed(image).permute(0, 2, 3, 1) + self.positions
        taken = []
        for k, (block, window) in enumerate(zip(self.blocks, self.windows, strict=True)):
            x = block(x, window)
            if k in self.levels:
                taken.append(x.permute(0, 3, 1, 2))
        return taken


class RegisterEncoder(nn.Module):
    """A transformer of DINOv2 with registers (arXiv:2309.16588), scaled layers and gated perceptrons."""

    positions: Tensor

    def __init__(self, weights: Mapping[str, Tensor], depth: int) -> None:
        super().__init__()
        if depth != _REGISTER_DEPTH:
            raise ValueError(f"{depth} blocks, not {_REGISTER_DEPTH}")
        proj, registers = weights["patch_embed.proj.weight"], weights["reg_token"].shape[1]
        width, hidden = proj.shape[0], weights["blocks.0.mlp.w3.weight"].shape[1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.reg_token = nn.Parameter(torch.zeros(1, registers, width))
        self.pos_embed = nn.Parameter(torch.zeros(weights["pos_embed"].shape))
        self.patch_embed = _Patches(width, proj.shape[-1])
        self.blocks = nn.ModuleList(
            _Block(width, _Attention(width, width // _HEAD), _Gated(width, hidden), scaled=True)
            for _ in range(depth)
        )

    def settle(self, side: int) -> None:
        """Bring the positions to `side` x `side` tokens as timm does: bicubic, of smaller ones the mean."""
        own = round(self.pos_embed.shape[1] ** 0.5)
        grid = self.pos_embed.unflatten(1, (own, own)).permute(0, 3, 1, 2)
        if side != own:
            grid = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=True)
        self.register_buffer("positions", grid.flatten(2).transpose(1, 2).detach(), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(1, 3, H, W) -> four maps of tokens (1, width, h, w)."""
        tokens = self.patch_embed(image)
        side = tokens.shape[2:]
        x = tokens.flatten(2).transpose(1, 2) + self.positions
        x = torch.cat([self.cls_token, self.reg_token, x], 1)
        before, taken = 1 + self.reg_token.shape[1], []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in _REGISTER_LEVELS:
                taken.append(x[:, before:].transpose(1, 2).unflatten(2, side))
        return taken


class _Patches(nn.Module):
    def __init__(self, width: int, token_px: int = TOKEN_PX) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, token_px, stride=token_px)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


def _mlp(name: str, width: int, hidden: int) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module(f"{name}1", nn.Linear(width, hidden))
    layers.add_module("act", nn.GELU())
    layers.add_module(f"{name}2", nn.Linear(hidden, width))
    return layers


class _Gated(nn.Module):
    """A perceptron whose one half opens and shuts the other (SwiGLU, arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12, self.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gate) * value)


class _Scaled(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    """Attention and a perceptron, each after a norm, perhaps scaled, and added to what came in."""

    def __init__(self, width: int, attention: "_Attention", mlp: nn.Module, *, scaled: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=_EPS), nn.LayerNorm(width, eps=_EPS)
        self.attn, self.mlp = attention, mlp
        self.ls1, self.ls2 = (_Scaled(width) if scaled else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor, window: int | None = None) -> Tensor:
        """(1, ..., width) -> the same; with `window` a map of tokens is cut into squares of so many."""
        seen = self.norm1(x)
        x = x + self.ls1(self.attn(seen) if window is None else _in_windows(self.attn, seen, window))
        return x + self.ls2(self.mlp(self.norm2(x)))


def _in_windows(attention: "_Attention", x: Tensor, window: int) -> Tensor:
    """Attention within squares; the map is filled up with zeros, which are attended to as theirs are."""
    _, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    rows, columns = x.shape[1] // window, x.shape[2] // window
    x = x.reshape(rows, window, columns, window, channels).transpose(1, 2)
    x = attention(x.reshape(rows * columns, window, window, channels))
    x = x.reshape(rows, columns, window, window, channels).transpose(1, 2)
    return x.reshape(1, rows * window, columns * window, channels)[:, :height, :width]


class _Attention(nn.Module):
    """Attention of all tokens to all; with `reach` it knows how far rows and columns are apart."""

    rows: Tensor
    columns: Tensor

    def __init__(self, width: int, heads: int, *, reach: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.knows_distance = reach is not None
        if reach is not None:
            shape = (2 * reach - 1, width // heads)
            self.rel_pos_h, self.rel_pos_w = (nn.Parameter(torch.zeros(shape)) for _ in range(2))

    def settle(self, side: int) -> None:
        """Look the distances of `side` x `side` tokens up, between the learned ones where they are others."""
        for name, learned in (("rows", self.rel_pos_h), ("columns", self.rel_pos_w)):
            table = learned
            if len(table) != 2 * side - 1:
                table = F.interpolate(table.T[None], size=2 * side - 1, mode="linear")[0].T
            place = torch.arange(side)
            apart = place[:, None] - place[None] + side - 1
            self.register_buffer(name, table[apart].detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) or (n, h, w, width) -> the same."""
        n, width = x.shape[0], x.shape[-1]
        parts = self.qkv(x).reshape(n, -1, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if self.knows_distance:
            scores = scores + self._by_distance(q, x.shape[1], x.shape[2])
        seen = scores.softmax(-1) @ v
        return self.proj(seen.transpose(1, 2).reshape(x.shape))

    def _by_distance(self, q: Tensor, height: int, width: int) -> Tensor:
        """(n, heads, tokens, tokens): what a token makes of the rows and columns between it and another."""
        q = q.unflatten(2, (height, width))
        rows = torch.einsum("nahwc,hkc->nahwk", q, self.rows)
        columns = torch.einsum("nahwc,wkc->nahwk", q, self.columns)
        both = rows[..., :, None] + columns[..., None, :]
        return both.reshape(*q.shape[:2], height * width, height * width)
