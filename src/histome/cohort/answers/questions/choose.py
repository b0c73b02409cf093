"""Which metrics a question is asked of, and which rows can answer it."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError, UsageError
from histome.exports.workbook import CORE_NUMBERS
from histome.metrics.catalogue import FAMILIES, find_metric, list_metrics

# Below, neither a rank test nor an interval says anything.
FEWEST = 5
# Share of the rows that must have a value.
_KNOWN = 0.7
CORE = "core"
EVERY = "all"


def choose_metrics(measured: CohortNumbers, wanted: Sequence[str] = (CORE,)) -> CohortNumbers:
    """Return the numbers of the wanted metrics that vary and that most rows have.

    Parameters
    ----------
    wanted : sequence of str
        Names, names with * or ?, ids of families; "core" for the thirty numbers that people report, "all"
        for every metric that does not follow from others.

    Raises
    ------
    UsageError
        A word that names no metric.
    DataError
        None of them varies.
    """
    named = {name for word in wanted for name in _named(measured, word)}
    places = [k for k, name in enumerate(measured.names) if name in named]
    kept = [k for k in places if _usable(measured.value[:, k])]
    if not kept:
        raise DataError(
            f"none of {len(places)} metrics has values that differ in most of {len(measured)} rows"
        )
    return measured.columns(kept)


def _named(measured: CohortNumbers, word: str) -> list[str]:
    if word == CORE:
        return list(CORE_NUMBERS)
    if word == EVERY:
        return [name for name in measured.names if not _follows(name)]
    if word in FAMILIES:
        return [metric.name for metric in list_metrics([word])]
    found = [name for name in measured.names if fnmatchcase(name, word)]
    if not found:
        raise UsageError(
            f"no metric {word!r} in this cohort; give names (* stands for any letters), families, core or all"
        )
    return found


def _follows(name: str) -> bool:
    try:
        return bool(find_metric(name).derived)
    except UsageError:
        return False


def _usable(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return len(known) >= max(2, _KNOWN * len(values)) and bool(np.ptp(known) > 0)


def groups_of(
    measured: CohortNumbers, by: str, *, fewest: int = FEWEST
) -> tuple[CohortNumbers, NDArray[np.str_]]:
    """Return the rows that belong to a group and the group of each; DataError where there are too few."""
    column = measured.column(by)
    known = column != ""
    names, counts = np.unique(column[known], return_counts=True)
    what = f"{measured.each}s"
    if len(names) < 2:
        found = f"only {str(names[0])!r}" if len(names) else "nothing"
        raise DataError(f"column {by!r} holds {found}: a comparison needs two groups of {fewest} {what}")
    if len(names) > 12:
        raise DataError(f"column {by!r} holds {len(names)} groups: give a column of at most 12")
    if counts.min() < fewest:
        small = names[counts.argmin()]
        raise DataError(
            f"group {str(small)!r} of {by!r} has {counts.min()} {what}: {fewest} are needed; leave it empty "
            "in the manifest or join it with another"
        )
    return measured.rows(known), column[known]


def normal_scores(value: Floats) -> Floats:
    """Return the columns as normal scores of their ranks (Blom), NaN kept: any unit, no outliers."""
    scores = np.full(value.shape, np.nan)
    for k in range(value.shape[1]):
        known = np.isfinite(value[:, k])
        ranks = rankdata(value[known, k])
        scores[known, k] = ndtri((ranks - 0.375) / (known.sum() + 0.25))
    return scores


def filled_scores(value: Floats) -> Floats:
    """Return the normal scores with 0, their middle, where there is no value."""
    return np.nan_to_num(normal_scores(value), nan=0.0)


def in_words(names: Sequence[str]) -> list[str]:
    """Return the metrics as people call them, where there is such a name."""
    from histome.report.wording import plain_name_of

    plain = ((name, plain_name_of(name)) for name in names)
    return [called if called != name else name.replace("_", " ").capitalize() for name, called in plain]
