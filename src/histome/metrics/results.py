"""What a family function returns: numbers with their sample size, and for each null the reason."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Result:
    """The numbers behind one template, all three arrays of the template's shape.

    `value` is NaN exactly where `reason` is not empty. A reason is one of the template's `nulls`; where it
    names the axes, as in "there is no {tissue}", the words are filled in when the table is written.
    """

    value: NDArray[np.float64]
    n: NDArray[np.int64]
    reason: NDArray[np.object_]


def result(value: ArrayLike, n: ArrayLike, *nulls: tuple[ArrayLike, str]) -> Result:
    """Return a Result of the shape of `value`; each (mask, reason) makes null, the first that holds counts.

    Raises ValueError when a value is not finite and no reason says why: a null never comes unexplained.
    """
    value = np.array(value, np.float64)
    reason = np.full(value.shape, "", object)
    for mask, why in nulls:
        reason[np.broadcast_to(mask, value.shape) & (reason == "")] = why
    value[reason != ""] = np.nan
    unexplained = ~np.isfinite(value) & (reason == "")
    if unexplained.any():
        raise ValueError(f"no reason for the null at {np.argwhere(unexplained)[0].tolist()}")
    return Result(value, np.broadcast_to(np.asarray(n, np.int64), value.shape), reason)


def all_null(shape: tuple[int, ...], why: str) -> Result:
    """Return a Result that is null everywhere for one reason."""
    return result(np.full(shape, np.nan), 0, (True, why))


def quotient(numerator: ArrayLike, denominator: ArrayLike, *, scale: float = 1.0) -> NDArray[np.float64]:
    """Return scale x numerator / denominator, NaN where the denominator is 0; shapes broadcast."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    ratio: NDArray[Any] = np.full(top.shape, np.nan)
    np.divide(scale * top, bottom, out=ratio, where=bottom != 0)
    return ratio
