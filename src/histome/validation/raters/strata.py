"""Scores by cancer, site, scanner and their crossings: the worst, the spread, those too small to tell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.validation.raters.accuracy import Drawing, Judge, confusions, mean_f1
from histome.validation.resampling import interval

# Of cells with a consensus; under this an interval of a macro F1 says next to nothing.
SMALL = 50
_BETWEEN = " / "
_NOT_STATED = "(not stated)"


def stratum_of(columns: Mapping[str, NDArray[np.str_]], by: Sequence[str]) -> NDArray[np.str_]:
    """(n,) values joined by ` / `, `(not stated)` for a blank; DataError for a column that is not there."""
    missing = [name for name in by if name not in columns]
    if missing:
        known = ", ".join(columns) or "none"
        raise DataError(f"the votes have no column {', '.join(missing)}; columns to split by: {known}.")
    rows = zip(*(columns[name] for name in by), strict=True)
    return np.array([_BETWEEN.join(value or _NOT_STATED for value in values) for values in rows])


def stratum_rows(
    answers: Judge,
    truth: NDArray[np.integer],
    labels: Sequence[str],
    strata: NDArray[np.str_],
    drawing: Drawing,
    *,
    small: int = SMALL,
) -> list[dict[str, Any]]:
    """Macro F1 of each stratum, worst first, those too small marked and last: none is hidden.

    Rows of judge, stratum, value, low, high, n, too_small. A stratum without a scored cell has NaN and n 0.
    """
    n, parts = len(labels), confusions(truth, answers.codes, len(labels))
    rows = []
    for name in np.unique(strata).tolist():
        kept = (strata == name) & (truth >= 0) & answers.given
        total = parts[kept].sum(0)
        drawn = mean_f1(drawing.of(parts, kept), n) if kept.any() else np.full(1, np.nan)
        found = interval(float(mean_f1(total, n)), drawn, int(kept.sum()))
        rows.append({"judge": answers.name, "stratum": name, **found.row(), "too_small": found.units < small})
    return sorted(rows, key=lambda row: (row["too_small"], np.nan_to_num(row["value"], nan=2.0)))


def spread(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The best less the worst of the strata that are large enough; {} for fewer than two."""
    large = [row for row in rows if not row["too_small"]]
    if len(large) < 2:
        return {}
    worst, best = (pick(large, key=lambda row: row["value"]) for pick in (min, max))
    return {
        "spread": best["value"] - worst["value"],
        "worst": worst["stratum"],
        "best": best["stratum"],
        "strata": len(large),
    }


def heat_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of two crossed columns as row, column, value, n, too_small, in the order of their names."""
    cells = []
    for row in sorted(rows, key=lambda each: each["stratum"]):
        first, _, second = row["stratum"].partition(_BETWEEN)
        cells.append({"row": first, "column": second, **{k: row[k] for k in ("value", "n", "too_small")}})
    return cells
