"""Foundation models: encoders that others have trained, made ready to be read from.

`list_encoders` and `find_encoder` give cards, `open_encoder` what turns tiles into vectors,
`open_slide_encoder` what turns those of a slide into one. Their weights are not in the package; who holds
them names their file. Encoders that are trained here are in `histome.training.encoders`.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.encoders.card import Encoder, EncoderCard, describe_encoder
    from histome.encoders.network import OpenedEncoder, open_encoder
    from histome.encoders.registry import encoder, find_encoder, list_encoders
    from histome.encoders.slide_encoders import OpenedSlideEncoder, open_slide_encoder
    from histome.encoders.vit import UNI2_H, timm_encoder

__all__ = [
    "UNI2_H",
    "Encoder",
    "EncoderCard",
    "OpenedEncoder",
    "OpenedSlideEncoder",
    "describe_encoder",
    "encoder",
    "find_encoder",
    "list_encoders",
    "open_encoder",
    "open_slide_encoder",
    "timm_encoder",
]
__getattr__ = opened(__name__, __file__)
