"""Figures of the phenotype route: a patch in columns, a slide's axes as maps, curves of a training."""

import csv
import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.errors import DataError, UsageError
from histome.exports.extra import needed
from histome.metrics.format import format_count
from histome.narrative.units import print_feature
from histome.phenotype.axes import PANNUKE_CLASSES, Level, phenotypes
from histome.phenotype.patch import PatchSeen
from histome.phenotype.tiles import tiles_line
from histome.slide import open_slide
from histome.store.disk import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_ENDINGS = (".svg", ".pdf", ".png")
# Neoplastic, inflammatory, connective, dead, epithelial: told apart by people who see no red or no green.
_KIND_COLORS = ("#d55e00", "#0072b2", "#009e73", "#000000", "#e69f00")
_LEFT_OUT_COLOR = "#999999"
_NO_VALUE_COLOR = "#d9d9d9"
_ROOM_OF_LIMIT = 0.25  # of a panel's width, for the value of a limit
_LINE = 78  # characters of the text column
_INCHES_A_LINE = 0.125
_INCHES_OF_TITLES = 2.4  # and ticks, of both rows of maps
_REASON = 34  # characters of a reason below a map
_UNITS = {"1": "", "um": ", µm", "um2": ", µm²"}
_MOST_PX = 1500
_LEVELS: dict[Level, str] = {"low": "#115AC4", "intermediate": "#F7D97B", "high": "#C24119"}


def draw_patch(path: Path, seen: PatchSeen, told: Sequence[str], out: Path) -> None:
    """Write a patch in columns: its image (masks have none), its nuclei, the values of its axes, its text.

    Parameters
    ----------
    path : Path
        The file that was seen.
    seen : PatchSeen
        As `phenotype.patch.see_file` gave it; nuclei are drawn as discs of their area, gray if left out.
    told : sequence of str
        Paragraphs of the text.
    out : Path
        Ends in .svg, .pdf or .png.
    """
    text = "\n".join(textwrap.fill(_plain(line), _LINE) for line in told)
    picture = _picture(path, seen)
    titles = ("Image", "Nuclei", "Features", "Narrative")[picture is None :]
    height = max(4.2, 1.0 + _INCHES_A_LINE * (text.count("\n") + 1))
    figure = _figure(out, (15 - 3.5 * (picture is None), height))
    columns = figure.subplots(1, len(titles), width_ratios=(1, 1, 0.9, 1.5)[picture is None :])
    for panel, title in zip(columns, titles, strict=True):
        panel.set_title(title, fontsize=9)
    width, height = seen.size_px
    for panel in columns[:-2]:
        if picture is not None:
            panel.imshow(picture, extent=(0, width, height, 0))
        panel.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])
    _draw_discs(columns[-3], seen)
    _draw_values(columns[-2], seen.document)
    columns[-1].axis("off")
    columns[-1].text(0, 1, text, va="top", fontsize=7, transform=columns[-1].transAxes)
    if columns[-3].get_legend_handles_labels()[0]:
        figure.legend(fontsize=7, loc="outside lower left", ncols=6, frameon=False)
    _save(figure, out)


def draw_axis_maps(tiles: pa.Table, out: Path, *, title: str = "") -> None:
    """Write the axes of a slide's tiles as maps: the values above, the labels that they get below.

    `tiles` are those of `phenotype.tiles.tile_phenotypes`; x and y are mm. A tile without a value or label is
    gray, and the legend has the reasons; where there are no nuclei, the map is white.
    """
    if not len(tiles):
        raise DataError("there is no tile with nuclei of the five classes: nothing to draw")
    axes = phenotypes().axes
    column, row = (
        np.ptp(tiles[name].to_numpy()) / tiles["size_um"][0].as_py() + 1 for name in ("x_um", "y_um")
    )
    panel_in = min(3.0, 2.4 * row / column)
    width_in = 3.2 * len(axes)
    figure = _figure(out, (width_in, 2 * panel_in))
    about = tiles_line(tiles, f"{tiles['size_um'][0].as_py():g} µm")
    figure.suptitle(_plain(f"{title}: {about}" if title else about), fontsize=10)
    panels = figure.subplots(2, len(axes))
    for name, (values, labels) in zip(axes, panels.T, strict=True):
        _map_values(values, tiles, name)
        _map_labels(labels, tiles, name)
        for panel in (values, labels):
            panel.set_xlabel("mm", fontsize=7)
            panel.set_ylabel("mm", fontsize=7)
            panel.tick_params(labelsize=7)
            if panel.get_legend_handles_labels()[0]:
                panel.legend(
                    fontsize=6, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.5, frameon=False
                )
    figure.supxlabel("white: no nuclei of the five classes", fontsize=7)
    lines = sum(max(map(_legend_lines, row)) for row in panels)
    figure.set_size_inches(width_in, 2 * panel_in + _INCHES_OF_TITLES + _INCHES_A_LINE * lines)
    _save(figure, out)


