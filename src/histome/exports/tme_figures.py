"""Figures of the phenotype route: a patch in four columns, a slide's axes as maps, curves of a training."""

import csv
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.errors import DataError, UsageError
from histome.exports.extra import needed
from histome.phenotype.axes import PANNUKE_CLASSES, Level, phenotypes
from histome.phenotype.features import PatchCells
from histome.phenotype.patch import PatchSeen
from histome.slide import open_slide
from histome.store.disk import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_ENDINGS = (".svg", ".pdf", ".png")
# Neoplastic, inflammatory, connective, dead, epithelial: told apart by people who see no red or no green.
_KIND_COLORS = ("#d55e00", "#0072b2", "#009e73", "#000000", "#e69f00")
_LINE = 46  # characters of the text column
_MOST_PX = 1500
_LEVELS: dict[Level, str] = {"low": "#115AC4", "intermediate": "#F7D97B", "high": "#C24119"}


def draw_patch(path: Path, seen: PatchSeen, text: str, out: Path) -> None:
    """Write a patch in four columns: its image, its nuclei, the values of its axes, its narrative.

    Parameters
    ----------
    path : Path
        The file that was seen; masks have no image.
    seen : PatchSeen
        As `phenotype.patch.see_file` gave it; nuclei are drawn as discs of their area.
    out : Path
        Ends in .svg, .pdf or .png.
    """
    cells = seen.cells
    figure = _figure(out, (15, 4.2))
    columns = figure.subplots(1, 4, width_ratios=(1, 1, 0.9, 1.5))
    for panel, title in zip(columns, ("Image", "Nuclei", "Features", "Narrative"), strict=True):
        panel.set_title(title, fontsize=9)
    _show_picture(columns[:2], path, seen)
    _draw_discs(columns[1], cells)
    _draw_values(columns[2], seen.document)
    columns[3].axis("off")
    columns[3].text(
        0, 1, textwrap.fill(_plain(text), _LINE), va="top", fontsize=7, transform=columns[3].transAxes
    )
    _save(figure, out)


def draw_axis_maps(tiles: pa.Table, out: Path, *, title: str = "") -> None:
    """Write the axes of a slide's tiles as maps: the values above, the labels that they get below.

    `tiles` are those of `phenotype.tiles.tile_phenotypes`; x and y are mm.
    """
    if not len(tiles):
        raise DataError("there is no tile with cells: nothing to draw")
    axes = phenotypes().axes
    figure = _figure(out, (3.2 * len(axes), 6.4))
    panels = figure.subplots(2, len(axes))
    figure.suptitle(_plain(title), fontsize=10)
    size_mm = tiles["size_um"][0].as_py() / 1000
    for (name, axis), values, labels in zip(axes.items(), panels[0], panels[1], strict=True):
        lattice, box = _lattice(
            tiles, tiles[axis.value].to_numpy(zero_copy_only=False).astype(float), size_mm
        )
        shown = values.imshow(lattice, extent=box, cmap="viridis", interpolation="nearest")
        unit = "" if axis.unit == "1" else f", {axis.unit}"
        figure.colorbar(shown, ax=values, orientation="horizontal", label=f"{axis.value}{unit}", shrink=0.9)
        values.set_title(name, fontsize=9)
        words = [axis.at(level).label for level in _LEVELS]
        codes = [float(words.index(word)) if word in words else np.nan for word in tiles[name].to_pylist()]
        lattice, box = _lattice(tiles, np.array(codes), size_mm)
        colors = _listed_colors(tuple(_LEVELS.values()))
        labels.imshow(lattice, extent=box, cmap=colors, vmin=-0.5, vmax=2.5, interpolation="nearest")
        for word, color in zip(words, _LEVELS.values(), strict=True):
            labels.plot([], [], "s", color=color, label=word)
        labels.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)
    _save(figure, out)


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
    figure = _figure(out, (4.5 * len(names), 3.6))
    for panel, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for log_name, log in logs.items():
            if name in log:
                panel.plot(log["step"], log[name], marker=".", label="" if log_name == "." else log_name)
        panel.set(xlabel="step", title=name)
        if len(logs) > 1:
            panel.legend(fontsize=7)
    _save(figure, out)


