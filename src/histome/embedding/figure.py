"""One table and one figure: performance, robustness and cost of encoders."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histome.embedding.compare import Compared, stain_range, table_rows
from histome.errors import UsageError


def write_comparison(compared: Sequence[Compared], out: Path) -> list[Path]:
    """Write encoders.csv, encoders.md and, where costs were measured, encoders.png; returns them."""
    out.mkdir(parents=True, exist_ok=True)
    table, page = out / "encoders.csv", out / "encoders.md"
    write_rows_of(table_rows(compared), table)
    page.write_text(as_markdown(compared), encoding="utf-8")
    if not all(one.cost for one in compared):
        return [table, page]
    return [table, page, _draw(compared, out / "encoders.png")]


def write_rows_of(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows that need not have the same columns as CSV, numbers with five digits."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        written = csv.DictWriter(file, columns)
        written.writeheader()
        written.writerows({key: _number(value) for key, value in row.items()} for row in rows)


def _number(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


def short_number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits, `-` where there is none."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def as_markdown(compared: Sequence[Compared]) -> str:
    """Return the comparison as one table, an encoder a row, the best mean first."""
    tasks = [result.task for result in compared[0].tasks]
    head = ["encoder", "values", *(f"{name}: linear, k-NN, ABMIL" for name in tasks)]
    head += ["RI", "APD", "clusters", "stain range", "M parameters", "GFLOPs", "tiles/s", "MB", "mm2/min"]
    lines = [head, ["---"] * len(head)]
    for one in sorted(compared, key=lambda one: -one.performance):
        lines.append([one.encoder, str(one.dimension), *map(_scores, one.tasks), *_robust(one), *_cost(one)])
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([*table, "", *missing_lines(compared)]) + "\n"


def missing_lines(compared: Sequence[Compared]) -> list[str]:
    """Return why an index is not there, a line each."""
    return [
        f"- {one.encoder}, {result.task}: no {name}: {reason}"
        for one in compared
        for result in one.tasks
        if result.robustness
        for name, reason in result.robustness.missing.items()
    ]


def _scores(result: Any) -> str:
    linear, knn, abmil = (result.scores.get(name) for name in ("linear", "knn", "abmil"))
    interval = f"{short_number(linear.value)} ({short_number(linear.low)}-{short_number(linear.high)})"
    return f"{interval}, {short_number(knn.value)}, {short_number(abmil.value if abmil else None)}"


def _robust(one: Compared) -> list[str]:
    """Means over the tasks that have them."""
    known = [result.robustness for result in one.tasks if result.robustness]
    indices = [[getattr(r, name) for r in known] for name in ("ri", "apd", "clustering")]
    ranges = [stain_range(result) for result in one.tasks]
    return [short_number(mean_of(values)) for values in (*indices, ranges)]


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are there; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _cost(one: Compared) -> list[str]:
    cost = one.cost
    if cost is None:
        return ["-"] * 5
    millions = None if cost.parameters is None else cost.parameters / 1e6
    return [
        short_number(millions, 1),
        short_number(cost.gflops, 2),
        short_number(cost.tiles_per_s, 1),
        short_number(cost.peak_mb, 0),
        short_number(cost.mm2_per_min, 1),
    ]


def drawing() -> Any:
    """Return pyplot, drawing into files; raises UsageError where matplotlib is missing."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise UsageError("no module 'matplotlib'; install it: pip install 'histome[encoders]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _draw(compared: Sequence[Compared], path: Path) -> Path:
    """Performance over speed, colored by robustness (gray where no task has a confounder)."""
    pyplot = drawing()
    from matplotlib.ticker import LogFormatter

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    speed = [one.cost.tiles_per_s if one.cost else np.nan for one in compared]
    robust = [mean_of([r.robustness.ri for r in one.tasks if r.robustness]) for one in compared]
    colors = [np.nan if value is None else value for value in robust]
    shown = axes.scatter(
        speed, [one.performance for one in compared], c=colors, s=70, vmin=0, vmax=1, cmap="viridis",
        plotnonfinite=True, edgecolors="black",
    )  # fmt: skip
    for x, one in zip(speed, compared, strict=True):
        axes.annotate(
            one.encoder, (x, one.performance), xytext=(5, 5), textcoords="offset points", fontsize=8
        )
    axes.set(
        xscale="log", xlabel="tiles per second, this machine", ylabel="mean balanced accuracy, linear probe"
    )
    axes.margins(x=0.3, y=0.1)  # names stand to the right of their points
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
    figure.colorbar(shown, label="robustness index")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path