def _legend_lines(panel: "Axes") -> int:
    return sum(1 + label.count("\n") for label in panel.get_legend_handles_labels()[1])


def _map_values(panel: "Axes", tiles: pa.Table, name: str) -> None:
    """Draw the values of an axis with their scale, and why tiles have none."""
    axis = phenotypes().axes[name]
    values = tiles[axis.value].to_numpy(zero_copy_only=False).astype(float)
    known = values[np.isfinite(values)]
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    if low >= high:  # one value, or none: the scale begins at 0, which no value is under
        low, high = 0.0, high if high > 0 else axis.above
    _draw_lattice(panel, tiles, np.zeros(len(tiles)), cmap=_listed_colors([_NO_VALUE_COLOR]))
    shown = _draw_lattice(panel, tiles, values, cmap="viridis", vmin=low, vmax=high)
    if len(known):
        scale = panel.inset_axes((1.05, 0, 0.06, 1))
        scale.tick_params(labelsize=7)
        panel.figure.colorbar(shown, cax=scale)
    panel.set_title(f"{name}\n{axis.value}{_UNITS[axis.unit]}", fontsize=8)
    _tell_reasons(panel, tiles, axis.value, np.isnan(values), "no value")


def _map_labels(panel: "Axes", tiles: pa.Table, name: str) -> None:
    """Draw the labels of an axis, how many tiles have each, and why tiles have none."""
    axis = phenotypes().axes[name]
    words = [axis.at(level).label for level in _LEVELS]
    labels = tiles[name].to_pylist()
    codes = np.array([float(words.index(word)) if word in words else np.nan for word in labels])
    _draw_lattice(panel, tiles, np.zeros(len(tiles)), cmap=_listed_colors([_NO_VALUE_COLOR]))
    colors = _listed_colors(tuple(_LEVELS.values()))
    _draw_lattice(panel, tiles, codes, cmap=colors, vmin=-0.5, vmax=2.5)
    for word, color in zip(words, _LEVELS.values(), strict=True):
        panel.plot([], [], "s", color=color, label=f"{word} ({format_count(labels.count(word))})")
    panel.set_title(f"labels of {name}", fontsize=8)
    _tell_reasons(panel, tiles, name, np.isnan(codes), "no label")


def _tell_reasons(panel: "Axes", tiles: pa.Table, name: str, without: NDArray[np.bool_], what: str) -> None:
    """Put into a map's legend why tiles are gray, the most frequent reason first."""
    told = tiles.filter(pa.array(without))["undefined"].to_pylist()
    for why, n in Counter(json.loads(each).get(name, "") for each in told).most_common():
        line = textwrap.fill(f"{what} ({format_count(n)}): {why}", _REASON)
        panel.plot([], [], "s", color=_NO_VALUE_COLOR, label=line)


def draw_training_curves(folder: Path, out: Path) -> None:
    """Write every column of every log.csv below a folder over the steps, a panel a column, a curve a log.

    Raises DataError where there is no log of a training.
    """
    logs = {
        path.parent.relative_to(folder).as_posix(): _read_log(path)
        for path in sorted(folder.rglob("log.csv"))
    }
    logs = {name: log for name, log in logs.items() if len(log.get("step", ()))}
    if not logs:
        raise DataError(f"{folder}: no log.csv with steps below it; name the folder of a training")
    names = list(dict.fromkeys(n for log in logs.values() for n in log if n not in ("step", "seconds")))
    if not names:
        raise DataError(f"{folder}: its log.csv holds steps and no losses; name the folder of a training")
    figure = _figure(out, (4.5 * len(names), 3.6))
    for panel, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for log_name, log in logs.items():
            if name in log:
                panel.plot(log["step"], log[name], marker=".", label="" if log_name == "." else log_name)
        panel.set(xlabel="step", title=name)
        if len(logs) > 1:
            panel.legend(fontsize=7)
    _save(figure, out)


def check_ending(out: Path) -> None:
    """Raise UsageError, one line, for a file that is none of a figure."""
    if out.suffix.lower() not in FIGURE_ENDINGS:
        raise UsageError(f"{out}: name a file that ends in {', '.join(FIGURE_ENDINGS)}")


def _figure(out: Path, size: tuple[float, float]) -> "Figure":
    check_ending(out)
    return needed("matplotlib.figure", "exports").Figure(figsize=size, layout="constrained")


