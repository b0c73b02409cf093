"""Scores of maps, of tissue and of quality, against labels of pixels and of whole tiles."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.validation.maps.evidence import tissue_evidence, tissue_support
    from histome.validation.maps.labeled import score_maps
    from histome.validation.maps.semantic import confusion, dice, mean_iou
    from histome.validation.maps.tissue import score_tissue, steadiness

__all__ = [
    "confusion",
    "dice",
    "mean_iou",
    "score_maps",
    "score_tissue",
    "steadiness",
    "tissue_evidence",
    "tissue_support",
]
__getattr__ = opened(__name__, __file__)
