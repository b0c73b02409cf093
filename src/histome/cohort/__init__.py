"""Many slides: each in a process of its own, on one machine or many, and where all of them stand."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cohort.ahead import Ahead
    from histome.cohort.cluster import QueueConfig
    from histome.cohort.estimate import Cost, estimate_cost
    from histome.cohort.local import Outcome, profile_slides, worst_exit_code
    from histome.cohort.manifest import CohortSlide, read_slides
    from histome.cohort.run import CohortOptions, run_cohort
    from histome.cohort.status import CohortStatus, read_status
    from histome.cohort.supervise import Limits

__all__ = [
    "Ahead",
    "CohortOptions",
    "CohortSlide",
    "CohortStatus",
    "Cost",
    "Limits",
    "Outcome",
    "QueueConfig",
    "estimate_cost",
    "profile_slides",
    "read_slides",
    "read_status",
    "run_cohort",
    "worst_exit_code",
]
__getattr__ = opened(__name__, __file__)
