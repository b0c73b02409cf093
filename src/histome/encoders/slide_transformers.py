"""Slide encoders that are transformers over tiles and their places, with their publishers' names of tensors.

As in `slide_pools`, a network takes vectors (n, d) and places (n, 2), x and y in sides of a tile.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MoozyBlock(nn.Module):
    """Attention that fades with distance, and a perceptron, each on normed values.

    Parameters
    ----------
    width, heads : int
        Of the tokens, and of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:
        """(n, width) tokens and (n, n) distances -> the same shape as the tokens."""
        here = self.norm1(x)
        q, k, v = (part(here).chunk(self.heads, 1) for part in (self.q_proj, self.k_proj, self.v_proj))
        # Head by head: the bias of all at once takes 12 n^2 numbers.
        mixed = [
            F.scaled_dot_product_attention(q[h], k[h], v[h], attn_mask=-slope * distance)
            for h, slope in enumerate(alibi_slopes(self.heads))
        ]
        x = x + self.out_proj(torch.cat(mixed, 1))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


def alibi_slopes(heads: int) -> list[float]:
    """Return how fast each head's attention fades (Press et al. 2021, arXiv:2108.12409).

    2^(-8 k / heads) for k = 1, 2, ...; where heads is no power of two, those of the next smaller one and then
    every second one of the next larger.
    """
    whole = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (k + 1) / whole) for k in range(whole)]
    return slopes + [2 ** (-8 * (2 * k + 1) / (2 * whole)) for k in range(heads - whole)]


class Moozy(nn.Module):
    """A transformer on tiles, with 4 registers and attention that fades with distance: its class token.

    Parameters
    ----------
    depth : int
        Blocks.
    """

    width, registers, heads = 768, 4, 12

    def __init__(self, depth: int = 6) -> None:
        super().__init__()
        width = self.width
        self.input_proj = nn.Sequential(nn.Linear(384, width), nn.GELU())
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.register_tokens = nn.Parameter(torch.randn(1, self.registers, width) * 0.02)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(MoozyBlock(width, self.heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """(n, 384) -> (768,)."""
        x = torch.cat([self.cls_token[0], self.register_tokens[0], self.input_proj(vectors)])
        # Class and register tokens are nowhere, and near to all.
        distance = F.pad(torch.cdist(places, places), (1 + self.registers, 0, 1 + self.registers, 0))
        for block in self.blocks:
            x = block(x, distance)
        return self.norm(x)[0]


# Tiles that attend to one another, and how many of them are skipped (a slide of 1,024 x 1,024 tiles at most).
_SEGMENTS = ((1024, 1), (5792, 2), (32768, 4), (185363, 8), (1048576, 16))


def dilated_attention(q: Tensor, k: Tensor, v: Tensor, segments: tuple[tuple[int, int], ...]) -> Tensor:
    """Attention of LongNet (Ding et al. 2023, arXiv:2307.02486): (heads, n, d) each -> (heads, n, d).

    Of each pair (length, skip) the tokens of a segment attend to every skip-th one of it, groups of heads to
    different ones; the results are summed by the weight of what each softmax saw.
    """
    found = [_branch(q, k, v, *segment) for segment in segments]
    seen = torch.stack([weight for _, weight in found]).softmax(0)
    return (torch.stack([out for out, _ in found]) * seen[..., None]).sum(0)


def _branch(q: Tensor, k: Tensor, v: Tensor, length: int, skip: int) -> tuple[Tensor, Tensor]:
    """What one pair finds: (heads, n, d), and the log of its softmax' sum, (heads, n)."""
    heads, n, d = q.shape
    length = min(length, n)
    group = (torch.arange(heads, device=q.device) * skip // heads).view(heads, 1, 1, 1, 1)
    q, k, v = (_sparse(part, length, skip, group) for part in (q, k, v))
    scores = q @ k.transpose(-1, -2) / d**0.5
    out, weight = scores.softmax(-1) @ v, scores.logsumexp(-1)
    whole = out.new_zeros(*out.shape[:3], skip, d)
    whole.scatter_(3, group.expand(*out.shape[:3], 1, d), out[..., None, :])
    known = weight.new_full(whole.shape[:4], -1e8)
    known.scatter_(3, group[..., 0].expand(*weight.shape, 1), weight[..., None])
    dense = (part.flatten(2, 3)[:, :, :length].flatten(1, 2)[:, :n] for part in (whole, known))
    return next(dense), next(dense)


def _sparse(x: Tensor, length: int, skip: int, group: Tensor) -> Tensor:
    """(heads, n, d) -> (heads, segments, length / skip, d); what is missing of the last segment is 0."""
    _, n, d = x.shape
    x = F.pad(x, (0, 0, 0, -n % length)).unflatten(1, (-1, length))
    x = F.pad(x, (0, 0, 0, -length % skip)).unflatten(2, (-1, skip))
    return x.gather(3, group.expand(*x.shape[:3], 1, d))[:, :, :, 0]


class LongNetAttention(nn.Module):
    """Dilated attention, normed before it leaves.

    Parameters
    ----------
    width, heads : int
        Of the tokens, and of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.inner_attn_ln = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> the same shape."""
        parts = (part(x).unflatten(1, (self.heads, -1)) for part in (self.q_proj, self.k_proj, self.v_proj))
        q, k, v = (part.transpose(0, 1) for part in parts)
        mixed = dilated_attention(q, k, v, _SEGMENTS).transpose(0, 1).flatten(1)
        return self.out_proj(self.inner_attn_ln(mixed))


class LongNetLayer(nn.Module):
    """Dilated attention and a perceptron, each on normed values.

    Parameters
    ----------
    width, heads : int
        Of the tokens, and of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = LongNetAttention(width, heads)
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn = nn.Module()
        self.ffn.fc1, self.ffn.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.ffn.ffn_layernorm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> the same shape."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        inner = F.gelu(self.ffn.fc1(self.final_layer_norm(x)))  # type: ignore[operator]
        return x + self.ffn.fc2(self.ffn.ffn_layernorm(inner))  # type: ignore[operator]


class GigaPathSlide(nn.Module):
    """LongNet over tiles with sines of their places: its class token after the last layer.

    Parameters
    ----------
    inputs, width, depth, heads : int
        Length of a tile's vector; of the tokens; layers; heads of the attention.
    """

    def __init__(self, inputs: int = 1536, width: int = 768, depth: int = 12, heads: int = 16) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Linear(inputs, width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(LongNetLayer(width, heads) for _ in range(depth))
        self.encoder.layer_norm = nn.LayerNorm(width)  # of another output than the class token; in the file
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """(n, inputs) -> (width,)."""
        tokens = self.patch_embed.proj(vectors)  # type: ignore[operator]
        tokens = tokens + place_sines(places.floor(), tokens.shape[1])
        x = torch.cat([self.cls_token[0], tokens])
        for layer in self.encoder.layers:  # type: ignore[union-attr]
            x = layer(x)
        return self.norm(x[0])


def place_sines(places: Tensor, width: int) -> Tensor:
    """(n, width) sines and cosines of y, then of x; places (n, 2) are x, y."""
    quarter = width // 4
    rate = 10000.0 ** -(torch.arange(quarter, device=places.device, dtype=torch.float64) / quarter)
    angles = [places[:, axis, None].double() * rate for axis in (1, 0)]
    parts = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    return torch.cat(parts, 1).float()
