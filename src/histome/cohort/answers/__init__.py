"""Answers from a cohort's profiles: tables, SQL, comparisons, survival, batches, what is given away."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cohort.answers.page.answer import Answer
    from histome.cohort.answers.page.pages import write_answers
    from histome.cohort.answers.share.publish import publish_cohort
    from histome.cohort.answers.share.reference_ranges import write_reference
    from histome.cohort.answers.tables.measured import CohortNumbers, read_cohort
    from histome.cohort.answers.tables.pooling import pool_patients
    from histome.cohort.answers.tables.sql import ask_sql
    from histome.cohort.answers.tables.writing import write_tables

__all__ = [
    "Answer",
    "CohortNumbers",
    "ask_sql",
    "pool_patients",
    "publish_cohort",
    "read_cohort",
    "write_answers",
    "write_reference",
    "write_tables",
]
__getattr__ = opened(__name__, __file__)
