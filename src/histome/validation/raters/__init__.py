"""What several people, or people and a model, said of the same cells: agreement, consensus, accuracy.

Everything is a sum over cells of parts, so that an interval of 10,000 draws resamples counts of equal cells
(or slides) and never rows.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.validation.raters.accuracy import Judge, compare, score_answers, score_study
    from histome.validation.raters.alpha import agreement, coincidences, krippendorff_alpha
    from histome.validation.raters.consensus import Consensus, consensus_of
    from histome.validation.raters.votes import Votes, read_answers, read_votes

__all__ = [
    "Consensus",
    "Judge",
    "Votes",
    "agreement",
    "coincidences",
    "compare",
    "consensus_of",
    "krippendorff_alpha",
    "read_answers",
    "read_votes",
    "score_answers",
    "score_study",
]
__getattr__ = opened(__name__, __file__)
