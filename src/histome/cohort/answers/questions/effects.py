"""How large is a difference: effect sizes with intervals, of ranks."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata

from histome.cohort.answers.tables.measured import Floats

_Z = float(ndtri(0.975))


class Effect(NamedTuple):
    """A size with its 95 % interval."""

    value: float
    low: float
    high: float


def superiority(first: Floats, second: Floats) -> Effect:
    """Return the probability that one of `second` lies above one of `first`, ties counting half; 0.5: alike.

    The area under the ROC curve. Variance by DeLong et al. 1988 (doi:10.2307/2531595), the interval on the
    logit scale; where the groups do not overlap, by the rule of three over the smaller group.
    """
    m, n = len(first), len(second)
    every = rankdata(np.concatenate([first, second]))
    above_first = 1 - (every[:m] - rankdata(first)) / n  # share of `second` above each of `first`
    above_second = (every[m:] - rankdata(second)) / m
    area = float(above_second.mean())
    variance = above_first.var(ddof=1) / m + above_second.var(ddof=1) / n
    if area in (0.0, 1.0) or not variance > 0:
        edge = 3 / min(m, n)
        return Effect(area, max(0.0, area - edge), min(1.0, area + edge))
    half = _Z * np.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-half, half]))
    return Effect(area, float(low), float(high))


def shift(first: Floats, second: Floats) -> Effect:
    """Return by how much `second` lies above `first`, in their unit: the median of all differences.

    Hodges and Lehmann 1963 (doi:10.1214/aoms/1177704172); the interval from the order statistics that the
    Mann-Whitney test would not refuse (normal approximation with ties).
    """
    m, n = len(first), len(second)
    differences = np.sort(np.subtract.outer(second, first).ravel())
    _, ties = np.unique(np.concatenate([first, second]), return_counts=True)
    total = m + n
    tied = (ties**3 - ties).sum() / (total * (total - 1))
    spread = np.sqrt(m * n / 12 * (total + 1 - tied))
    rank = int(np.clip(np.floor(m * n / 2 - _Z * spread), 0, (m * n - 1) // 2))
    return Effect(float(np.median(differences)), float(differences[rank]), float(differences[-1 - rank]))


def explained(groups: list[Floats], rng: np.random.Generator, draws: int = 400) -> Effect:
    """Return epsilon squared, the share of the variance of ranks that lies between groups, 0-1.

    Kelley 1935; the interval by bootstrap of the ranks within groups, not under 0.
    """
    sizes = [len(group) for group in groups]
    ranks = np.split(rankdata(np.concatenate(groups)), np.cumsum(sizes)[:-1])
    found = float(_epsilon([each[None] for each in ranks])[0])
    again = _epsilon([each[rng.integers(0, len(each), (draws, len(each)))] for each in ranks])
    # Drawing adds as much variance between groups as chance had added to the value: taken off again.
    low, high = np.percentile(again - (again.mean() - found), (2.5, 97.5))
    return Effect(max(0.0, found), max(0.0, float(low)), min(1.0, max(0.0, float(high))))


def _epsilon(ranks: list[Floats]) -> Floats:
    """Return epsilon squared of each draw, from the ranks of each group (draws, size)."""
    sizes = np.array([each.shape[1] for each in ranks])
    means = np.stack([each.mean(axis=1) for each in ranks])
    n, k = sizes.sum(), len(sizes)
    middle = sizes @ means / n
    whole = sum(((each - middle[:, None]) ** 2).sum(axis=1) for each in ranks)
    between = sizes @ (means - middle) ** 2
    share = np.divide(between, whole, out=np.zeros(len(middle)), where=whole > 0)
    return 1 - (1 - share) * (n - 1) / (n - k)
