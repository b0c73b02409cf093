"""Percentile bootstrap over slides, patients or fields: never over cells, which are not independent."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Counts of kinds drawn at once: 64 MB.
_CELLS_AT_ONCE = 8_000_000


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

    def row(self) -> dict[str, float]:
        """As columns of a table: value, low, high, n."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.units}


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
    return interval(value, score(times @ grouped), len(names))


def interval(value: float, drawn: NDArray[np.floating], units: int) -> Estimate:
    """A value with the 2.5 and 97.5 percentiles of the draws that have one; NaN where none has."""
    if not np.isfinite(drawn).any():  # nothing to score in any draw: no class, no pair
        return Estimate(value, float("nan"), float("nan"), units)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), units)


def draw_sums(
    parts: NDArray[np.floating],
    *,
    rng: np.random.Generator,
    units: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    draws: int = 10_000,
) -> NDArray[np.float64]:
    """Sums of the parts of as many units, drawn with replacement in each stratum: (draws, k).

    Equal units are counted first and their counts drawn by one multinomial: 10,000 draws of 100,000 cells
    take as long as those of the kinds of cells among them.

    Parameters
    ----------
    parts : (n, k) float
        Additive parts, one row a cell (or field).
    units : (n,) str or None
        Slide or patient of each row, whose rows are drawn together; each row is its own unit if None.
    strata : (n,) str or None
        Each unit is drawn within its stratum, so that the sizes of the strata stay; rows of a unit that lie
        in two strata are two units.

    Examples
    --------
    >>> import numpy as np
    >>> from histome.validation.resampling import draw_sums
    >>> right = np.array([[1.0], [0.0], [1.0], [1.0]])
    >>> drawn = draw_sums(right, rng=np.random.default_rng(0), draws=5)
    >>> drawn.shape, bool((drawn <= 4).all())
    ((5, 1), True)
    """
    parts = np.ascontiguousarray(parts, np.float64)
    stratum = np.zeros(len(parts), int) if strata is None else np.unique(strata, return_inverse=True)[1]
    unit = np.arange(len(parts)) if units is None else np.unique(units, return_inverse=True)[1]
    sums = np.zeros((draws, parts.shape[1]))
    for k in range(stratum.max(initial=-1) + 1):
        mine = stratum == k
        kinds, number = _kinds(_grouped(parts[mine], unit[mine]))
        step = max(1, _CELLS_AT_ONCE // len(kinds))
        for start in range(0, draws, step):
            block = sums[start : start + step]
            block += rng.multinomial(number.sum(), number / number.sum(), size=len(block)) @ kinds
    return sums


def _grouped(parts: NDArray[np.float64], unit: NDArray[np.integer]) -> NDArray[np.float64]:
    """The summed rows of each unit."""
    names, index = np.unique(unit, return_inverse=True)
    if len(names) == len(parts):
        return parts
    grouped = np.zeros((len(names), parts.shape[1]))
    np.add.at(grouped, index, parts)
    return grouped


def _kinds(parts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The rows that differ, and how often each is there; compared as bytes, faster than by number."""
    rows = np.ascontiguousarray(parts + 0.0).view(np.dtype((np.void, parts.shape[1] * 8))).ravel()
    _, first, number = np.unique(rows, return_index=True, return_counts=True)
    return parts[first], number


def f1(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """F1 of (…, 3) sums of true positives, false positives, false negatives; NaN where all are 0."""
    tp, fp, fn = np.moveaxis(np.asarray(sums, float), -1, 0)
    total = 2 * tp + fp + fn
    return np.divide(2 * tp, total, out=np.full_like(total, np.nan), where=total > 0)


def ratio(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """First part / second part of (…, 2) sums; NaN at a zero denominator."""
    top, bottom = np.moveaxis(np.asarray(sums, float), -1, 0)
    return np.divide(top, bottom, out=np.full_like(bottom, np.nan), where=bottom > 0)
