"""Where cells lie: their density across the tumor border, and which classes are neighbors."""

from dataclasses import replace
from typing import Any

from histome.classes import CELL_CLASSES
from histome.metrics.axes import BORDER_BANDS_UM, CELL_NAMES, PAIR_OF
from histome.metrics.format import MINUS, Formatted, MetricTable
from histome.render import palette

# The classes of the curve: those that are read across the border.
_ACROSS = ("lymphocyte", "plasma_cell", "macrophage", "granulocyte")
# From the inside, far from the border, to the outside.
_BANDS = (
    *(("IN", low, high) for low, high in reversed(BORDER_BANDS_UM)),
    *(("OUT", low, high) for low, high in BORDER_BANDS_UM),
)
# Twice as often is half a shade, four times a full one.
_FULL_SHADE_LOG2 = 2.0


def infiltration(metrics: MetricTable) -> dict[str, Any]:
    """Return the density of immune cells in bands across the tumor border: curves, and the same as a table.

    A band with too little in it is a gap. Curves are in percent of the axes; `reason` is why there are none.
    """
    shown = {name: [_at_border(metrics, name, band) for band in _BANDS] for name in _ACROSS}
    drawn = {name: numbers for name, numbers in shown.items() if _has_cells(numbers)}
    top = max((n.raw for numbers in drawn.values() for n in numbers if n.raw is not None), default=0.0)
    return {
        "curves": [_curve(name, numbers, top or 1.0) for name, numbers in drawn.items()] if top else [],
        "highest": max(
            (n for numbers in drawn.values() for n in numbers if n.raw == top), key=_raw, default=None
        ),
        "heads": [f"{low} to {high}" for _, low, high in _BANDS],
        "edges": [(_place(edge), abs(edge)) for edge in _edges_um() if abs(edge) in (0, 100, 200, 500)],
        "reason": next((n.reason for numbers in shown.values() for n in numbers if n.reason), ""),
    }


def _raw(number: Formatted) -> float:
    return number.raw or 0.0


def _has_cells(numbers: list[Formatted]) -> bool:
    return any(number.raw for number in numbers)


def _at_border(metrics: MetricTable, name: str, band: tuple[str, int, int]) -> Formatted:
    side, low, high = band
    return metrics.formatted(f"CELL_DENSITY_{name.upper()}_AT_BORDER_{side}_{low}_{high}")


def _edges_um() -> list[int]:
    """Ends of the bands, negative inside."""
    ends = [high for _, high in BORDER_BANDS_UM]
    return [*(-end for end in reversed(ends)), 0, *ends]


def _place(edge_um: float) -> float:
    """Place on the axis, percent: square roots, so that the narrow bands at the border can be seen."""
    reach = BORDER_BANDS_UM[-1][1]
    root = (abs(edge_um) / reach) ** 0.5
    return round(50 * (1 + (root if edge_um > 0 else -root)), 2)


def _curve(name: str, numbers: list[Formatted], top: float) -> dict[str, Any]:
    edges = _edges_um()
    steps = [
        {"start": _place(low), "end": _place(high), "height": round(100 * (number.raw or 0.0) / top, 2)}
        for low, high, number in zip(edges[:-1], edges[1:], numbers, strict=True)
        if number.raw is not None
    ]
    color, label = palette.CELL_COLORS[name], palette.CELL_LABELS[name]
    return {"label": label, "color": color, "path": _path(steps), "numbers": numbers}


def _path(steps: list[dict[str, float]]) -> str:
    """SVG path of a stair in a box of 100 x 100, broken where bands are missing."""
    path, last = "", None
    for step in steps:
        y = round(100 - step["height"], 2)
        path += f"{'L' if step['start'] == last else 'M'}{step['start']} {y}L{step['end']} {y}"
        last = step["end"]
    return path


def neighbors(metrics: MetricTable) -> dict[str, Any]:
    """Return the 9 x 9 table of neighborhoods: log2 of pairs within 40 um over those by chance.

    By chance: with the classes exchanged within each tissue. Each cell is shaded by its sign and size;
    `any` says whether one has a value.
    """
    pair_of = {frozenset(pair): f"ENRICHMENT_IN_TISSUE_LOG2_{name}_40" for name, pair in PAIR_OF.items()}
    rows = [
        {
            "label": palette.CELL_LABELS[name],
            "color": palette.CELL_COLORS[name],
            "cells": [
                _neighborhood(metrics.formatted(pair_of[frozenset((me, other))])) for other in CELL_NAMES
            ],
        }
        for name, me in zip(CELL_CLASSES, CELL_NAMES, strict=True)
    ]
    return {
        "rows": rows,
        "any": any(cell["shown"].raw is not None for row in rows for cell in row["cells"]),
        "heads": [{"label": palette.CELL_LABELS[n], "color": palette.CELL_COLORS[n]} for n in CELL_CLASSES],
    }


def _neighborhood(shown: Formatted) -> dict[str, Any]:
    value = shown.raw or 0.0
    if shown.raw is not None:
        shown = replace(shown, text=f"{value:z.2f}".replace("-", MINUS))  # in one width: the cells are narrow
    shade = round(min(1.0, abs(value) / _FULL_SHADE_LOG2), 2)
    return {"shown": shown, "shade": shade, "side": "more" if value > 0 else "less"}
