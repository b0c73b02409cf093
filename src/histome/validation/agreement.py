"""Agreement between raters beyond chance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histome.validation.resampling import Estimate


def kappa_of(tables: NDArray[np.number]) -> NDArray[np.float64]:
    """Cohen's kappa of (..., k, k) tables of counts, rows the first rater's labels.

    (p_o - p_e) / (1 - p_e); NaN where both gave every item the same one label, and for an empty table.
    Source: Cohen 1960, doi:10.1177/001316446002000104.
    """
    tables = np.asarray(tables, float)
    n = tables.sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(tables, axis1=-2, axis2=-1) / n
        expected = (tables.sum(-1) * tables.sum(-2)).sum(-1) / n**2
        return (observed - expected) / (1 - expected)


def cohen_kappa(
    first: Sequence[str], second: Sequence[str], *, rng: np.random.Generator, draws: int = 2000
) -> Estimate:
    """Return the kappa of two raters of the same items with its 95 % bootstrap interval over items.

    NaN where it is not defined. The table is resampled, not the rows: that takes no longer for many items.
    """
    names = {name: k for k, name in enumerate(sorted({*first, *second}))}
    table = np.zeros((len(names), len(names)))
    np.add.at(table, ([names[a] for a in first], [names[b] for b in second]), 1)
    n = int(table.sum())
    drawn = rng.multinomial(n, table.ravel() / n, size=draws).reshape(draws, *table.shape)
    values = kappa_of(drawn)
    low, high = np.nanpercentile(values, [2.5, 97.5]) if np.isfinite(values).any() else (np.nan, np.nan)
    return Estimate(float(kappa_of(table)), float(low), float(high), n)
