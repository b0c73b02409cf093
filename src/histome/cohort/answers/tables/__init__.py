"""The numbers of a cohort as tables: read, pooled by patient, written, asked by SQL."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cohort.answers.tables.measured import CohortNumbers, manifest_rows, profiles_of, read_cohort
    from histome.cohort.answers.tables.pooling import pool_patients, rule_of
    from histome.cohort.answers.tables.sql import ask_sql
    from histome.cohort.answers.tables.writing import write_tables

__all__ = [
    "CohortNumbers",
    "ask_sql",
    "manifest_rows",
    "pool_patients",
    "profiles_of",
    "read_cohort",
    "rule_of",
    "write_tables",
]
__getattr__ = opened(__name__, __file__)
