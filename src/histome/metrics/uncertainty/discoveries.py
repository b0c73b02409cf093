"""The columns of tests: p of each number that has an exact null model, q over the tests of its family."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.metrics.catalogue import FAMILIES
from histome.metrics.declaration import Metric
from histome.metrics.uncertainty.significance import benjamini_hochberg


def columns_of_tests(
    metrics: Sequence[Metric], found: Mapping[str, NDArray[np.float64]]
) -> dict[str, pa.Array]:
    """Return p and q of every metric that is a test, null for all others; a family's tests are one family.

    `found` is by pattern what the families' `tests` give.
    """
    p, q = np.full(len(metrics), np.nan), np.full(len(metrics), np.nan)
    for name in dict.fromkeys(metric.family for metric in metrics):
        if FAMILIES[name].tests is None:
            continue
        rows = [k for k, m in enumerate(metrics) if m.family == name and m.template.pattern in found]
        p[rows] = [found[metrics[k].template.pattern][metrics[k].index] for k in rows]
        # What is the same with two classes exchanged is one test.
        own = np.array([k for k in rows if not _is_mirrored(metrics[k])], np.int64)
        q[own] = benjamini_hochberg(p[own])
        of_own = {(metrics[k].template.pattern, metrics[k].index): q[k] for k in own}
        for k in set(rows) - set(own.tolist()):
            q[k] = of_own[metrics[k].template.pattern, metrics[k].index[::-1]]
    return {name: pa.array(column, mask=np.isnan(column)) for name, column in (("p", p), ("q", q))}


def _is_mirrored(metric: Metric) -> bool:
    """Whether the same stands under the two classes exchanged."""
    return metric.template.symmetric and metric.index[0] > metric.index[1]
