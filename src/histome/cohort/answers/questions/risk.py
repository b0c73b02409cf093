"""A penalized Cox model of several numbers, judged on patients that it has not seen."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.cohort.answers.questions.effects import Effect
from histome.cohort.answers.tables.measured import Floats
from histome.exports.extra import needed

_PENALTY = 0.1
_FOLDS = 5
_DRAWS = 200


@contextmanager
def lifelines_quiet() -> Iterator[None]:
    """Keep what lifelines says of pandas' future away from people."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def joint_rows(
    columns: Mapping[str, Floats], time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[list[dict[str, Any]], Effect]:
    """Return the model's coefficients, and how well it orders patients that it has not seen.

    The concordance is Harrell's, of risks predicted in 5 folds with as many events each.
    """
    fit = _fitted(columns, time, event, np.ones(len(time), bool))
    rows = [
        {
            "number": name,
            "hazard_ratio": float(found["exp(coef)"]),
            "low": float(found["exp(coef) lower 95%"]),
        }
        | {"high": float(found["exp(coef) upper 95%"]), "penalty": _PENALTY}
        for name, found in fit.summary.iterrows()
    ]
    risk = _predicted(columns, time, event, rng)
    return rows, _concordance(risk, time, event, rng)


def _fitted(
    columns: Mapping[str, Floats], time: Floats, event: NDArray[np.bool_], on: NDArray[np.bool_]
) -> Any:
    lifelines: Any = needed("lifelines", "cohort")
    pandas: Any = needed("pandas", "cohort")
    frame = pandas.DataFrame({name: column[on] for name, column in columns.items()})
    frame["the time"], frame["the event"] = time[on], event[on].astype(int)
    return lifelines.CoxPHFitter(penalizer=_PENALTY).fit(frame, "the time", "the event")


def _predicted(
    columns: Mapping[str, Floats], time: Floats, event: NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    """Return the log risk of each patient by a model of the other folds."""
    fold = np.empty(len(time), np.int64)
    for kind in (True, False):
        at = np.flatnonzero(event == kind)
        fold[rng.permutation(at)] = np.arange(len(at)) % _FOLDS
    risk = np.empty(len(time))
    matrix = np.column_stack(list(columns.values()))
    for k in range(_FOLDS):
        weights = _fitted(columns, time, event, fold != k).params_.to_numpy()
        # Folds have their own scale: only within a fold are risks compared, as offsets from its middle.
        found = matrix[fold == k] @ weights
        risk[fold == k] = found - found.mean()
    return risk


def _concordance(risk: Floats, time: Floats, event: NDArray[np.bool_], rng: np.random.Generator) -> Effect:
    utils: Any = needed("lifelines.utils", "cohort")
    again = []
    for _ in range(_DRAWS):
        drawn = rng.integers(0, len(time), len(time))
        again.append(utils.concordance_index(time[drawn], -risk[drawn], event[drawn]))
    low, high = np.percentile(again, (2.5, 97.5))
    return Effect(float(utils.concordance_index(time, -risk, event)), float(low), float(high))
