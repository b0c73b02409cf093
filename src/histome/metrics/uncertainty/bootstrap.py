"""Intervals by drawing blocks of tissue: what another piece of the same tissue could have given.

A slide is taken as a sample of blocks. They are drawn with replacement, as many as there are, the same
draws for every metric; each draw gives every number anew from its sums. The interval is BCa (Efron 1987,
doi:10.1080/01621459.1987.10478410) with what its coverage needs where blocks are few: quantiles of
Student's t instead of the normal (Hesterberg 2015, doi:10.1080/00031305.2015.1089789), its degrees of
freedom from the kurtosis of what single blocks weigh (a value that hangs on few blocks has few), and a
width that grows with the covariance of blocks that touch (Conley 1999,
doi:10.1016/S0304-4076(98)00084-0), less what it owes to their mean.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.threads import ordered_map

LEVEL = 0.95
FEWEST_BLOCKS = 8
FEW_BLOCKS = f"fewer than {FEWEST_BLOCKS} blocks of tissue"
HANGS_ON_FEW = f"the value hangs on fewer than {FEWEST_BLOCKS} blocks"
NO_SPREAD = "no block differs"
# A sum is NaN where blocks do not give the number.
UNTOLD = "untold"
_UNDEFINED = "not defined in one draw of a hundred"
# Of the variance, for the covariance of neighbors: more would lie beyond what 1,000 draws show.
_MOST_WIDENING = 2.5
# Blocks left out at a time: 8 MB per 1,000 metrics.
_LEFT_OUT = 1024
_COLUMNS = 32


class Draws(NamedTuple):
    """How often each block is drawn: (blocks, draws) uint8, and the blocks that touch, (pairs, 2)."""

    weights: NDArray[np.uint8]
    pairs: NDArray[np.int64]


class Interval(NamedTuple):
    """Ends of the interval, NaN where `reason` says why there is none; all of the template's shape.

    `wider` is how many times as far from the value the ends of a band lie that holds a whole function.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    reason: NDArray[np.object_]
    wider: NDArray[np.float64]


class _Influence(NamedTuple):
    """What follows from leaving each block out: acceleration, effective blocks, factor of the variance."""

    acceleration: NDArray[np.float64]
    effective: NDArray[np.float64]
    widening: NDArray[np.float64]


def draw_blocks(blocks: Blocks, draws: int, seed: int) -> Draws:
    """Draw the blocks, as many as there are, `draws` times."""
    n = len(blocks)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=draws)
    return Draws(np.ascontiguousarray(drawn.T.astype(np.uint8)), blocks.pairs)


