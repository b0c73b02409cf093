"""The pictures, ready for the template: the overview with its layers, the views, nuclei drawn by lot."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.config import ReportConfig
from histome.geotable import TableLike
from histome.metrics.format import format_cell_number
from histome.models.card import Card
from histome.render import palette
from histome.render.layers import (
    Layer,
    border_layer,
    cell_layer,
    class_layer,
    hatched,
    jpeg_uri,
    length_text,
    png_uri,
    scale_bar_um,
    shrink_map,
    shrink_values,
)
from histome.render.outlines import outline_paths
from histome.render.scale import STOPS, scale_codes, scale_layer
from histome.report.views import CellArrays, View, nuclei_near
from histome.slide.maps import ClassMap, ProbabilityMap
from histome.slide.reader import Slide

_DENSE = 300  # nuclei in a view from which outlines are drawn thinner
_NUCLEI_PER_CLASS = 12
_NUCLEUS_UM = 24.0
_NUCLEUS_PX = 60
_LAYERS = {"qc": "Quality", "tissue": "Tissue", "carcinoma": "P(carcinoma)", "cells": "Cells"}
_NOT_DRAWN = ("NO_TISSUE", "VALID_TISSUE")
# In so many equal steps a share is drawn: fewer would show as bands, more only weigh.
_STEP = 255 / 32
# Within this, the quality of JPEG is lowered step by step until the report fits its size.
JPEG_QUALITIES = (85, 70, 50, 30)


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made from; a part that the run did not make is None.

    `cells` are the columns of `table`, row by row, and `outlines` gives the WKB of some rows of it; `run` is
    run.json, `cards` are those of its models.
    """

    slide: Slide
    quality: ClassMap | None
    tissue: ClassMap | None
    probabilities: ProbabilityMap | None
    table: TableLike | None
    cells: CellArrays
    outlines: Callable[[np.ndarray], np.ndarray]
    run: Mapping[str, Any]
    cards: Mapping[str, Card]


@dataclass(frozen=True)
class Overview:
    """What is behind the overview: the thumbnail and its layers by key."""

    pixels: np.ndarray
    layers: Mapping[str, Layer]
    extent_um: tuple[float, float]


@dataclass(frozen=True)
class ViewPicture:
    """The pixels of a view, and the rows and outlines of the nuclei in it."""

    view: View
    pixels: np.ndarray
    rows: np.ndarray
    paths: Sequence[str]


def draw_overview(inputs: ReportInputs, config: ReportConfig) -> Overview:
    """Read the thumbnail and draw the layers over it; memory depends on the thumbnail and the class maps."""
    pixels = inputs.slide.thumbnail(config.thumbnail_px)
    extent_um, shape = inputs.slide.extent_um, pixels.shape[:2]
    layers = {}
    if inputs.quality is not None:
        colors = [None if name in _NOT_DRAWN else color for name, color in palette.QC_COLORS.items()]
        layers |= _area_layers("qc", shrink_map(inputs.quality, extent_um, shape), colors)
    if inputs.tissue is not None:
        colors = [*(palette.TISSUE_COLORS | {"OTHER": palette.HATCH_COLOR}).values()]
        other, codes = TISSUE_CLASSES.index("OTHER") + 1, shrink_map(inputs.tissue, extent_um, shape)
        layers |= _area_layers("tissue", codes, colors, striped=other)
    if inputs.tissue is not None and (carcinoma := _carcinoma(inputs)) is not None:
        shares = shrink_values(carcinoma, inputs.tissue, extent_um, shape)
        steps = scale_codes(np.rint(shares / _STEP) * _STEP, 0, 255)
        layers["carcinoma"] = scale_layer(steps, fading=True)
    if inputs.table is not None:
        layers["cells"] = cell_layer(
            inputs.cells.y_um * shape[0] / extent_um[1],
            inputs.cells.x_um * shape[1] / extent_um[0],
            inputs.cells.codes,
            shape=shape,
            colors=[palette.CELL_COLORS[name] for name in CELL_CLASSES],
        )
    return Overview(pixels, layers, extent_um)


