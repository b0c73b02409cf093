"""The tissue network: seven classes a pixel from label sets; `train_tissue`, then `ship_tissue`."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.tissue.from_labels import MapPlan, train_maps
    from histome.training.tissue.network import TissueNetwork
    from histome.training.tissue.recipe import TissueRecipe
    from histome.training.tissue.ship import ship_tissue
    from histome.training.tissue.train import in_windows, predict_tissue, train_tissue

__all__ = [
    "MapPlan",
    "TissueNetwork",
    "TissueRecipe",
    "in_windows",
    "predict_tissue",
    "ship_tissue",
    "train_maps",
    "train_tissue",
]
__getattr__ = opened(__name__, __file__)
