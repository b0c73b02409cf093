"""A reader study: what is shown to whom and when, as files that QuPath opens, and the answers read back.

`sample_regions` draws regions and nuclei with a seed, `write_study` writes a folder a rater that tells
nothing of the model's class, `collect_study` makes the tables that `histome.validation.raters` reads.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.validation.study.collected import Collected, collect_study
    from histome.validation.study.kit import StudyPlan, write_study
    from histome.validation.study.regions import StudyRegion, StudySlide, sample_regions

__all__ = [
    "Collected",
    "StudyPlan",
    "StudyRegion",
    "StudySlide",
    "collect_study",
    "sample_regions",
    "write_study",
]
__getattr__ = opened(__name__, __file__)
