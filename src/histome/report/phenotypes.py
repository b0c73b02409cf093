"""Maps of the slide's phenotype axes: every tile colored by its value, over the faded overview."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from histome.caveats.enough import FEWEST_TILES
from histome.geotable import TableLike
from histome.metrics.format import format_cell_number
from histome.phenotype.axes import Axis, phenotypes
from histome.phenotype.tiles import tile_phenotypes
from histome.render.layers import VEIL_ALPHA, png_uri, shrink_map
from histome.render.scale import scale_codes, scale_layer
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
# A tile's kind is one more than the place here; the last two say that there is no label.
_KINDS = ("low", "intermediate", "high", "undefined", "few")
# The scale's ends, in percent of the tiles: a few extreme ones would leave the others one color.
_ENDS = (2, 98)
_LETTERS_WIDE = 26  # of a scale bar, over a map: a third of the page
_NO_VALUE, _FEW = "undefined", "few"


def phenotype_page(
    cells: TableLike, tissue: ClassMap | None, size_um: float, *, overview: Overview
) -> dict[str, Any] | None:
    """Return the maps of tiles of `size_um` as the template takes them, None without cells.

    Tiles are drawn where the tissue map has tissue; everywhere in the tile where there is none. Those of too
    few cells, and those without a value, have no color. Of fewer than ten tiles with a label there are no
    maps.
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
        values = np.where(few, np.nan, tiles[axis.value].to_numpy(zero_copy_only=False).astype(float))
        ends = np.nanpercentile(values, _ENDS).tolist() if np.isfinite(values).any() else [0.0, 0.0]
        picture = tile_picture(tiles, scale_codes(values, *ends), extent_um=extent_um, shape=shape)
        picture[outside] = 0
        unlabeled = few | (tiles[name].is_null().to_numpy() & tiles[axis.value].is_valid().to_numpy())
        kinds = np.bincount(_codes(axis, tiles[name].to_pylist(), unlabeled), minlength=len(_KINDS) + 1)[1:]
        title, measured = _TITLES[name]
        about = {"title": title, "measured": measured, "ends": [_text(axis, end) for end in ends]}
        drawn = png_uri(scale_layer(picture, VEIL_ALPHA))
        maps.append(about | {"picture": drawn, "legend": list(_legend(axis, kinds))})
    return {
        "maps": maps,
        "side": f"{size_um:g}",
        "fewest": phenotypes().fewest_cells,
        "n": format_cell_number(len(tiles), n=len(tiles), count=True),
        "few": format_cell_number(int(few.sum()), n=len(tiles), count=True),
        "bar": picture_bar(extent_um[0], shape, shape[1] / _LETTERS_WIDE),
    }


def _text(axis: Axis, value: float) -> str:
    """Return a value of an axis as the scale shows it."""
    return f"{100 * value:.3g} %" if _is_share(axis) else f"{value:.3g}{_UNITS.get(axis.unit, '')}"


def _is_share(axis: Axis) -> bool:
    return axis.value.startswith("ratio_")


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
    """Return the kind of each tile."""
    kinds: dict[str | None, str] = {axis.at(level).label: level for level in ("low", "intermediate", "high")}
    kinds[None] = _NO_VALUE
    codes = np.array([_KINDS.index(kinds[label]) + 1 for label in labels], np.uint8)
    codes[few] = _KINDS.index(_FEW) + 1
    return codes


def _legend(axis: Axis, counts: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield label, meaning and number of tiles; few cells and no value only where there are any."""
    labeled = int(counts[:3].sum())
    share = _is_share(axis)
    below, above = (f"{100 * limit if share else limit:g}" for limit in (axis.below, axis.above))
    unit = " %" if share else _UNITS.get(axis.unit, "")
    meanings = {"high": f"over {above}", "intermediate": f"{below} to {above}", "low": f"under {below}"}
    for level in ("high", "intermediate", "low"):
        count = int(counts[_KINDS.index(level)])
        shown = format_cell_number(count, n=labeled, count=True)
        percent = format_cell_number(100 * count / labeled if labeled else None, n=labeled)
        entry = {"label": axis.at(level).label, "meaning": meanings[level] + unit}
        yield entry | {"shown": shown, "share": percent}
    for kind, label in ((_NO_VALUE, "No value"), (_FEW, "Too few cells")):
        count = int(counts[_KINDS.index(kind)])
        if count:
            shown = format_cell_number(count, n=count, count=True)
            yield {"label": label, "meaning": "", "shown": shown, "share": None}
