"""Two models of cells on the same fields: how far they agree, where they do not, and who is right."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.cells import find_cells
from histome.checks.disagreement import BothSeen, ComparedField, draw_disagreement
from histome.checks.robustness import read_square
from histome.classes import CELL_CLASSES
from histome.datasets.published import load_labeled
from histome.errors import DataError
from histome.geometry.raster import paint_outlines
from histome.models.runtime import Predictor
from histome.slide import open_slide
from histome.slide.plain import array_slide
from histome.validation.agreement import kappa_of
from histome.validation.confidence import confusion_parts
from histome.validation.matching import match_centers
from histome.validation.nuclei import FieldScore, found_from_table, score_field, score_tables
from histome.validation.raters.page import Section
from histome.validation.resampling import bootstrap, ratio
from histome.validation.scores import Found
from histome.validation.segmentation import LabelImage, score_image, scored_sections

_FIELD_UM = 500.0
_N = len(CELL_CLASSES)
_PICTURES = 6
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi")


def fields_of_slide(path: Path, *, mpp: float | None, side_um: float) -> Iterator[ComparedField]:
    """Fields of up to 500 um of the part of a slide, or of a field of view, with the least white."""
    with open_slide(path, mpp=mpp) as slide:
        own, pixels = slide.mpp.x, read_square(slide, side_um)
    rows, columns = (_cuts(n, own) for n in pixels.shape[:2])
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            part = np.ascontiguousarray(pixels[top:bottom, left:right])
            yield ComparedField(f"{path.stem} {left},{top}", part, own)


def _cuts(size_px: int, mpp: float) -> list[int]:
    """Where a side is cut into even parts that are no longer than a field's."""
    parts = ceil(size_px * mpp / _FIELD_UM)
    return [round(k * size_px / parts) for k in range(parts + 1)]


def fields_of_folder(
    folder: Path, *, mpp: float | None, to_mpp: float, labels: str | None = None
) -> Iterator[ComparedField]:
    """Fields of a folder: labeled ones (`images.csv`, or `labels`, a published set), or images alone.

    Parameters
    ----------
    mpp : float, um/px, or None
        Of images that do not say theirs.
    to_mpp : float, um/px
        What labeled images are brought to.
    labels : str or None
        The data set whose labels judge the models; None: labels are not looked at.

    Raises
    ------
    DataError, SlideError, MppError
        No such folder, nothing in it that can be read, no resolution.
    """
    if labels or (folder / "images.csv").is_file():
        for field in load_labeled(labels or folder.resolve().name, folder, image_mpp=to_mpp):
            yield ComparedField(field.name, field.image, field.image_mpp, field if labels else None)
        return
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGES) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: no folder with images ({', '.join(_IMAGES)}) or images.csv")
    for path in files:
        yield from fields_of_slide(path, mpp=mpp, side_um=_FIELD_UM)


def compare_models(
    models: tuple[Predictor, Predictor],
    fields: Iterable[ComparedField],
    *,
    workers: int = 1,
    draws: int = 2000,
) -> list[Section]:
    """Tables, figures and pictures of two models on the same fields.

    Outlines and places of the second are held against those of the first on the pixels of each field, classes
    where both find the same nucleus; figures against labels are those of a card.

    Raises
    ------
    DataError
        No field, or no cell by either model: there is nothing to compare.
    """
    names = _names(models)
    worst: list[BothSeen] = []
    scores, tables, counts, judged = {}, [], [], []
    for field in fields:
        seen = _look(models, field, workers)
        scores[field.name] = _agreement(seen)
        tables.append(confusion_parts(*(seen.classes(k)[seen.pairs[:, k]] for k in range(2)), n=_N))
        counts.append([np.bincount(seen.classes(k), minlength=_N) for k in range(2)])
        if field.labeled is not None:
            judged.append([score_field(found, field.labeled) for found in seen.found])
        worst = sorted([*worst, seen], key=lambda each: -each.doubts)[:_PICTURES]
    if not np.sum(counts):
        raise DataError("neither model finds a cell: there is nothing to compare")
    sections = [_found_section(names, np.sum(counts, axis=0), len(scores)), _pictures(names, worst)]
    sections += _outline_sections(names, scores, draws)
    sections += _class_sections(names, np.stack(tables), list(scores), draws)
    return [*_judged_sections(names, judged), *sections]


def _names(models: tuple[Predictor, Predictor]) -> tuple[str, str]:
    """Names of both, told apart where they are called alike."""
    one, other = (model.card.name for model in models)
    return (one, other) if one != other else (f"{one} (first)", f"{other} (second)")


def _look(models: tuple[Predictor, Predictor], field: ComparedField, workers: int) -> BothSeen:
    found = []
    for model in models:
        with array_slide(field.pixels, field.mpp) as slide:
            cells = find_cells(slide, None, model, workers=workers)
        found.append(found_from_table(cells, field.mpp) if len(cells) else _nothing())
    one, other = found
    return BothSeen(field, (one, other), match_centers(one.centers_um, other.centers_um))