def _carcinoma(inputs: ReportInputs) -> Callable[[], np.ndarray] | None:
    """What reads the probability of carcinoma on the pixels of the map, 0-255; None where it was not kept."""
    found = inputs.probabilities
    if found is None or inputs.tissue is None or found.array.shape[1:] != inputs.tissue.array.shape:
        return None
    return lambda: np.asarray(found.array[found.classes.index("CARCINOMA")])


def _area_layers(
    key: str, codes: np.ndarray, colors: Sequence[str | None], *, striped: int = 0
) -> dict[str, Layer]:
    """Return a map of classes as opaque fills, which the page makes translucent, and as borders.

    The code `striped` is hatched: the tissue between the stripes stays as it is.
    """
    filled = hatched(codes, striped) if striped else codes
    fills = class_layer(filled, colors, alphas=[255] * len(colors), outlined=False)
    return {key: fills, f"{key}-borders": border_layer(codes, colors)}


def draw_view(view: View, inputs: ReportInputs, config: ReportConfig) -> ViewPicture:
    """Read a view at the slide's own resolution, or what `field_px` allows, with its nuclei's outlines."""
    mpp = inputs.slide.mpp
    step_um = max(mpp.x, mpp.y, max(view.width_um, view.height_um) / config.field_px)
    size = (max(1, round(view.width_um / step_um)), max(1, round(view.height_um / step_um)))
    pixels = inputs.slide.read(view.x_um / mpp.x, view.y_um / mpp.y, size=size, mpp=step_um)
    rows = nuclei_near(view, inputs.cells)
    paths = outline_paths(
        shapely.from_wkb(inputs.outlines(rows)),
        scale=(mpp.x / step_um, mpp.y / step_um),
        offset=(view.x_um / step_um, view.y_um / step_um),
    )
    return ViewPicture(view, pixels, rows, paths)


def overview_page(overview: Overview, quality: int, first_layer: str) -> dict[str, Any]:
    """Return the overview as the template takes it; `quality` is JPEG's, `first_layer` the one that is on."""
    height, width = overview.pixels.shape[:2]
    font = max(8.0, round(width / 55, 1))
    return {
        "width": width,
        "height": height,
        "width_um": round(overview.extent_um[0], 3),
        "font": font,
        "picture": jpeg_uri(overview.pixels, quality),
        "first": first_layer if first_layer in overview.layers else "cells",
        "pictures": {key: png_uri(layer) for key, layer in overview.layers.items()},
        "layers": [
            {"key": key, "title": title, "legend": [] if key == "carcinoma" else palette.legend(key)}
            for key, title in _LAYERS.items()
            if key in overview.layers
        ],
        "bar": picture_bar(overview.extent_um[0], (height, width), font),
        "stops": STOPS,
    }


def picture_bar(width_um: float, shape: tuple[int, int], font: float) -> dict[str, Any]:
    """Return the scale bar in the lower left corner of a picture `width_um` wide, in the picture's pixels."""
    length_um = scale_bar_um(width_um)
    length, label = length_um * shape[1] / width_um, length_text(length_um)
    pad = font * 0.5
    return {
        "x": round(2 * pad, 2),
        "y": round(shape[0] - 1.6 * font, 2),
        "length": round(length, 2),
        "box_width": round(max(length, 0.58 * font * len(label)) + 2 * pad, 2),
        "font": font,
        "pad": round(pad, 2),
        "label": label,
    }


def view_page(number: int, picture: ViewPicture, inputs: ReportInputs, *, quality: int) -> dict[str, Any]:
    """Return one view as the template takes it."""
    view, cells = picture.view, inputs.cells
    height, width = picture.pixels.shape[:2]
    inside = view.holds(cells.x_um, cells.y_um)
    n, mpp = int(inside.sum()), inputs.slide.mpp
    groups = [_group(name, picture, cells) for name in CELL_CLASSES]
    return {
        "letter": string.ascii_uppercase[number],
        "title": view.title,
        "width": width,
        "height": height,
        "picture": jpeg_uri(picture.pixels, quality),
        "groups": [group for group in groups if group["nuclei"]],
        "bar": picture_bar(view.width_um, (height, width), max(8.0, round(width / 34, 1))),
        "legend": _counts(cells.codes[inside]),
        "mean": format_cell_number(float(cells.confidence[inside].mean()) if n else None, n=n),
        "n": format_cell_number(n, n=n, count=True),
        "rule": view.rule,
        "dense": n > _DENSE,
        "place": f"{round(view.x_um / mpp.x)}, {round(view.y_um / mpp.y)}",
        "mpp": f"{view.width_um / width:.3g}",
    }


