"""Percentile bootstrap over slides, patients or fields: never over cells, which are not independent."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Estimate(NamedTuple):
    """A value with its 95 % percentile interval and the number of resampled units."""

    value: float
    low: float
    high: float
    units: int

    def as_dict(self) -> dict[str, float]:
        """Rounded for a card: value, low, high, units."""
        numbers = {name: round(float(getattr(self, name)), 4) for name in ("value", "low", "high")}
        return {**numbers, "units": self.units}


def bootstrap(
    parts: NDArray[np.floating],
    groups: Sequence[str],
    score: Callable[[NDArray[np.floating]], NDArray[np.floating]],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
) -> Estimate:
    """Interval of a score of summed parts, by resampling groups with replacement.

    Parameters
    ----------
    parts : (n, k) float
        Additive parts of each unit (counts, sums), one row a field.
    groups : (n,) str
        The slide or patient of each row: rows of one group are drawn together.
    score : callable(sums)
        Maps (draws, k) sums to (draws,) scores; NaN where there is nothing to score. The interval is of the
        draws that have a score, NaN where none has.

    Examples
    --------
    Three fields of two slides, each with the number of right answers and of all:

    >>> import numpy as np
    >>> from histome.validation.resampling import bootstrap, ratio
    >>> parts = np.array([[8.0, 10.0], [6.0, 10.0], [9.0, 10.0]])
    >>> share = bootstrap(parts, ["slide 1", "slide 1", "slide 2"], ratio, rng=np.random.default_rng(0))
    >>> round(share.value, 3), share.units
    (0.767, 2)

    The fields of a slide are drawn together, so that the interval reaches from one slide to the other:

    >>> round(share.low, 3), round(share.high, 3)
    (0.7, 0.9)
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    grouped = np.zeros((len(names), parts.shape[1]))
    np.add.at(grouped, index, parts)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    value = float(score(grouped.sum(0, keepdims=True))[0])
    drawn = score(times @ grouped)
    if not np.isfinite(drawn).any():  # nothing to score in any draw: no class, no pair
        return Estimate(value, float("nan"), float("nan"), len(names))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(names))


def f1(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """F1 of (…, 3) sums of true positives, false positives, false negatives; NaN where all are 0."""
    tp, fp, fn = np.moveaxis(np.asarray(sums, float), -1, 0)
    total = 2 * tp + fp + fn
    return np.divide(2 * tp, total, out=np.full_like(total, np.nan), where=total > 0)


def ratio(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """First part / second part of (…, 2) sums; NaN at a zero denominator."""
    top, bottom = np.moveaxis(np.asarray(sums, float), -1, 0)
    return np.divide(top, bottom, out=np.full_like(bottom, np.nan), where=bottom > 0)
