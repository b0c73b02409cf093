"""Foundation models: encoders that others have trained, made ready to be read from.

Their weights are not in the package; who holds them names their file. Encoders that are trained here are in
`histome.training.encoders`.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.encoders.vit import UNI2_H, timm_encoder

__all__ = ["UNI2_H", "timm_encoder"]
__getattr__ = opened(__name__, __file__)
