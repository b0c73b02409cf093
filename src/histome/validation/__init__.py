"""Is it true? Scores against labels as additive parts, and their intervals by a bootstrap over sources.

`score_field` and `score_tissue` score what a model found, `score_tables` makes a card's figures of it;
`restain` shows a field as another laboratory would have.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.validation.agreement import cohen_kappa
    from histome.validation.maps.tissue import score_tissue
    from histome.validation.matching import detection_counts, instance_scores, match_centers
    from histome.validation.narrative import score_narratives
    from histome.validation.nuclei import FieldScore, score_field, score_tables
    from histome.validation.resampling import Estimate, bootstrap
    from histome.validation.scores import Found
    from histome.validation.staining import restain

__all__ = [
    "Estimate",
    "FieldScore",
    "Found",
    "bootstrap",
    "cohen_kappa",
    "detection_counts",
    "instance_scores",
    "match_centers",
    "restain",
    "score_field",
    "score_narratives",
    "score_tables",
    "score_tissue",
]
__getattr__ = opened(__name__, __file__)