def _group(name: str, picture: ViewPicture, cells: CellArrays) -> dict[str, Any]:
    """The outlines of one class: one casing for all, a line with a title for each."""
    mine = np.flatnonzero(cells.codes[picture.rows] == CELL_CLASSES.index(name))
    label = palette.CELL_LABELS[name]
    nuclei = [
        {
            "path": picture.paths[k],
            "open": bool(cells.abstained[picture.rows[k]]),
            "title": f"{label} {cells.confidence[picture.rows[k]]:.2f}",
        }
        for k in mine.tolist()
        if picture.paths[k]
    ]
    casing = "".join("M" + nucleus["path"][1:] for nucleus in nuclei)
    return {"key": name, "color": palette.CELL_COLORS[name], "nuclei": nuclei, "all": casing}


def _counts(codes: np.ndarray) -> list[dict[str, Any]]:
    """Legend entries of the classes that occur, commonest first."""
    counts = np.bincount(codes, minlength=len(CELL_CLASSES))
    order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
    return [
        {
            "label": palette.CELL_LABELS[CELL_CLASSES[k]],
            "color": palette.CELL_COLORS[CELL_CLASSES[k]],
            "shown": format_cell_number(int(counts[k]), n=int(counts[k]), count=True),
        }
        for k in order
    ]


def mark_on_overview(view: View, overview: Overview) -> dict[str, float]:
    """Return the view's rectangle in the overview's pixels."""
    scale = overview.pixels.shape[1] / overview.extent_um[0]
    corners = {"x": view.x_um, "y": view.y_um, "width": view.width_um, "height": view.height_um}
    return {name: round(value * scale, 1) for name, value in corners.items()}


def draw_gallery(inputs: ReportInputs, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return for each class a strip of nuclei drawn by lot, uint8 RGB; abstained ones are left out."""
    strips = {}
    for code, name in enumerate(CELL_CLASSES):
        mine = np.flatnonzero((inputs.cells.codes == code) & ~inputs.cells.abstained)
        drawn = np.sort(rng.permutation(len(mine))[:_NUCLEI_PER_CLASS])
        if len(drawn):
            strips[name] = np.concatenate([_portrait(inputs, int(row)) for row in mine[drawn]], axis=1)
    return strips


def _portrait(inputs: ReportInputs, row: int) -> np.ndarray:
    """A nucleus with its surroundings, white gap to the right."""
    mpp, half = inputs.slide.mpp, _NUCLEUS_UM / 2
    x_px, y_px = (inputs.cells.x_um[row] - half) / mpp.x, (inputs.cells.y_um[row] - half) / mpp.y
    size = (_NUCLEUS_PX, _NUCLEUS_PX)
    pixels = inputs.slide.read(x_px, y_px, size=size, mpp=_NUCLEUS_UM / _NUCLEUS_PX)
    return np.pad(pixels, ((0, 0), (0, 4), (0, 0)), constant_values=255)


def gallery_page(strips: Mapping[str, np.ndarray], quality: int) -> dict[str, Any] | None:
    """Return the strips as the template takes them; None when there are none."""
    rows = [
        {
            "label": palette.CELL_LABELS[name],
            "color": palette.CELL_COLORS[name],
            "picture": jpeg_uri(strip, quality),
            "width": strip.shape[1],
            "height": strip.shape[0],
            "shown": strip.shape[1] // (_NUCLEUS_PX + 4),
        }
        for name, strip in strips.items()
    ]
    return {"side": f"{_NUCLEUS_UM:g}", "rows": rows} if rows else None
