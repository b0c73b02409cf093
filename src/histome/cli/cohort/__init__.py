"""The commands of `histome cohort`: answers from the profiles of many slides."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cli.cohort.answers import add_answers, cohort

__all__ = ["add_answers", "cohort"]
__getattr__ = opened(__name__, __file__)
