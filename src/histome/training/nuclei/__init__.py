"""The nuclei network: outlines and types; `train_nuclei` is all the way from labels to a model."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.nuclei.from_labels import Plan, train_nuclei
    from histome.training.nuclei.pseudo import pseudo_fields
    from histome.training.nuclei.train import NucleiTrainer, Recipe, make_network

__all__ = [
    "NucleiTrainer",
    "Plan",
    "Recipe",
    "make_network",
    "pseudo_fields",
    "train_nuclei",
]
__getattr__ = opened(__name__, __file__)
