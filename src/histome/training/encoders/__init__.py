"""Encoders trained without labels, to begin the nuclei and tissue networks from; none is shipped.

`PlainEncoder` is the shape, `load_packed` packs every field's pixels, `pretrain` learns from crops of them,
`Probes` say what a frozen encoder knows of nuclei and tissue. What was measured is in `TermWeights`.
`distill` teaches a small one what a large one says.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.encoders.distill import DistillRecipe, distill_slides
    from histome.training.encoders.network import PlainEncoder
    from histome.training.encoders.packed import PackedField, load_packed
    from histome.training.encoders.probe import Probes
    from histome.training.encoders.train import (
        PretrainRecipe,
        TermWeights,
        export_encoder,
        load_encoder,
        pretrain,
    )

__all__ = [
    "DistillRecipe",
    "PackedField",
    "PlainEncoder",
    "PretrainRecipe",
    "Probes",
    "TermWeights",
    "distill_slides",
    "export_encoder",
    "load_encoder",
    "load_packed",
    "pretrain",
]
__getattr__ = opened(__name__, __file__)
