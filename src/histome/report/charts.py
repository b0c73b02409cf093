"""Charts as plain geometry: bars, stacked bars and histograms that the template draws as inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from histome.metrics.format import Formatted, MetricTable

HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class Bar:
    """One class of a chart: its label, color, length in percent of the longest bar, and numbers beside it."""

    key: str
    label: str
    color: str
    length: float
    numbers: tuple[Formatted, ...]


@dataclass(frozen=True)
class Slice:
    """A part of a stacked bar: start and width in percent of the whole."""

    key: str
    label: str
    color: str
    start: float
    width: float


@dataclass(frozen=True)
class Column:
    """A bin of a histogram, in percent of the axes: all items, and how many of them are hatched."""

    start: float
    width: float
    height: float
    hatched: float
    count: int
    label: str


def bars(
    metrics: MetricTable,
    pattern: str,
    colors: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    beside: Sequence[str] = (),
) -> list[Bar]:
    """Return a bar for each class from the metrics `pattern` with the class in upper case in place of {}.

    Further patterns in `beside` only give numbers. A null has no length.
    """
    names = [pattern.format(key.upper()) for key in colors]
    longest = max((metrics.value(name) for name in names), default=0.0) or 1.0
    return [
        Bar(
            key,
            labels[key],
            colors[key],
            round(100 * metrics.value(name) / longest, 2),
            tuple(metrics.formatted(form.format(key.upper())) for form in (pattern, *beside)),
        )
        for key, name in zip(colors, names, strict=True)
    ]


def stacked(chart: Sequence[Bar]) -> list[Slice]:
    """Return the bars laid end to end as shares of their sum; nothing where the sum is zero."""
    total = sum(bar.length for bar in chart)
    slices, start = [], 0.0
    for bar in chart if total else ():
        width = 100 * bar.length / total
        slices.append(Slice(bar.key, bar.label, bar.color, round(start, 3), round(width, 3)))
        start += width
    return slices


def histogram(values: np.ndarray, hatched: np.ndarray) -> list[Column]:
    """Return 20 bins of values in 0-1; `hatched` (bool) marks those drawn apart at the foot of each bin."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    everything = np.histogram(values, edges)[0]
    marked = np.histogram(values[hatched], edges)[0]
    scale = 100.0 / max(1, int(everything.max(initial=0)))
    return [
        Column(
            round(100 * low, 2),
            round(100 / HISTOGRAM_BINS, 2),
            round(scale * count, 2),
            round(scale * part, 2),
            int(count),
            f"{low:.2f} to {high:.2f}: {count} cells, {part} of them left open",
        )
        for low, high, count, part in zip(edges[:-1], edges[1:], everything, marked, strict=True)
    ]


def shade(metric: Formatted, largest: float) -> float:
    """Return how dark a table cell is drawn, 0-1: the square root of its share of the largest value."""
    if metric.raw is None or largest <= 0:
        return 0.0
    return round(float(np.sqrt(max(0.0, metric.raw) / largest)), 3)
