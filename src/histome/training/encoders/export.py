"""A pretrained plain encoder as an encoder of tiles: ONNX with its card."""

from pathlib import Path

import tomli_w
import torch
from torch import Tensor, nn

from histome.models.onnx_export import export_onnx
from histome.training.encoders.network import PlainEncoder
from histome.training.networks import scale_pixels

# Strides 8 to 32, as the probe of tiles reads them.
_FIRST = 2
_SIDE_PX, _MPP = 224, 0.5


class TileVector(nn.Module):
    """Means of an encoder's maps of strides 8 to 32 over a tile.

    Parameters
    ----------
    encoder : PlainEncoder
        What makes the maps.
    """

    def __init__(self, encoder: PlainEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tiles: Tensor) -> Tensor:
        """(n, h, w, 3) uint8 -> (n, sum of the widths)."""
        maps = self.encoder(scale_pixels(tiles))[_FIRST:]
        return torch.cat([one.mean((2, 3)) for one in maps], 1)


def export_tile_encoder(encoder: PlainEncoder, folder: Path, *, name: str, about: str) -> Path:
    """Write encoder.onnx and its card encoder.toml, which `open_encoder` takes; returns the card's path."""
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(TileVector(encoder), str(folder / "encoder.onnx"), _SIDE_PX, ["vectors"])
    card = {
        **{"name": name, "publisher": "histome", "about": about, "license": "Apache-2.0", "gated": False},
        **{"dimension": sum(encoder.widths[_FIRST:]), "mpp": _MPP, "input_px": _SIDE_PX},
        **{"parameters": sum(p.numel() for p in encoder.parameters()), "file": "encoder.onnx"},
    }
    path = folder / "encoder.toml"
    path.write_text(tomli_w.dumps(card), encoding="utf-8")
    return path
