"""What frozen vectors know: probes that learn from some sources and are asked about others."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from histome.validation.resampling import Estimate, bootstrap

Floats = NDArray[np.float32]
Probe = Callable[[Floats, NDArray, Floats], NDArray]

_FOLDS = 5
_RIDGE = 0.1
_NEIGHBORS = 5


def macro_f1(truth: NDArray, found: NDArray) -> float:
    """Mean over the classes in `truth` of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for label in np.unique(truth):
        hit = np.sum((truth == label) & (found == label))
        scores.append(2 * hit / (np.sum(truth == label) + np.sum(found == label)))
    return float(np.mean(scores))


def ridge(x: Floats, y: Floats, weight: Floats, new: Floats) -> Floats:
    """(m, k) predictions for new (m, c) by weighted ridge regression of y (n, k) on standardized x (n, c)."""
    mean, std = x.mean(0), x.std(0) + 1e-6
    x, new = (np.hstack([(a - mean) / std, np.ones((len(a), 1), a.dtype)]) for a in (x, new))
    weighted = x * (weight / weight.sum())[:, None].astype(np.float32)
    gram = weighted.T @ x + _RIDGE * np.eye(x.shape[1], dtype=x.dtype)
    return new @ np.linalg.solve(gram, weighted.T @ y)


def linear_probe(x: Floats, y: NDArray, new: Floats) -> NDArray:
    """Labels of `new` (m, c) by ridge regression of x (n, c) on one-hot labels, classes weighed the same."""
    names, codes = np.unique(y, return_inverse=True)
    weight = (1 / np.bincount(codes))[codes].astype(np.float32)
    one_hot = np.eye(len(names), dtype=np.float32)[codes]
    return names[np.argmax(ridge(x, one_hot, weight, new), axis=1)]


def leave_sources_out(
    x: Floats, y: NDArray, sources: NDArray, probe: Probe, *, rng: np.random.Generator | None = None
) -> NDArray:
    """What `probe` (x, y, new x -> new y) says of each row when it learns from other sources; five folds.

    Sources are taken in order, or as `rng` shuffles them: names that begin with the label want that.
    """
    found, names = np.empty_like(y), np.unique(sources)
    for fold in source_folds(names if rng is None else rng.permutation(names)):
        out = np.isin(sources, fold)
        found[out] = probe(x[~out], y[~out], x[out])
    return found


def source_folds(names: NDArray) -> list[NDArray]:
    """Sources in five parts, or as many as there are."""
    return np.array_split(names, min(_FOLDS, len(names)))


def source_hits(x: Floats, sources: NDArray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether a linear probe tells the source of each row of a random half, learning from the other half.

    High where the features are the slide's signature, which helps nobody on another slide.
    """
    order = rng.permutation(len(x))
    learned, asked = order[: len(x) // 2], order[len(x) // 2 :]
    return linear_probe(x[learned], sources[learned], x[asked]) == sources[asked]


def r_squared(truth: Floats, found: Floats) -> float:
    """1 - squared error / variance."""
    return float(1 - np.mean((truth - found) ** 2) / np.var(truth))


def knn_probe(x: Floats, y: NDArray, new: Floats, *, k: int = _NEIGHBORS) -> NDArray:
    """Labels of `new` (m, c): the majority of their k nearest of x (n, c) by cosine, standardized as x is."""
    mean, std = x.mean(0), x.std(0) + 1e-6
    known, asked = ((a - mean) / std for a in (x, new))
    known, asked = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12) for a in (known, asked))
    likeness = asked @ known.T
    names, codes = np.unique(y, return_inverse=True)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    weight = np.take_along_axis(likeness, nearest, 1) + 2
    votes = np.stack([(weight * (codes[nearest] == code)).sum(1) for code in range(len(names))], axis=1)
    return names[votes.argmax(1)]


PROBES: dict[str, Probe] = {"knn": knn_probe, "linear": linear_probe}


def balanced_accuracy(
    truth: NDArray, found: NDArray, groups: Sequence[str], *, rng: np.random.Generator
) -> Estimate:
    """Mean over the labels of the share found, with its interval by a bootstrap over groups.

    A label that a draw does not hold is left out of that draw's mean.

    Examples
    --------
    >>> import numpy as np
    >>> from histome.validation.probes import balanced_accuracy
    >>> truth, found = np.array(["a", "a", "a", "b"]), np.array(["a", "a", "b", "b"])
    >>> round(balanced_accuracy(truth, found, list("wxyz"), rng=np.random.default_rng(0)).value, 3)
    0.833
    """
    labels = np.unique(truth)
    mine = truth[:, None] == labels
    parts = np.concatenate([mine & (found == truth)[:, None], mine], axis=1).astype(float)
    return bootstrap(parts, groups, partial(_mean_share, len(labels)), rng=rng)


def _mean_share(count: int, sums: NDArray[np.floating]) -> NDArray[np.floating]:
    right, all_ = sums[:, :count], sums[:, count:]
    share = np.divide(right, all_, out=np.full_like(right, np.nan), where=all_ > 0)
    return np.nanmean(share, axis=1)
