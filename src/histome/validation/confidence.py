"""Is the confidence true, and what does leaving out the unsure buy? As additive parts, for the bootstrap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BINS = 15
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)

_Floats = NDArray[np.floating]


def bin_of(confidence: _Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Which of `bins` equal steps each confidence lies in."""
    return np.minimum((np.asarray(confidence, float) * bins).astype(int), bins - 1)


def calibration_parts(confidence: _Floats, correct: NDArray[np.bool_], bins: int = BINS) -> _Floats:
    """(3 * bins,) number, summed confidence and right answers of each of `bins` equal steps of confidence."""
    step = bin_of(confidence, bins)
    columns = (None, confidence, correct.astype(float))
    return np.concatenate([np.bincount(step, weights, minlength=bins).astype(float) for weights in columns])


def expected_calibration_error(sums: _Floats) -> _Floats:
    """Mean distance of confidence from accuracy over the bins, weighted by their numbers (Guo et al. 2017).

    Maps (..., 3 * bins) summed `calibration_parts` to (...,) values in 0-1; NaN without any answer.
    """
    number, confidence, right = np.split(np.asarray(sums, float), 3, axis=-1)
    total = number.sum(-1)
    gap = np.abs(confidence - right).sum(-1)
    return np.divide(gap, total, out=np.full_like(total, np.nan), where=total > 0)


def confusion_parts(true: NDArray[np.integer], guess: NDArray[np.integer], n: int) -> _Floats:
    """(n * n,) confusion matrix, rows the truth."""
    return np.bincount(true * n + guess, minlength=n * n).astype(float)


def class_f1(matrix: _Floats) -> _Floats:
    """(..., n) F1 of each class from (..., n, m) confusions, rows the truth; columns beyond n are misses.

    NaN for a class in neither truth nor answers.
    """
    n = matrix.shape[-2]
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    both = matrix.sum(-1) + matrix[..., :n].sum(-2)
    return np.divide(2 * hits, both, out=np.full_like(both, np.nan), where=both > 0)


def mean_known(scores: _Floats) -> _Floats:
    """Mean of (..., n) scores over those that are not NaN; NaN where all are."""
    known = np.isfinite(scores)
    number = known.sum(-1)
    total = np.where(known, scores, 0).sum(-1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def macro_f1(sums: _Floats) -> _Floats:
    """Mean F1 over the classes that occur in truth or answer, from (..., n * n) summed confusions."""
    sums = np.asarray(sums, float)
    n = round(sums.shape[-1] ** 0.5)
    return mean_known(class_f1(sums.reshape(*sums.shape[:-1], n, n)))


def balanced_accuracy(sums: _Floats) -> _Floats:
    """Mean recall over the classes of (..., n * n) summed confusions; NaN where a class has no truth."""
    sums = np.asarray(sums, float)
    n = round(sums.shape[-1] ** 0.5)
    matrix = sums.reshape(*sums.shape[:-1], n, n)
    asked = matrix.sum(-1)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return np.divide(hits, asked, out=np.full_like(asked, np.nan), where=asked > 0).mean(-1)


def coverage_curve(
    confidence: _Floats,
    true: NDArray[np.integer],
    guess: NDArray[np.integer],
    n: int,
    coverages: Sequence[float] = COVERAGES,
) -> list[dict[str, float]]:
    """Macro F1 of the surest share of the answers, for each share: {coverage, confidence, macro_f1, n}.

    Ties go in the order given; `confidence` is the smallest one that was kept.
    """
    order = np.argsort(-np.asarray(confidence, float), kind="stable")
    curve = []
    for coverage in coverages:
        kept = order[: max(1, round(coverage * len(order)))] if len(order) else order
        if not len(kept):
            continue
        score = float(macro_f1(confusion_parts(true[kept], guess[kept], n)))
        least = float(confidence[kept[-1]])
        curve.append({"coverage": coverage, "confidence": least, "macro_f1": score, "n": len(kept)})
    return curve
