"""Slide encoders that weigh tiles by attention (ABMIL), built as their publishers name their tensors.

A network takes the vectors (n, d) of a slide's tiles and their places (n, 2), x and y in sides of a tile, and
returns the slide's vector (D,).
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


class GatedAttention(nn.Module):
    """A score for each vector: tanh and sigmoid of two layers, multiplied, then a third layer.

    Parameters
    ----------
    width, hidden : int
        Of a vector, and of the two layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.attention_a = nn.Sequential(nn.Linear(width, hidden), nn.Tanh())
        self.attention_b = nn.Sequential(nn.Linear(width, hidden), nn.Sigmoid())
        self.attention_c = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, 1), which sum to 1."""
        return self.attention_c(self.attention_a(x) * self.attention_b(x)).softmax(0)


class Madeleine(nn.Module):
    """Four heads of gated attention on 512 values each, and a layer that joins them."""

    heads, width = 4, 512

    def __init__(self) -> None:
        super().__init__()
        widths = (512, self.width, self.width, self.width * self.heads)
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.LayerNorm(b), nn.GELU(), nn.Dropout(0.1)]
        self.wsi_embedders = nn.Module()
        self.wsi_embedders.pre_attn = nn.Sequential(*layers)
        self.wsi_embedders.attn = nn.ModuleList(GatedAttention(self.width, 512) for _ in range(self.heads))
        self.projector = nn.Linear(self.width * self.heads, self.width)

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """(n, 512) -> (512,)."""
        # The heads are the fast axis: value c of head k is number 4 c + k.
        embedders: Any = self.wsi_embedders
        parts = embedders.pre_attn(vectors).unflatten(1, (self.width, self.heads))
        weights = torch.stack([attn(parts[..., k]) for k, attn in enumerate(embedders.attn)], -1)
        return self.projector((parts * weights).sum(0).flatten())


class Chief(nn.Module):
    """The tiles' own vectors, weighed by gated attention on 512 values of each."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_net = nn.Sequential(
            nn.Linear(768, 512), nn.ReLU(), nn.Dropout(0.25), GatedAttention(512, 256)
        )

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """(n, 768) -> (768,)."""
        return (self.attention_net(vectors) * vectors).sum(0)


class Feather(nn.Module):
    """512 values of each tile, weighed by gated attention on them.

    Parameters
    ----------
    width : int
        Of a tile's vector.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch_embed = nn.Sequential(nn.Linear(width, 512), nn.ReLU(), nn.Dropout(0.25))
        self.global_attn = GatedAttention(512, 384)

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """(n, width) -> (512,)."""
        parts = self.patch_embed(vectors)
        return (self.global_attn(parts) * parts).sum(0)
