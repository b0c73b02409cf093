"""Many slides: one after the other, each with an outcome of its own."""

from histome.cohort.local import Outcome, profile_slides, worst_exit_code

__all__ = ["Outcome", "profile_slides", "worst_exit_code"]
