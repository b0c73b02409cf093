"""One page of answers: what is said, tables, figures."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cohort.answers.page.answer import Answer
    from histome.cohort.answers.page.pages import write_answers

__all__ = ["Answer", "write_answers"]
__getattr__ = opened(__name__, __file__)
