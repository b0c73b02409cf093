"""Networks are trained here: what all trainings share, and a room for each kind of network.

`nuclei` and `tissue` make the shipped models, `uperhover` a vision transformer in stages, `narrative` a
language model that writes, `encoders` what networks could begin from, `heads` what learns on an encoder that
stays as it is. PyTorch is imported here and in `histome.encoders` alone, and by their modules: not by `import
histome.training`.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.cards import label_support
    from histome.training.checkpoint import load_average
    from histome.training.loop import Trainer, batches, learning_rate
    from histome.training.networks import UNet

__all__ = [
    "Trainer",
    "UNet",
    "batches",
    "label_support",
    "learning_rate",
    "load_average",
]
__getattr__ = opened(__name__, __file__)
