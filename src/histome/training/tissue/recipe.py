"""Everything that decides a training run of the tissue network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from histome.classes import TISSUE_CLASSES

# Share of the crops from each data set: by how well its labels fit ours, not by how many pixels it has.
SHARES = {
    **{"wsss4luad": 0.22, "glas": 0.20, "consep": 0.08, "nct": 0.16, "kather": 0.03, "osteosarcoma": 0.14},
    **{"crchistophenotypes": 0.08, "monusac": 0.04, "lc25000": 0.05, "tnbc": 0.02},
}


@dataclass(frozen=True)
class TissueRecipe:
    """Everything that decides a run: the same recipe and fields give the same weights on one machine.

    Attributes
    ----------
    shares : Mapping[str, float]
        Share of the crops from each data set.
    reach_px : int
        How far two views of one field lie apart at most; 0: crops are single views.
    consistency : float
        Weight of the difference of two views where they overlap.
    glass : float
        Share of the views whose tissue ends on glass.
    smooth : bool
        The smooth form of the network (`TissueNetwork`).
    classes : tuple of str
        Of the map: those of tissue or those of quality.
    """

    steps: int = 3050
    decay_steps: int = 1300
    restarts: tuple[int, ...] = (2200, 2700)
    batch: int = 8
    crop_px: int = 256
    learning_rate: float = 1e-3
    encoder_rate: float = 0.35
    weight_decay: float = 0.02
    ema: float = 0.995
    seed: int = 1
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    reach_px: int = 0
    consistency: float = 0.0
    glass: float = 0.0
    smooth: bool = False
    classes: tuple[str, ...] = TISSUE_CLASSES
