"""What every question ends with: words, tables, a figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from histome.metrics.format import MetricValue, format_metric

TableRow = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """A section of the page, its tables and its figure.

    Attributes
    ----------
    name, title : str
        Of its files; its heading.
    said : tuple of str
        The answer in plain words, a paragraph each.
    tables : mapping of str to sequence of mappings
        By the name of the file. Rows of a table have the same keys.
    brief : sequence of mappings or None
        What the page shows of them; None for the first rows of the first.
    figure : str
        SVG; empty where there is none.
    shown_as : str
        What the figure shows.
    made : tuple of str
        How the numbers were made, and what they do not say.
    """

    name: str
    title: str
    said: tuple[str, ...]
    tables: Mapping[str, Sequence[TableRow]] = field(default_factory=dict)
    brief: Sequence[TableRow] | None = None
    figure: str = ""
    shown_as: str = ""
    made: tuple[str, ...] = ()


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: '1 slide', '3 slides'."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def p_words(p: float) -> str:
    """Return a p or q as a paper writes it: 'p = 0.03' without the letter."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def ends_words(value: float, low: float, high: float) -> str:
    """Return a value with its interval, as a table of a paper holds it."""
    return f"{value:.2f} ({low:.2f} to {high:.2f})" if math.isfinite(low + high) else f"{value:.2f}"


def value_words(name: str, value: float, unit: str) -> str:
    """Return a metric's value in a unit that reads well: '256 /mm²'."""
    shown = format_metric(MetricValue(name, value, unit, None, None))
    return f"{shown.text} {shown.unit}".strip()


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a sentence lists them; of many the first ones. Names with commas are kept apart."""
    mark = "; " if any("," in name for name in names) else ", "
    last = f"{mark.rstrip()} and " if mark == "; " else " and "
    first = list(names) if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return last.join([mark.join(first[:-1]), first[-1]] if len(first) > 1 else first)
