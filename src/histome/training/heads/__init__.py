"""Heads on the maps of an encoder that stays as it is: classes of cells, tissue.

`open_maps` reads any encoder's maps at four strides, `OnEncoder` puts a small pyramid on them, `train_head`
trains it, `train_cells` is all the way from labels to a model.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.heads.cells import HeadPlan, train_cells
    from histome.training.heads.maps import FrozenMaps, open_maps
    from histome.training.heads.network import OnEncoder
    from histome.training.heads.train import HeadRecipe, train_head

__all__ = [
    "FrozenMaps",
    "HeadPlan",
    "HeadRecipe",
    "OnEncoder",
    "open_maps",
    "train_cells",
    "train_head",
]
__getattr__ = opened(__name__, __file__)
