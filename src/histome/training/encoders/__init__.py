"""Encoders that are trained here; none is shipped.

`pretrain` trains a vision transformer without labels on tiles of slides (`find_sources`), by DINO or
DINOv2; `distill_slides` teaches a small one, `PlainEncoder`, what a large one says. What comes out is an
encoder as any other, an ONNX file and its card.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.encoders.distill import DistillRecipe, distill_slides
    from histome.training.encoders.network import PlainEncoder
    from histome.training.encoders.pretraining import (
        PretrainRecipe,
        export_pretrained,
        load_encoder,
        pretrain,
    )
    from histome.training.encoders.sources import TileSource, find_sources

__all__ = [
    "DistillRecipe",
    "PlainEncoder",
    "PretrainRecipe",
    "TileSource",
    "distill_slides",
    "export_pretrained",
    "find_sources",
    "load_encoder",
    "pretrain",
]
__getattr__ = opened(__name__, __file__)
