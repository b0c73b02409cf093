"""What a cohort gives to others: a data set without patient text, and reference ranges."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cohort.answers.share.publish import publish_cohort
    from histome.cohort.answers.share.reference_ranges import write_reference

__all__ = ["publish_cohort", "write_reference"]
__getattr__ = opened(__name__, __file__)
