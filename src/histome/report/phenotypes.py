"""Maps of the slide's phenotype axes: every tile colored by its label, over the faded overview."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from histome.metrics.format import format_cell_number
from histome.phenotype.axes import Axis, phenotypes
from histome.phenotype.tiles import tile_phenotypes
from histome.render.layers import VEIL_ALPHA, class_layer, png_uri, shrink_map
from histome.render.palette import LEVEL_COLORS
from histome.report.enough import FEWEST_TILES
from histome.report.pictures import Overview, picture_bar
from histome.slide.maps import ClassMap

_TITLES = {
    "composition": ("Tumor purity", "neoplastic cells, share of all"),
    "immune": ("Immune infiltration", "inflammatory cells, share of all"),
    "stroma": ("Stroma", "connective cells, share of all"),
    "interaction": (
        "Immune cells to tumor",
        "inflammatory to nearest neoplastic cell, mean",
    ),
    "architecture": ("Mixing of cell kinds", "entropy of the kinds of the five nearest cells, mean"),
    "morphology": ("Tumor nuclei", "neoplastic nuclei, mean area"),
}
_UNITS = {"um": " µm", "um2": " µm²"}
# A code of a map is one more than the place here.
_KINDS = tuple(LEVEL_COLORS)
_LETTERS_WIDE = 26  # of a scale bar, over a map: a third of the page
_NO_VALUE, _FEW = "undefined", "few"


def phenotype_page(
    cells: pa.Table, tissue: ClassMap | None, size_um: float, *, overview: Overview
) -> dict[str, Any] | None:
    """Return the maps of tiles of `size_um` as the template takes them, None without cells.

    Tiles are drawn where the tissue map has tissue; everywhere in the tile where there is none. Of fewer than
    ten tiles with a label there are no maps.
    """
    tiles = tile_phenotypes(cells, size_um)
    if not len(tiles):
        return None
    few = tiles["total_cell_count"].to_numpy() < phenotypes().fewest_cells
    labeled = int(np.count_nonzero(~few))
    if labeled < FEWEST_TILES:
        return {"maps": [], "side": f"{size_um:g}", "labeled": labeled, "fewest": FEWEST_TILES}
    extent_um, shape = overview.extent_um, overview.pixels.shape[:2]
    outside = np.zeros(shape, bool) if tissue is None else shrink_map(tissue, extent_um, shape) == 0
    maps = []
    for name, axis in phenotypes().axes.items():
        codes = _codes(axis, tiles[name].to_pylist(), few)
        picture = tile_picture(tiles, codes, extent_um=extent_um, shape=shape)
        picture[outside] = 0
        layer = class_layer(picture, list(LEVEL_COLORS.values()), alphas=[VEIL_ALPHA] * len(_KINDS))
        legend = list(_legend(axis, np.bincount(codes, minlength=len(_KINDS) + 1)[1:]))
        title, measured = _TITLES[name]
        maps.append({"title": title, "measured": measured, "picture": png_uri(layer), "legend": legend})
    return {
        "maps": maps,
        "side": f"{size_um:g}",
        "fewest": phenotypes().fewest_cells,
        "n": format_cell_number(len(tiles), n=len(tiles), count=True),
        "few": format_cell_number(int(few.sum()), n=len(tiles), count=True),
        "bar": picture_bar(extent_um[0], shape, shape[1] / _LETTERS_WIDE),
    }


def tile_picture(
    tiles: pa.Table, codes: np.ndarray, *, extent_um: tuple[float, float], shape: tuple[int, int]
) -> np.ndarray:
    """Return the code of the tile under each pixel's center of a picture of the slide, uint8; 0 for none."""
    size_um = tiles["size_um"][0].as_py()
    column, row = (np.rint(tiles[name].to_numpy() / size_um).astype(np.int64) for name in ("x_um", "y_um"))
    x, y = (
        ((np.arange(n) + 0.5) * side / n // size_um).astype(np.int64)
        for n, side in zip(reversed(shape), extent_um, strict=True)
    )
    lattice = np.zeros((max(row.max(), y[-1]) + 1, max(column.max(), x[-1]) + 1), np.uint8)
    lattice[row, column] = codes
    return lattice[np.ix_(y, x)]


def _codes(axis: Axis, labels: list[str | None], few: np.ndarray) -> np.ndarray:
    """Return the code of each tile."""
    kinds: dict[str | None, str] = {axis.at(level).label: level for level in ("low", "intermediate", "high")}
    kinds[None] = _NO_VALUE
    codes = np.array([_KINDS.index(kinds[label]) + 1 for label in labels], np.uint8)
    codes[few] = _KINDS.index(_FEW) + 1
    return codes


def _legend(axis: Axis, counts: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield color, label, meaning and number of tiles; few cells and no value only where there are any."""
    labeled = int(counts[:3].sum())
    share = axis.value.startswith("ratio_")
    below, above = (f"{100 * limit if share else limit:g}" for limit in (axis.below, axis.above))
    unit = " %" if share else _UNITS.get(axis.unit, "")
    meanings = {"high": f"over {above}", "intermediate": f"{below} to {above}", "low": f"under {below}"}
    for level in ("high", "intermediate", "low"):
        count = int(counts[_KINDS.index(level)])
        shown = format_cell_number(count, n=labeled, count=True)
        percent = format_cell_number(100 * count / labeled if labeled else None, n=labeled)
        entry = {
            "color": LEVEL_COLORS[level],
            "label": axis.at(level).label,
            "meaning": meanings[level] + unit,
        }
        yield entry | {"shown": shown, "share": percent}
    for kind, label in ((_NO_VALUE, "No value"), (_FEW, "Too few cells")):
        count = int(counts[_KINDS.index(kind)])
        if count:
            shown = format_cell_number(count, n=count, count=True)
            yield {"color": LEVEL_COLORS[kind], "label": label, "meaning": "", "shown": shown, "share": None}
