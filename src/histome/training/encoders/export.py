"""An encoder that was trained here as an encoder of tiles: ONNX with its card."""

from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn

from histome.models.onnx_export import export_onnx
from histome.training.encoders.dino import normalized
from histome.training.encoders.network import PlainEncoder
from histome.training.networks import scale_pixels

# Strides 8 to 32.
_FIRST = 2
_MPP = 0.5


class TileVector(nn.Module):
    """Means of a plain encoder's maps of strides 8 to 32 over a tile.

    Parameters
    ----------
    encoder : PlainEncoder
        What makes the maps.
    """

    def __init__(self, encoder: PlainEncoder) -> None:
        super().__init__()
        self.encoder, self.dimension = encoder, sum(encoder.widths[_FIRST:])

    def forward(self, tiles: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 -> (n, sum of the widths)."""
        maps = self.encoder(scale_pixels(tiles))[_FIRST:]
        return torch.cat([one.mean((2, 3)) for one in maps], 1)


class ClassVector(nn.Module):
    """The class token of a transformer of timm.

    Parameters
    ----------
    encoder : nn.Module
        What makes the tokens.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.dimension = encoder, int(encoder.embed_dim)

    def forward(self, tiles: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 -> (n, width)."""
        return self.encoder.forward_features(normalized(tiles))[:, 0]


def export_tile_encoder(
    vector: TileVector | ClassVector, folder: Path, *, name: str, about: str, side_px: int = 224
) -> Path:
    """Write encoder.onnx and its card encoder.toml, which `open_encoder` takes; returns the card's path."""
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(vector, str(folder / "encoder.onnx"), side_px, ["vectors"])
    card = {
        **{"name": name, "publisher": "histome", "about": about, "license": "Apache-2.0", "gated": False},
        **{"dimension": vector.dimension, "mpp": _MPP, "input_px": side_px, "file": "encoder.onnx"},
        **{"parameters": sum(p.numel() for p in vector.parameters())},
    }
    path = folder / "encoder.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    return path
