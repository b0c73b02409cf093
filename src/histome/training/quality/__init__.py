"""The quality network: five classes a pixel from artifacts drawn on real tissue; `train_quality`."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.quality.crops import QualityRecipe
    from histome.training.quality.drawn import draw
    from histome.training.quality.fields import CleanField, load_clean_fields
    from histome.training.quality.train import train_quality

__all__ = ["CleanField", "QualityRecipe", "draw", "load_clean_fields", "train_quality"]
__getattr__ = opened(__name__, __file__)
