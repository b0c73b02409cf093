"""Which of a network's own answers may teach the next network: the surest ones.

The entropy filter of SegTME-UNI2 (arXiv:2606.17702): keep what lies under a percentile of the entropy.
"""

import numpy as np
from numpy.typing import NDArray


def entropy(probabilities: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """-sum p ln p over an axis, nats: 0 (sure) to ln of the number of classes."""
    p = np.maximum(probabilities, 1e-12)
    return -(p * np.log(p)).sum(axis)


def surest(entropies: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    """Which answers are kept: entropy at or under the percentile of `share`; NaN, no answer, is not.

    Parameters
    ----------
    entropies : (n,) float
        Of each answer.
    share : float, 0-1
        Of the answers.
    """
    seen = np.isfinite(entropies)
    if not seen.any():
        return np.zeros(len(entropies), bool)
    return seen & (entropies <= np.quantile(entropies[seen], share))
