"""Whom do vectors follow? One table and one figure: indices, slide identity, stain conditions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histome.embedding.compare import Compared, TaskResult, stain_range, table_rows
from histome.embedding.figure import drawing, missing_lines, short_number, write_rows_of
from histome.validation.confounding import Robustness
from histome.validation.staining import CONDITIONS

_STROKES, _MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "x")
_INDICES = ("ri", "mari", "croma", "apd", "nipd", "clustering")
_HEAD = ["encoder", "task", "n (groups)", "RI (k, support)", "MaRI", "CRoMa", "APD", "nIPD", "clusters"]
_HEAD += ["slide told (chance)", "unchanged, stained", "stain range"]


def write_robustness(compared: Sequence[Compared], out: Path) -> list[Path]:
    """Write robustness.csv, robustness.md and robustness.png; returns them."""
    out.mkdir(parents=True, exist_ok=True)
    table, page = out / "robustness.csv", out / "robustness.md"
    write_rows_of(table_rows(compared), table)
    page.write_text(robustness_markdown(compared), encoding="utf-8")
    return [table, page, _draw(compared, out / "robustness.png")]


def robustness_markdown(compared: Sequence[Compared]) -> str:
    """Return one row an encoder and task, and a line for each index that is not there."""
    rows = [_HEAD, ["---"] * len(_HEAD)]
    rows += [_row(one.encoder, result) for one in compared for result in one.tasks]
    table = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([*table, "", *missing_lines(compared)]) + "\n"


def _row(encoder: str, result: TaskResult) -> list[str]:
    ri, *others = _indices(result.robustness)
    told = result.leakage
    leaked = "-" if told is None else f"{short_number(told.share)} ({short_number(told.chance)})"
    stained = [result.stain[name] for name in CONDITIONS if name in result.stain]
    shown = f"{result.stain['unchanged']:.3f}, {min(stained):.3f} to {max(stained):.3f}" if stained else "-"
    about = [encoder, result.task, f"{result.n} ({result.groups})"]
    return [*about, ri, *others, leaked, shown, short_number(stain_range(result))]


def _indices(found: Robustness | None) -> list[str]:
    values = [short_number(getattr(found, name) if found else None) for name in _INDICES]
    if found is not None and found.ri is not None:
        values[0] += f" ({found.k}, {short_number(found.support, 2)})"
    return values


def _draw(compared: Sequence[Compared], path: Path) -> Path:
    """Three panels: RI over k, a probe's accuracy over how far it is confounded, accuracy under stains."""
    pyplot = drawing()
    figure, panels = pyplot.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    _lines(panels[0], compared, lambda result: result.robustness and result.robustness.by_k)
    panels[0].axhline(0.5, color="gray", linestyle=":")
    panels[0].set(xlabel="neighbors k", ylabel="robustness index", ylim=(0, 1))
    _lines(panels[1], compared, lambda result: result.robustness and result.robustness.by_strength)
    panels[1].set(xlabel="Cramer's V of label and confounder in training", ylabel="balanced accuracy")
    _lines(panels[2], compared, lambda result: result.stain)
    panels[2].set(ylabel="balanced accuracy, linear probe", xlabel="stain condition")
    panels[2].tick_params(axis="x", rotation=20)
    for panel in panels:
        if panel.lines and panel.get_legend_handles_labels()[1]:
            panel.legend(fontsize=7)
        else:
            panel.text(0.5, 0.5, "not measured", ha="center", transform=panel.transAxes)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path


def _lines(panel: Any, compared: Sequence[Compared], curve: Callable[[TaskResult], Any]) -> None:
    """A color an encoder and a stroke a task, where there is such a curve; names are points without lines."""
    tasks = list(dict.fromkeys(result.task for one in compared for result in one.tasks))
    for number, one in enumerate(compared):
        for result in one.tasks:
            points: Mapping[Any, float] | None = curve(result)
            if not points:
                continue
            named = any(isinstance(name, str) for name in points)
            panel.plot(
                [name.replace("_", " ") if named else name for name in points],
                np.array(list(points.values())),
                label=f"{one.encoder}, {result.task}" if len(tasks) > 1 else one.encoder,
                color=f"C{number % 10}",
                linestyle="none" if named else _STROKES[tasks.index(result.task) % len(_STROKES)],
                marker=_MARKERS[tasks.index(result.task) % len(_MARKERS)],
                markersize=4,
            )
