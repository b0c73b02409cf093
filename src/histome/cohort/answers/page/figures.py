"""Figures of answers as SVG: drawn by matplotlib, in the colors of the page."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.exports.extra import needed
from histome.names import shown

# Told apart by eyes of every kind (Okabe and Ito 2008).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
_INK = "#000000"
_MARKS = "osD^vPX*"


class FigurePanel:
    """Axes to draw on, and afterwards the SVG."""

    def __init__(self) -> None:
        self.axes: Any = None
        self.svg = ""


@contextmanager
def panel(width: float = 7.6, height: float = 4.0) -> Iterator[FigurePanel]:
    """Give axes in inches; after the block `svg` holds the figure, its black turned to the page's ink."""
    matplotlib: Any = needed("matplotlib", "cohort")
    figures: Any = needed("matplotlib.figure", "cohort")
    made = FigurePanel()
    options = {"svg.fonttype": "none", "svg.hashsalt": "histome", "font.size": 9.5, "axes.edgecolor": _INK}
    with matplotlib.rc_context({**options, "font.family": "sans-serif"}):
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        made.axes = figure.subplots()
        made.axes.spines[["top", "right"]].set_visible(False)
        yield made
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    made.svg = _inline(file.getvalue())


def _inline(text: str) -> str:
    """Return the SVG element alone, in the ink and the font of the page."""
    svg = text[text.index("<svg") :]
    svg = svg.replace(_INK, "currentColor").replace("sans-serif", "inherit")
    return svg.replace("<svg ", '<svg role="img" ', 1)


def label(text: str, most: int = 46) -> str:
    """Return a text as a figure shows it: no formula, not too long."""
    fit = shown(text).replace("$", r"\$")
    return fit if len(fit) <= most else f"{fit[: most - 1]}…"


def forest(
    names: Sequence[str],
    value: Sequence[float],
    ends: Sequence[tuple[float, float]],
    *,
    marked: Sequence[bool],
    about: tuple[float, str],
    log: bool = False,
) -> str:
    """Draw values with their intervals, the first on top; `about` is where nothing happens, and the axis."""
    none, axis = about
    with panel(7.6, 1.1 + 0.24 * len(names)) as drawn:
        axes = drawn.axes
        axes.axvline(none, color=_INK, lw=0.8, alpha=0.5)
        for k, (at, (low, high), strong) in enumerate(zip(value, ends, marked, strict=True)):
            color = COLORS[0] if strong else COLORS[7]
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [k, k], color=color, lw=1.8)
            axes.plot([at], [k], "o", color=color, ms=5)
        axes.set_yticks(range(len(names)), [label(name) for name in names])
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=axis)
        if log:
            low, high = axes.get_xlim()
            axes.set_xscale("log")
            axes.set_xticks(ratio_ticks(low, high), minor=False)
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter("{x:g}")
    return drawn.svg


def ratio_ticks(low: float, high: float) -> list[float]:
    """Return the marks of an axis of ratios: close to each other where it is short."""
    span = high / max(low, 1e-9)
    if span < 4:
        marks = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)
    elif span < 40:
        marks = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
    else:
        marks = tuple(4.0**power for power in range(-10, 11))
    return [mark for mark in marks if low <= mark <= high]


class Steps(NamedTuple):
    """A survival curve: times, the share alive with its ends, and how long each patient was seen."""

    time: NDArray[np.float64]
    alive: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seen: NDArray[np.float64]


def steps(curves: Mapping[str, Steps], axis: str) -> str:
    """Draw survival curves by group; below them how many were still at risk."""
    with panel(7.0, 4.0 + 0.2 * len(curves)) as drawn:
        for k, (name, curve) in enumerate(curves.items()):
            color = COLORS[k % len(COLORS)]
            drawn.axes.step(curve.time, curve.alive, where="post", color=color, lw=1.8, label=label(name))
            drawn.axes.fill_between(
                curve.time, curve.low, curve.high, step="post", color=color, alpha=0.15, lw=0
            )
        drawn.axes.set(ylim=(0, 1.02), xlim=(0, None), xlabel=axis, ylabel="share without the event")
        _at_risk(drawn.axes, curves)
        if len(curves) > 1:
            drawn.axes.legend(frameon=False)
    return drawn.svg


def _at_risk(axes: Any, curves: Mapping[str, Steps]) -> None:
    """Write below each mark of the time axis how many of each group were seen until then."""
    ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= axes.get_xlim()[1]]
    for k, (name, curve) in enumerate(curves.items()):
        below = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 8.5}
        below |= {"color": COLORS[k % len(COLORS)], "va": "top"}
        axes.annotate(label(name, 18), (0, 0), xytext=(-16, -36 - 13 * k), ha="right", **below)
        for tick in ticks:
            left = str(int((curve.seen >= tick).sum()))
            axes.annotate(left, (tick, 0), xytext=(0, -36 - 13 * k), ha="center", **below)


def scatter(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    groups: Sequence[str],
    *,
    axes_names: tuple[str, str],
    named: Mapping[int, str] | None = None,
) -> str:
    """Draw points colored and shaped by group; those of `named` (row -> text) carry their name."""
    with panel(7.0, 4.4) as drawn:
        for k, name in enumerate(dict.fromkeys(sorted(groups))):
            mine = np.array([group == name for group in groups])
            style = {"color": COLORS[k % len(COLORS)], "marker": _MARKS[k % len(_MARKS)]}
            drawn.axes.scatter(x[mine], y[mine], s=18, alpha=0.75, lw=0, label=label(name), **style)
        for row, text in (named or {}).items():
            where = {"xytext": (5, 3), "textcoords": "offset points", "fontsize": 8}
            drawn.axes.annotate(label(text, 24), (x[row], y[row]), **where)
        drawn.axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
        if len(set(groups)) > 1:
            drawn.axes.legend(frameon=False)
    return drawn.svg


def stacked_shares(rows: Mapping[str, Mapping[str, int]], axis: str) -> str:
    """Draw for each group, from left to right, the share of each class; numbers inside."""
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    seen = {kind for row in rows.values() for kind, count in row.items() if count}
    with panel(7.6, 1.2 + 0.42 * len(rows)) as drawn:
        for k, row in enumerate(rows.values()):
            start, total = 0.0, max(1, sum(row.values()))
            for j, kind in enumerate(kinds):
                share = row.get(kind, 0) / total
                mark = label(kind) if k == 0 and kind in seen else None
                drawn.axes.barh(k, share, left=start, color=COLORS[j % len(COLORS)], height=0.7, label=mark)
                if share > 0.04:
                    drawn.axes.text(start + share / 2, k, row[kind], ha="center", va="center", color="white")
                start += share
        drawn.axes.set_yticks(
            range(len(rows)), [f"{label(name)} (n = {sum(row.values())})" for name, row in rows.items()]
        )
        drawn.axes.set(xlim=(0, 1), xlabel=axis)
        drawn.axes.invert_yaxis()
        drawn.axes.legend(frameon=False, ncols=len(kinds), loc="lower left", bbox_to_anchor=(0, 1))
    return drawn.svg