def block_interval(given: BlockSums, drawn: Draws, *, along: int | None = None, workers: int = 1) -> Interval:
    """Return the 95 % intervals of the numbers that the sums give; `workers` never change them.

    `along` is the axis that the numbers are a function of, where they are one.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = given.value(*(column.sum(axis=0)[None] for column in given.sums))[0]
        again = given.value(*(resample(column, drawn.weights, workers=workers) for column in given.sums))
        weighed = _influence(given, drawn.pairs)
        low, high, defined = _ends(whole.ravel(), again.reshape(len(again), -1), weighed)
    reason = np.full(whole.size, "", object)
    reason[~defined] = _UNDEFINED
    reason[~(weighed.effective >= FEWEST_BLOCKS)] = HANGS_ON_FEW
    reason[weighed.effective == np.inf] = NO_SPREAD
    unknown = any(np.isnan(column.sum()) for column in given.sums)
    reason[~np.isfinite(whole.ravel())] = UNTOLD if unknown else NO_SPREAD  # there is nothing
    low[reason != ""] = high[reason != ""] = np.nan
    known = (reason == "").reshape(whole.shape)
    wider = np.ones(whole.shape) if along is None else _wider(again, known, along)
    shape = whole.shape
    return Interval(low.reshape(shape), high.reshape(shape), reason.reshape(shape), wider)


def _wider(again: NDArray[np.float64], known: NDArray[np.bool_], along: int) -> NDArray[np.float64]:
    """Return by how much intervals grow until 95 % of the draws lie in those of all distances at once.

    The largest standardized distance of a draw from the middle of the draws, at its 95 % quantile, over that
    of one number (sup-t band: Montiel Olea and Plagborg-Moller 2019, doi:10.1002/jae.2656).
    """
    again = np.where(known & np.isfinite(again), again, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers without an interval
        off = np.abs(again - np.nanmean(again, axis=0)) / np.nanstd(again, axis=0)
        farthest = np.nanquantile(np.nanmax(off, axis=along + 1, keepdims=True), LEVEL, axis=0)
        alone = np.nanquantile(off, LEVEL, axis=0)
    return np.fmax(farthest / alone, 1.0)


def resample(sums: NDArray[Any], weights: NDArray[np.uint8], *, workers: int = 1) -> NDArray[np.float64]:
    """Return the totals of every draw, (draws, ...), from sums (blocks, ...)."""
    columns = np.ascontiguousarray(sums.reshape(len(sums), -1).T, np.float64)
    totals = np.zeros((len(columns), weights.shape[1]))
    starts = range(0, len(columns), _COLUMNS)
    for _ in ordered_map(
        lambda at: _add_draws(columns, weights, (at, at + _COLUMNS), totals), starts, workers
    ):
        pass
    return totals.T.reshape(-1, *sums.shape[1:])


@njit(cache=True, nogil=True)
def _add_draws(columns, weights, span, totals):
    """Add every block as often as it was drawn; block by block, so that the order of a sum is always one."""
    for m in range(span[0], min(span[1], len(columns))):
        total = totals[m]
        for b in range(columns.shape[1]):
            summand = columns[m, b]
            if summand != 0.0:
                for d in range(len(total)):
                    total[d] += weights[b, d] * summand


def _influence(given: BlockSums, pairs: NDArray[np.int64]) -> _Influence:
    """Leave out each block in turn and return what follows from the values that are left."""
    n = len(given.sums[0])
    totals = [column.sum(axis=0)[None] for column in given.sums]
    left = np.concatenate(
        [
            given.value(*(t - c[lo : lo + _LEFT_OUT] for t, c in zip(totals, given.sums, strict=True)))
            for lo in range(0, n, _LEFT_OUT)
        ]
    ).reshape(n, -1)
    weight = left.mean(axis=0) - left
    weight[np.abs(weight) < 1e-12 * np.abs(left).max(axis=0)] = 0  # the rounding of equal values
    squares = weight**2
    second, fourth = squares.sum(axis=0), (squares**2).sum(axis=0)
    together = np.einsum("pm,pm->m", weight[pairs[:, 0]], weight[pairs[:, 1]])
    # The weights add up to 0, which makes two of them alone covary by -1 / (n - 1) of their variance.
    together += second * len(pairs) / (n * (n - 1))
    kurtosis = n * fourth / second**2
    effective = np.minimum(n, 1 + 2 * n / (kurtosis - 1))
    effective[second == 0] = np.inf
    return _Influence(
        (squares * weight).sum(axis=0) / (6 * second**1.5),
        effective,
        np.clip(1 + 2 * together / second, 1, _MOST_WIDENING) * n / (n - 1),
    )


def _ends(
    whole: NDArray[np.float64], again: NDArray[np.float64], weighed: _Influence
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return low and high of each number (m,) from its draws (draws, m), and whether they are defined."""
    draws = len(again)
    known = np.isfinite(again)
    n = np.count_nonzero(known, axis=0)
    tie = np.abs(again - whole) <= 1e-12 * np.abs(whole)
    below = (np.count_nonzero((again < whole) & ~tie, axis=0) + tie.sum(axis=0) / 2) / np.maximum(n, 1)
    bias = ndtri(np.clip(below, 1 / draws, 1 - 1 / draws))
    ordered = np.sort(np.where(known, again, np.nan).T, axis=1)  # NaN last
    reach = -stdtrit(weighed.effective - 1, (1 - LEVEL) / 2) * np.sqrt(weighed.widening)
    ends = []
    for z in (bias - reach, bias + reach):
        at = ndtr(bias + z / (1 - weighed.acceleration * z)) * (n - 1)
        ends.append(_between(ordered, np.where(np.isfinite(at), at, 0.0), n))
    return ends[0], ends[1], n > 0.99 * draws


def _between(
    ordered: NDArray[np.float64], at: NDArray[np.float64], n: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Interpolate each row of ordered values at a place between 0 and n - 1."""
    rows = np.arange(len(ordered))
    first = np.clip(np.floor(at).astype(np.int64), 0, np.maximum(n - 1, 0))
    second = np.minimum(first + 1, np.maximum(n - 1, 0))
    share = at - first
    return ordered[rows, first] * (1 - share) + ordered[rows, second] * share