def _save(figure: "Figure", out: Path) -> None:
    """Write a figure; equal figures are equal bytes."""
    matplotlib = needed("matplotlib", "exports")
    dated = {".svg": "Date", ".pdf": "CreationDate"}.get(out.suffix.lower())
    with writing(out), matplotlib.rc_context({"svg.hashsalt": "histome"}):
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, metadata={dated: None} if dated else None)


def _listed_colors(colors: Sequence[str]) -> Any:
    return needed("matplotlib.colors", "exports").ListedColormap(list(colors))


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib reads formulas between two


def _picture(path: Path, seen: PatchSeen) -> NDArray[np.uint8] | None:
    """Return the file's pixels, at most 1,500 a side; None for masks."""
    if "model" not in seen.document:
        return None
    with open_slide(path, mpp=seen.document["mpp"]) as slide:
        return slide.thumbnail(_MOST_PX)


def _draw_discs(panel: "Axes", seen: PatchSeen) -> None:
    collections, patches = (
        needed("matplotlib.collections", "exports"),
        needed("matplotlib.patches", "exports"),
    )
    left_out = ("Other, left out" if "model" in seen.document else "No class, left out", _LEFT_OUT_COLOR)
    kinds = (*enumerate(zip(PANNUKE_CLASSES, _KIND_COLORS, strict=True), start=1), (0, left_out))
    for code, (name, color) in kinds:
        mine = seen.cells.select(seen.cells.code == code) if code else seen.left_out
        radius = np.sqrt(np.nan_to_num(mine.area, nan=50.0) / np.pi)
        discs = [patches.Circle(at, r) for *at, r in zip(mine.x, mine.y, radius, strict=True)]
        panel.add_collection(
            collections.PatchCollection(discs, facecolor="none", edgecolor=color, linewidth=0.7)
        )
        if len(discs):
            panel.plot([], [], "o", mfc="none", color=color, label=f"{name} ({format_count(len(discs))})")


def _draw_values(panel: "Axes", document: Mapping[str, Any]) -> None:
    """A bar an axis: where the value lies between nothing and twice the upper limit, and both limits.

    What goes beyond has an arrow at its end.
    """
    raw, cuts, labels = document["raw_data"], document["cuts"], document["interpretation"]
    for k, (name, axis) in enumerate(phenotypes().axes.items()):
        value, (below, above) = raw.get(axis.value), cuts[name]
        top = 2 * above
        if value is not None:
            panel.barh(k + 0.2, min(1.0, value / top), height=0.3, color="#9ecae1")
            if value > top:
                panel.plot(0.985, k + 0.2, marker=">", markersize=4, color="0.2")
        unit = document["units"].get(axis.value, "")
        for limit in sorted({below, above}):
            _draw_limit(panel, limit / top, k, print_feature(axis.value, limit, unit))
        told = "undefined" if value is None else print_feature(axis.value, value, unit)
        words = f"{name}: {told}, {labels[name] or 'no label'}"
        panel.text(0.02, k - 0.15, words, va="center", fontsize=7)
    panel.set(xlim=(0, 1), xticks=[], yticks=[], ylim=(len(phenotypes().axes) - 0.35, -0.5))
    panel.set_xlabel("dotted: limits of low and high", fontsize=7)


def _draw_limit(panel: "Axes", x: float, row: int, told: str) -> None:
    """Draw a limit of an axis and below it its value.

    The upper one is at the middle: a lower one is told to the left of its line, unless there is no room.
    """
    panel.vlines(x, row, row + 0.4, color="0.3", linestyle=":")
    side = "right" if _ROOM_OF_LIMIT <= x < 0.5 else "left"
    panel.text(x, row + 0.42, told, ha=side, va="top", fontsize=5.5, color="0.3")


def _draw_lattice(panel: "Axes", tiles: pa.Table, values: NDArray[np.float64], **colors: Any) -> Any:
    """Draw values on the lattice of tiles in mm, nothing where there is no tile or it is NaN."""
    size_mm = tiles["size_um"][0].as_py() / 1000
    column, row = (np.rint(tiles[n].to_numpy() / 1000 / size_mm).astype(int) for n in ("x_um", "y_um"))
    lattice = np.full((row.max() - row.min() + 1, column.max() - column.min() + 1), np.nan)
    lattice[row - row.min(), column - column.min()] = values
    left, right, upper, lower = column.min(), column.max() + 1, row.min(), row.max() + 1
    box = (left * size_mm, right * size_mm, lower * size_mm, upper * size_mm)
    return panel.imshow(lattice, extent=box, interpolation="nearest", **colors)


def _read_log(path: Path) -> dict[str, list[float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}
    except (ValueError, TypeError, OSError) as error:
        raise DataError(
            f"{path}: not the log of a training ({' '.join(str(error).split())[:100]})"
        ) from error
