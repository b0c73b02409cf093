"""Which metrics rest on classes that the model was hardly taught: the column `evidence` of the metrics."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from histome.classes import CELL_CLASSES
from histome.metrics.axes import AXES, CELL_NAMES, PAIR_OF
from histome.metrics.declaration import Metric
from histome.models.label_support import Support

# How patterns spell a class that stands in them by name; PLASMA alone is in one of them.
_SPELLED = {name: name.upper() for name in CELL_CLASSES if name != "other"} | {"plasma_cell": "PLASMA"}


def evidence_column(metrics: Sequence[Metric], weak: Mapping[str, Support]) -> list[str | None]:
    """Return `plasma_cell: indirect; macrophage: direct, n = 55` for each metric that names weak classes.

    Parameters
    ----------
    weak : mapping of str to Support
        By class, see `models.label_support.weakly_supported`.

    Returns
    -------
    list of str or None
        None where a metric names none of them.
    """
    return [evidence_of(metric, weak) for metric in metrics] if weak else [None] * len(metrics)


def evidence_of(metric: Metric, weak: Mapping[str, Support]) -> str | None:
    """Return how the weak classes were learned that one metric names, see `evidence_column`."""
    named = classes_of(metric)
    return "; ".join(f"{name}: {support}" for name, support in weak.items() if name in named) or None


def classes_of(metric: Metric) -> set[str]:
    """Return the cell classes in a metric's name, be it on an axis or spelled in the pattern.

    Sums over several classes, such as immune cells, name none.
    """
    places = zip(metric.template.axes, metric.index, strict=True)
    values = [
        AXES[axis][k] for axis, k in places if not set(AXES[axis]).isdisjoint((*CELL_NAMES[:1], *PAIR_OF))
    ]
    on_axes = {name.lower() for value in values for name in PAIR_OF.get(value, (value,))}
    return on_axes | _spelled(metric.template.pattern)


@cache
def _spelled(pattern: str) -> frozenset[str]:
    words = re.sub(r"\{\w+\}", "", pattern)
    return frozenset(
        name for name, word in _SPELLED.items() if re.search(rf"(?<![A-Z]){word}(?![A-Z])", words)
    )
