"""Questions to a cohort, one a module: each takes its numbers and returns an answer."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cohort.answers.questions.batch import find_batch
    from histome.cohort.answers.questions.choose import choose_metrics
    from histome.cohort.answers.questions.clusters import find_clusters
    from histome.cohort.answers.questions.combat import harmonize
    from histome.cohort.answers.questions.compare import compare_groups
    from histome.cohort.answers.questions.immune import immune_phenotypes
    from histome.cohort.answers.questions.mixed import model_groups
    from histome.cohort.answers.questions.outliers import find_outliers
    from histome.cohort.answers.questions.survival import follow_up

__all__ = [
    "choose_metrics",
    "compare_groups",
    "find_batch",
    "find_clusters",
    "find_outliers",
    "follow_up",
    "harmonize",
    "immune_phenotypes",
    "model_groups",
]
__getattr__ = opened(__name__, __file__)
