"""From a z to a p, and from the p of a family of tests to what is left of all at once."""

from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


def two_sided(z: Floats) -> Floats:
    """Return the probability of a standard normal at least as far from 0 as z; NaN stays."""
    return 2 * ndtr(-np.abs(z))


def z_of_log2(fold: Floats, sd: Floats) -> Floats:
    """Return (pairs - mean) / SD from log2(pairs / mean) and SD / (mean ln 2)."""
    return (2.0**fold - 1) / (sd * log(2))


def benjamini_hochberg(p: Floats) -> Floats:
    """Return the q of each p (n,): the smallest false discovery rate at which it is a discovery.

    Benjamini and Hochberg 1995 (doi:10.1111/j.2517-6161.1995.tb02031.x): the least of p m / rank over the
    same and all larger p of m tests. NaN is no test and stays.
    """
    q = np.full(len(p), np.nan)
    tests = np.flatnonzero(np.isfinite(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    raw = p[order] * (len(order) / np.arange(1, len(order) + 1))
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q


def holm(p: Floats) -> Floats:
    """Return p (n,) as they are where n were tried at once: the chance that any test of no effect is below.

    Holm 1979 (jstor.org/stable/4615733): the largest of p (n - rank + 1) over the same and all smaller p.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    raw = p[order] * np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(raw), 1.0)
    return adjusted