def _figure(out: Path, size: tuple[float, float]) -> "Figure":
    if out.suffix.lower() not in FIGURE_ENDINGS:
        raise UsageError(f"{out}: name a file that ends in {', '.join(FIGURE_ENDINGS)}")
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


def _show_picture(panels: Sequence["Axes"], path: Path, seen: PatchSeen) -> None:
    """Show the file's pixels, at most 1,500 a side, in px of level 0; of masks only where the cells lie."""
    width, height = (float(np.ceil(at.max(initial=1.0))) for at in (seen.cells.x, seen.cells.y))
    picture = None
    if "model" in seen.document:
        with open_slide(path, mpp=seen.document["mpp"]) as slide:
            picture, (width, height) = slide.thumbnail(_MOST_PX), slide.size_px
    if picture is None:
        panels[0].text(width / 2, height / 2, "masks have no image", ha="center", color="0.5")
    for panel in panels:
        if picture is not None:
            panel.imshow(picture, extent=(0, width, height, 0))
        panel.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])


def _draw_discs(panel: "Axes", cells: PatchCells) -> None:
    collections, patches = (
        needed("matplotlib.collections", "exports"),
        needed("matplotlib.patches", "exports"),
    )
    radius = np.sqrt(np.nan_to_num(cells.area, nan=50.0) / np.pi)
    for code, (name, color) in enumerate(zip(PANNUKE_CLASSES, _KIND_COLORS, strict=True), start=1):
        mine = np.flatnonzero(cells.code == code)
        discs = [patches.Circle((cells.x[k], cells.y[k]), radius[k]) for k in mine]
        panel.add_collection(
            collections.PatchCollection(discs, facecolor="none", edgecolor=color, linewidth=0.7)
        )
        if len(mine):
            panel.plot([], [], "o", mfc="none", color=color, label=f"{name} ({len(mine)})")
    if len(cells.code):
        panel.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False)


def _draw_values(panel: "Axes", document: Mapping[str, Any]) -> None:
    """A bar an axis: where the value lies between nothing and twice the upper limit, and both limits."""
    raw, cuts, labels = document["raw_data"], document["cuts"], document["interpretation"]
    for k, (name, axis) in enumerate(phenotypes().axes.items()):
        value, (below, above) = raw.get(axis.value), cuts[name]
        top = 2 * above
        if value is not None:
            panel.barh(k + 0.2, min(1.0, value / top), height=0.3, color="#9ecae1")
        panel.vlines([below / top, above / top], k, k + 0.4, color="0.3", linestyle=":")
        told = "undefined" if value is None else f"{value:.3g} {document['units'].get(axis.value, '')}"
        words = f"{name}: {told.removesuffix(' 1')}, {labels[name] or 'no label'}"
        panel.text(0.02, k - 0.15, words, va="center", fontsize=7)
    panel.set(xlim=(0, 1), xticks=[], yticks=[], ylim=(len(phenotypes().axes) - 0.5, -0.5))


def _lattice(
    tiles: pa.Table, values: NDArray[np.float64], size_mm: float
) -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """Values on the lattice of tiles, NaN where none is, and its left, right, lower and upper side in mm."""
    column, row = (np.rint(tiles[n].to_numpy() / 1000 / size_mm).astype(int) for n in ("x_um", "y_um"))
    lattice = np.full((row.max() - row.min() + 1, column.max() - column.min() + 1), np.nan)
    lattice[row - row.min(), column - column.min()] = values
    left, right, upper, lower = column.min(), column.max() + 1, row.min(), row.max() + 1
    return lattice, (left * size_mm, right * size_mm, lower * size_mm, upper * size_mm)


def _read_log(path: Path) -> dict[str, list[float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}
    except (ValueError, TypeError, OSError) as error:
        raise DataError(
            f"{path}: not the log of a training ({' '.join(str(error).split())[:100]})"
        ) from error
