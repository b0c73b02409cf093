"""What changes in cells and tissue when a picture is turned, moved, scanned or stained otherwise."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.cells import find_cells
from histome.cells.table import counted_cells
from histome.classes import CELL_CLASSES
from histome.config import Config
from histome.datasets.fields import IMAGE_MPP, Field, resize_image
from histome.errors import DataError
from histome.models.runtime import Predictor
from histome.qc import assess
from histome.slide import ClassMap, Slide
from histome.slide.plain import array_slide
from histome.tissue import segment_tissue
from histome.validation.nuclei import FieldScore, found_from_table, score_field, score_tables
from histome.validation.raters.page import Section
from histome.validation.staining import CONDITIONS, restain

COUNTS_PERCENT, SHARES_POINTS, TISSUE_AGREEMENT = 2.0, 2.0, 0.95
SHIFT_UM = (137.5, 91.0)
_CANVAS_UM = 200.0
_COARSER = 1.25
_SEARCH_MPP = 16.0
_AS_SCANNED = "as_scanned"

RgbPicture = NDArray[np.uint8]
# x, y in um of the picture as it is -> x, y in um of the changed one.
Place = Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]


class SeenPicture(NamedTuple):
    """What the method finds on a picture: counted cells, and the tissue map."""

    cells: pa.Table
    tissue: ClassMap


class ChangedPicture(NamedTuple):
    """A picture as another scanner or another cut would have given it, and where its places went."""

    pixels: RgbPicture
    mpp: float
    place: Place


class Method(NamedTuple):
    """The method that is looked at: its networks, settings and threads."""

    tissue: Predictor
    cells: Predictor
    config: Config = Config()
    workers: int = 1

    def look(self, pixels: RgbPicture, mpp: float) -> SeenPicture:
        """Quality, tissue and cells of a picture, as a profile finds them."""
        with array_slide(pixels, mpp) as slide:
            quality = assess(slide, self.config.qc)
            tissue = segment_tissue(slide, quality, self.tissue, self.config.tissue, workers=self.workers)
            cells = find_cells(slide, tissue, self.cells, self.config.cells, workers=self.workers)
        return SeenPicture(counted_cells(cells), tissue.map)


def read_square(slide: Slide, side_um: float) -> RgbPicture:
    """Pixels of level 0 of the square with the least white, or of the whole slide where that is smaller."""
    mpp = slide.mpp.x
    if max(slide.extent_um) <= side_um:
        return slide.read(0, 0, size=(round(slide.extent_um[0] / mpp), round(slide.extent_um[1] / mpp)))
    height, width = slide.shape_at(_SEARCH_MPP)
    small = slide.read(0, 0, size=(width, height), mpp=_SEARCH_MPP)
    side = min(round(side_um / _SEARCH_MPP), height, width)
    dark = cv2.boxFilter((255 - small.min(2)).astype(np.float32), -1, (side, side), anchor=(0, 0))
    y, x = divmod(int(dark[: height - side + 1, : width - side + 1].argmax()), width - side + 1)
    step, size = _SEARCH_MPP / mpp, round(side_um / mpp)
    return slide.read(round(x * step), round(y * step), size=(size, size))


def changed_pictures(
    pixels: RgbPicture, mpp: float, shift_um: tuple[float, float] = SHIFT_UM
) -> Iterator[tuple[str, ChangedPicture]]:
    """The picture turned by 90 degrees, mirrored, shifted, on a larger canvas and at a coarser resolution."""
    width = pixels.shape[1] * mpp
    dx, dy = (round(shift / mpp) for shift in shift_um)
    room = round(_CANVAS_UM / mpp)
    same: Place = lambda x, y: (x, y)  # noqa: E731
    turned = np.ascontiguousarray(np.rot90(pixels))
    yield "rotation by 90 degrees", ChangedPicture(turned, mpp, lambda x, y: (y, width - x))
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    yield "mirror", ChangedPicture(mirrored, mpp, lambda x, y: (width - x, y))
    moved = _framed(pixels, ((dy, 0), (dx, 0)))
    yield "shift", ChangedPicture(moved, mpp, lambda x, y: (x + dx * mpp, y + dy * mpp))
    yield "canvas", ChangedPicture(_framed(pixels, ((0, room), (0, room))), mpp, same)
    coarse = resize_image(pixels, mpp, mpp * _COARSER)
    yield "resolution", ChangedPicture(coarse, mpp * _COARSER, same)


def _framed(pixels: RgbPicture, rows_columns: tuple[tuple[int, int], tuple[int, int]]) -> RgbPicture:
    return np.pad(pixels, (*rows_columns, (0, 0)), constant_values=255)


def metamorphic_rows(
    pixels: RgbPicture, mpp: float, method: Method, shift_um: tuple[float, float] = SHIFT_UM
) -> list[dict[str, Any]]:
    """Hold cells and tissue of a picture against those of the same picture changed.

    Returns
    -------
    list of dict
        Rows of change, figure, before, after, difference, tolerance, holds: the number of cells (%), the
        class and the tissue whose share moves most (points), and the share of the tissue that is of one class
        in both (its tolerance is a least value).

    Raises
    ------
    DataError
        Where the picture has no cell: there is nothing to compare.
    """
    before = method.look(pixels, mpp)
    if not len(before.cells):
        raise DataError("there is no cell on the picture: nothing can be compared.")
    rows = []
    for name, changed in changed_pictures(pixels, mpp, shift_um):
        after = method.look(changed.pixels, changed.mpp)
        rows += [{"change": name, **row} for row in compare_seen(before, after, changed.place)]
    return rows


def compare_seen(before: SeenPicture, after: SeenPicture, place: Place) -> list[dict[str, Any]]:
    """The rows of one change, see `metamorphic_rows`."""
    n, m = len(before.cells), len(after.cells)
    rows = [_row("cells", n, m, 100 * abs(m - n) / n, COUNTS_PERCENT)]
    for kind, shares in (("share of", _cell_shares), ("tissue of", _tissue_shares)):
        a, b = shares(before), shares(after)
        name = max(a, key=lambda key: abs(a[key] - b[key]))
        rows.append(_row(f"{kind} {name}", a[name], b[name], abs(a[name] - b[name]), SHARES_POINTS))
    agreed = _agreement(before.tissue, after.tissue, place)
    last = {"difference": agreed, "tolerance": TISSUE_AGREEMENT, "holds": agreed >= TISSUE_AGREEMENT}
    return [*rows, {"figure": "tissue agreement", "before": 1.0, "after": agreed, **last}]


def _row(figure: str, before: float, after: float, difference: float, tolerance: float) -> dict[str, Any]:
    told = {"figure": figure, "before": float(before), "after": float(after), "difference": difference}
    return told | {"tolerance": tolerance, "holds": difference <= tolerance}


def _cell_shares(seen: SeenPicture) -> dict[str, float]:
    """Class -> percent of the cells."""
    said = seen.cells["class"].to_pylist()
    return {name: 100 * said.count(name) / max(len(said), 1) for name in CELL_CLASSES}


def _tissue_shares(seen: SeenPicture) -> dict[str, float]:
    """Class -> percent of the tissue."""
    areas = seen.tissue.areas_px()[1:]
    return dict(zip(seen.tissue.classes, (100 * areas / max(areas.sum(), 1e-9)).tolist(), strict=True))


def _agreement(before: ClassMap, after: ClassMap, place: Place) -> float:
    rows, columns = np.nonzero(before.array)
    x, y = (
        (k + start + 0.5) * before.mpp for k, start in zip((columns, rows), before.origin_px, strict=True)
    )
    return float((after.at(*place(x, y)) == before.array[rows, columns]).mean())


def metamorphic_sections(rows: list[dict[str, Any]]) -> list[Section]:
    """The rows as a table of a page."""
    text = (
        f"The same picture, changed: counts may differ by {COUNTS_PERCENT:g} %, shares by {SHARES_POINTS:g} "
        f"points, and at least {TISSUE_AGREEMENT:.0%} of the tissue is to keep its class."
    )
    return [Section("metamorphic", "What a change of the picture changes", text, rows, figure="")]


def stained_counts(pixels: RgbPicture, mpp: float, method: Method) -> list[dict[str, Any]]:
    """Cells and shares of a picture under each stain condition, and the largest less the smallest of each."""
    seen = {_AS_SCANNED: method.look(pixels, mpp)}
    seen |= {name: method.look(restain(pixels, each), mpp) for name, each in CONDITIONS.items()}
    figures: dict[str, dict[str, float]] = {"cells": {name: len(s.cells) for name, s in seen.items()}}
    for kind, shares, names in (
        ("cells", _cell_shares, CELL_CLASSES),
        ("tissue", _tissue_shares, seen[_AS_SCANNED].tissue.classes),
    ):
        of = {name: shares(each) for name, each in seen.items()}
        figures |= {f"% of {kind}: {label}": {name: of[name][label] for name in of} for label in names}
    return [
        {"figure": name, **values, "spread": float(max(values.values()) - min(values.values()))}
        for name, values in figures.items()
    ]


def stained_scores(fields: Iterable[Field], network: Predictor, config: Config) -> list[dict[str, Any]]:
    """Scores of labeled fields of one data set under each stain condition, with intervals.

    Returns
    -------
    list of dict
        Rows of condition, measure, value, low, high, n (sources, or fields where they are fewer than five).
    """
    fields = list(fields)
    if not fields:
        raise DataError("the folder has no labeled field.")
    rows = []
    for name in (_AS_SCANNED, *CONDITIONS):
        (table,) = score_tables([_scored(field, name, network, config) for field in fields]).values()
        for measure, figure in table.items():
            if isinstance(figure, Mapping):
                known = {key: figure[key] for key in ("value", "low", "high")}
                rows.append({"condition": name, "measure": measure, **known, "n": figure["units"]})
    return rows


def _scored(field: Field, condition: str, network: Predictor, config: Config) -> FieldScore:
    pixels = field.image if condition == _AS_SCANNED else restain(field.image, CONDITIONS[condition])
    with array_slide(pixels, IMAGE_MPP) as slide:
        cells = find_cells(slide, None, network, config.cells)
    return score_field(found_from_table(cells, IMAGE_MPP), field)


def staining_sections(rows: list[dict[str, Any]]) -> list[Section]:
    """The rows of `stained_counts` or `stained_scores` as tables."""
    text = (
        "As scanned, and under four simulated stain conditions: stains weaker (0.7) and stronger (1.35), "
        "their colors farther apart and closer together (a fifth of the way)."
    )
    if "figure" in rows[0]:
        return [Section("staining", "Under stain conditions", text, rows, figure="")]
    spread = []
    for measure in dict.fromkeys(row["measure"] for row in rows):
        values = [row["value"] for row in rows if row["measure"] == measure]
        known = {"least": min(values), "largest": max(values), "spread": float(np.ptp(values))}
        spread.append({"measure": measure, **known})
    told = "The largest less the smallest value over the conditions: 0 is best."
    return [
        Section("staining", "Under stain conditions", text, rows),
        Section("spread", "Spread", told, spread, figure=""),
    ]
