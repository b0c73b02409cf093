"""Language models that learn to write narratives from pairs of facts and text."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.narrative.pairs import MadePairs, Pair, make_pairs, read_pairs
    from histome.training.narrative.train import NarrativeRecipe, train_narrative

__all__ = [
    "MadePairs",
    "NarrativeRecipe",
    "Pair",
    "make_pairs",
    "read_pairs",
    "train_narrative",
]
__getattr__ = opened(__name__, __file__)
