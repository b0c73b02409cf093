"""Least squares where some rows are of one patient: a random intercept for each, by REML."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from histome.cohort.answers.tables.measured import Floats


class Fit(NamedTuple):
    """Coefficients with their standard errors, and the share of the variance that lies between patients."""

    value: Floats
    error: Floats
    between: float


def fit_means(y: Floats, x: Floats, patients: NDArray[np.str_]) -> Fit | None:
    """Return the coefficients of y (n,) on x (n, k); None where x does not have k directions in these rows.

    With several rows of a patient y = x b + u + e, u the patient's, e the row's: the ratio of their variances
    is that of the largest restricted likelihood, found along one line, for given the ratio the rest is least
    squares on rows less a part of their patient's mean (Laird and Ware 1982, doi:10.2307/2529876). Thousands
    of metrics take seconds. With one row a patient, least squares with HC3 errors (MacKinnon and White 1985).
    """
    if len(y) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    _, place, sizes = np.unique(patients, return_inverse=True, return_counts=True)
    if sizes.max() == 1:
        return _least_squares(y, x)
    means = np.zeros((len(sizes), x.shape[1] + 1))
    both = np.column_stack([x, y])
    np.add.at(means, place, both)
    means = (means / sizes[:, None])[place]
    size = sizes[place].astype(np.float64)

    def off(log_ratio: float) -> float:
        return _reml(both, means, size, np.exp(log_ratio))[0]

    best = minimize_scalar(off, bounds=(-12.0, 6.0), method="bounded", options={"xatol": 1e-6})
    ratio = float(np.exp(best.x)) if best.fun < off(-12.0) else 0.0
    _, value, error = _reml(both, means, size, ratio)
    return Fit(value, error, ratio / (1 + ratio))


def _reml(both: Floats, means: Floats, size: Floats, ratio: float) -> tuple[float, Floats, Floats]:
    """Return -2 x the restricted log likelihood but for a constant, coefficients, standard errors."""
    part = 1 - 1 / np.sqrt(1 + size * ratio)
    turned = both - part[:, None] * means
    x, y = turned[:, :-1], turned[:, -1]
    products = x.T @ x
    value = np.linalg.solve(products, x.T @ y)
    free = len(y) - x.shape[1]
    variance = ((y - x @ value) ** 2).sum() / free
    # Each patient once: the sum over rows of log(1 + size ratio) / size.
    spread = (np.log1p(size * ratio) / size).sum()
    likelihood = free * np.log(variance) + spread + np.linalg.slogdet(products)[1]
    error = np.sqrt(variance * np.diag(np.linalg.inv(products)))
    return float(likelihood), value.astype(np.float64), error.astype(np.float64)


def _least_squares(y: Floats, x: Floats) -> Fit:
    inverse = np.linalg.inv(x.T @ x)
    value = inverse @ x.T @ y
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    off = (y - x @ value) / np.maximum(1 - leverage, 1e-12)
    bread = inverse @ (x * off[:, None] ** 2).T @ x @ inverse
    return Fit(value, np.sqrt(np.diag(bread)), 0.0)
