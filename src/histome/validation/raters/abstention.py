"""What saying nothing buys: F1 against the share answered, by a model's confidence, by people's `unsure`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.validation.confidence import BINS, bin_of, expected_calibration_error
from histome.validation.raters.accuracy import Drawing, Judge, Truth, confusions, mean_f1
from histome.validation.raters.votes import MISSING
from histome.validation.resampling import interval

STEPS = 20


def coverage_rows(
    model: Judge, truth: NDArray[np.integer], labels: Sequence[str], drawing: Drawing
) -> list[dict[str, Any]]:
    """Macro F1 of the surest 5, 10 ... 100 % of the model's answers, each with its interval.

    Of the cells answered only: at a coverage of 1 an abstention is still a miss. Ties of confidence go in the
    order of the cells. Rows of judge, measure, coverage, confidence (the least kept), value, low, high, n.
    """
    order = _by_confidence(model, truth)
    return [
        _row(model, truth, labels, drawing, order[: max(1, round(share * len(order)))], share)
        for share in (np.arange(1, STEPS + 1) / STEPS).tolist()
    ]


def matched_rows(
    model: Judge,
    rater: Judge,
    truth: Truth,
    labels: Sequence[str],
    drawing: Drawing,
) -> list[dict[str, Any]]:
    """A rater's macro F1 on what they answered, and the model's on as many of its surest cells.

    Both on the cells that both were given. A rater answers all but the cells called `unsure`; one without a
    truth has no value.
    """
    shared = np.where(rater.given, truth.codes, MISSING)
    known = (shared >= 0) & model.given
    said = np.flatnonzero(known & (rater.codes >= 0))
    share = len(said) / known.sum() if known.any() else np.nan
    rows = [_row(rater, shared, labels, drawing, said, share)]
    if len(said):
        order = _by_confidence(model, shared)
        surest = _row(model, shared, labels, drawing, order[: len(said)], share)
        rows.append(surest | {"judge": f"{model.name}, as many as {rater.name}"})
    return [{"judge": row["judge"], "truth": truth.name, **row} for row in rows]


def calibration_rows(
    model: Judge, truth: NDArray[np.integer], drawing: Drawing
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Expected calibration error and the area under risk-coverage; and the bins of the reliability diagram.

    Risk is the share of wrong answers among the surest; its mean over all coverages is the area (0 is best,
    Geifman and El-Yaniv 2017). The bins: from, to, n, confidence (mean), accuracy.
    """
    order = _by_confidence(model, truth)
    right = (model.codes == truth)[order]
    confidence = _confidence(model)[order]
    parts = np.zeros((len(truth), 3 * BINS))
    step = bin_of(confidence)
    for column, values in enumerate((np.ones(len(order)), confidence, right)):
        parts[order, column * BINS + step] = values
    kept = np.isin(np.arange(len(truth)), order)
    total = parts[kept].sum(0)
    error = interval(
        float(expected_calibration_error(total)),
        expected_calibration_error(drawing.of(parts, kept)),
        len(order),
    )
    risk = float((np.cumsum(~right) / np.arange(1, len(order) + 1)).mean())
    same = {"judge": model.name, "label": "all"}
    area = {"value": risk, "low": np.nan, "high": np.nan, "n": len(order)}
    rows = [
        same | {"measure": "expected calibration error", **error.row()},
        same | {"measure": "area under risk-coverage", **area},
    ]
    return rows, _bins(total)


def _bins(total: NDArray[np.floating]) -> list[dict[str, Any]]:
    number, confidence, right = np.split(total, 3)
    return [
        {"from": k / BINS, "to": (k + 1) / BINS, "n": int(n), "confidence": c / n, "accuracy": r / n}
        for k, (n, c, r) in enumerate(zip(number, confidence, right, strict=True))
        if n
    ]


def _by_confidence(model: Judge, truth: NDArray[np.integer]) -> NDArray[np.intp]:
    """Items whose truth is known and that the model was given, the surest first."""
    confidence = _confidence(model)
    known = np.flatnonzero((truth >= 0) & model.given)
    if not len(known):
        raise DataError(f"no cell with a consensus has an answer of {model.name}.")
    return known[np.argsort(-confidence[known], kind="stable")]


def _confidence(model: Judge) -> NDArray[np.float64]:
    if model.confidence is None:
        raise DataError(f"the answers of {model.name} have no column confidence: abstention needs it.")
    return model.confidence


def _row(
    judge: Judge,
    truth: NDArray[np.integer],
    labels: Sequence[str],
    drawing: Drawing,
    items: NDArray[np.intp],
    share: float,
) -> dict[str, Any]:
    n, kept = len(labels), np.zeros(len(truth), bool)
    kept[items] = True
    parts = confusions(truth, judge.codes, n)
    found = interval(float(mean_f1(parts[kept].sum(0), n)), mean_f1(drawing.of(parts, kept), n), len(items))
    least = float(judge.confidence[items].min()) if judge.confidence is not None and len(items) else np.nan
    same = {"judge": judge.name, "measure": "macro F1", "coverage": share, "confidence": least}
    return same | found.row()
