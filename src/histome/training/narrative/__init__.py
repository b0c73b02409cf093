"""Language models that learn to write narratives from pairs of facts and text."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.narrative.pairs import Pair, make_pairs, read_pairs
    from histome.training.narrative.train import NarrativeRecipe, train_narrative

__all__ = [
    "NarrativeRecipe",
    "Pair",
    "make_pairs",
    "read_pairs",
    "train_narrative",
]
__getattr__ = opened(__name__, __file__)