def _nothing() -> Found:
    none = np.zeros((0, 2))
    return Found(none, np.zeros((0, 4, 2)), np.zeros((0, _N), np.float32), np.zeros(0, bool))


def _agreement(seen: BothSeen) -> dict[str, Any]:
    """Scores of the second model's outlines as if the first's were true; its classes stay out of them."""
    shape = seen.field.pixels.shape[:2]
    one, other = (
        LabelImage(paint_outlines(found.outlines_um / seen.field.mpp, shape), {}) for found in seen.found
    )
    return {"image": seen.field.name} | score_image(one, other, seen.field.mpp)


def _found_section(names: tuple[str, str], counts: NDArray[np.int64], fields: int) -> Section:
    rows = [
        {"class": name, **dict(zip(names, each.tolist(), strict=True))}
        for name, each in zip((*CELL_CLASSES, "all"), [*counts.T, counts.sum(1)], strict=True)
    ]
    text = f"Cells that each model finds, by their likeliest class. Fields: {fields}."
    return Section("found", "What each finds", text, rows, figure="")


def _pictures(names: tuple[str, str], worst: Sequence[BothSeen]) -> Section:
    pictures = [(seen.told(names), draw_disagreement(seen)) for seen in worst if seen.doubts]
    text = (
        f"The places of the fields with the most disagreement. White: both find the nucleus and its class. "
        f"Yellow: both find it and name two classes. Cyan: {names[0]} alone. Green: {names[1]} alone."
    )
    return Section("disagreement", "Where they disagree", text, [], figure="", pictures=pictures)


def _outline_sections(names: tuple[str, str], scores: dict[str, dict[str, Any]], draws: int) -> list[Section]:
    """As `validate segmentation` has them, the first model in place of the truth."""
    whole, each = scored_sections(list(scores.values()), seed=0, draws=draws)
    told = (
        f"{names[1]} held against {names[0]}; PQ, Dice, IoU and F1 are the same the other way round. Means "
        "over fields, each resampled whole; detection F1 counts all nuclei, a center within 3 um is a hit. n "
        "is the number of fields."
    )
    return [
        replace(whole, name="outlines", title="Outlines and places: agreement", text=told),
        replace(each, title="Agreement on each field"),
    ]


def _class_sections(
    names: tuple[str, str], tables: NDArray[np.float64], fields: Sequence[str], draws: int
) -> list[Section]:
    """Confusion of the classes of nuclei that both find, share that agrees and Cohen's kappa."""
    rng, table = np.random.default_rng(0), tables.sum(0).reshape(_N, _N)
    figures = {
        "same class": lambda sums: ratio(
            np.stack([np.trace(_square(sums), axis1=-2, axis2=-1), sums.sum(-1)], axis=-1)
        ),
        "Cohen's kappa": lambda sums: kappa_of(_square(sums)),
    }
    rows = [
        {"measure": name, "label": "all", **bootstrap(tables, fields, of, rng=rng, draws=draws).row()}
        for name, of in figures.items()
    ]
    there = [k for k in range(_N) if table[k].sum() + table[:, k].sum()]
    # The diagonal first: the figure has its rows and columns in the order in which they come.
    met = [*((k, k) for k in there), *((i, j) for i in there for j in there if i != j and table[i, j])]
    crossed = [
        {
            "row": CELL_CLASSES[i],
            "column": CELL_CLASSES[j],
            "value": float(table[i, j] / max(table[i].sum(), 1)),
            "n": int(table[i, j]),
        }
        for i, j in met
    ]
    text = (
        f"Nuclei that both find (centers within 3 um), n = {int(table.sum()):,}; fields resampled whole, n "
        "is their number. Kappa is the agreement beyond chance."
    )
    of = (
        f"Nuclei that both find: a row is the class by {names[0]}, a column that by {names[1]}, a value the "
        "share of the row, n the number."
    )
    return [
        Section("classes", "Classes: agreement", text, rows),
        Section("confusion", "Classes, one against the other", of, crossed, figure="heat"),
    ]


def _square(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    return sums.reshape(*sums.shape[:-1], _N, _N)


def _judged_sections(names: tuple[str, str], judged: list[list[FieldScore]]) -> list[Section]:
    """Figures of both against the labels, each data set's as its card would have them."""
    if not judged:
        return []
    rows = []
    for name, scores in zip(names, zip(*judged, strict=True), strict=True):
        (table,) = score_tables(scores).values()
        rows += [
            {"judge": name, "measure": measure, **{key: figure[key] for key in ("value", "low", "high")}}
            | {"n": figure["units"]}
            for measure, figure in table.items()
            if isinstance(figure, Mapping)
        ]
    order = [*dict.fromkeys(row["measure"] for row in rows)]
    rows.sort(key=lambda row: order.index(row["measure"]))
    text = (
        "Both models against the labels: centers within 3 um, PQ and AJI as means over fields, F_c of each "
        "group of classes that the labels tell apart. n is the number of sources, or of fields where these "
        "are few."
    )
    return [Section("labels", "Against the labels", text, rows)]
