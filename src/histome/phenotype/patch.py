"""A patch as JSON: its numbers, what they mean, and in which unit; from masks in a file or from an image."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.cells import find_cells
from histome.cells.table import class_codes
from histome.classes import CELL_CLASSES
from histome.config import CellsConfig, QcConfig
from histome.errors import NoTissueError, UsageError
from histome.geotable import TableLike
from histome.models.registry import find_model, open_model
from histome.models.tasks import CELL_TASKS
from histome.phenotype.axes import PANNUKE_CLASSES, Phenotypes, Unit, phenotypes, phenotypes_of
from histome.phenotype.features import PatchCells, all_cells_of_masks, in_um, measure_cells, measure_px
from histome.phenotype.tokens import interpret
from histome.qc import assess
from histome.slide import Slide, open_slide
from histome.slide.broken import broken_tiles_line
from histome.threads import available_cpus

# Ours to PanNuke's. What is "other" is none of its five kinds, and is left out rather than guessed.
PANNUKE_OF = {
    "carcinoma_cell": "Neoplastic",
    "lymphocyte": "Inflammatory",
    "plasma_cell": "Inflammatory",
    "macrophage": "Inflammatory",
    "granulocyte": "Inflammatory",
    "fibroblast": "Connective",
    "endothelial_cell": "Connective",
    "epithelial_cell": "Epithelial",
}
UNSEEN = tuple(name for name in PANNUKE_CLASSES if name not in PANNUKE_OF.values())
MASKS = ("inst_mask", "cls_mask")
_ZIP_MAGIC = b"PK\x03\x04"


class PatchSeen(NamedTuple):
    """The JSON document of a patch, its size (width, height) and its cells in px of the file.

    `left_out` are the nuclei that no number counts: of class other, or without a class in a mask.
    """

    document: dict[str, Any]
    cells: PatchCells
    left_out: PatchCells
    size_px: tuple[int, int]


def describe_file(path: str | Path, **options: Any) -> dict[str, Any]:
    """Return the JSON document of a patch, see `describe`; arguments as of `see_file`."""
    return see_file(path, **options).document


def see_file(
    path: str | Path,
    *,
    mpp: float | None = None,
    compatible: bool = False,
    model: str | None = None,
    cuts: Path | None = None,
) -> PatchSeen:
    """Return what there is to say of a patch, and its cells.

    Parameters
    ----------
    path : str or Path
        An .npz with the arrays `inst_mask` and `cls_mask` (see `features.patch_features`), or an image.
    mpp : float or None, um per px
        An image needs it unless its file says.
    model : str or None
        Finds the nuclei of an image, as in `CellsConfig`; None is its own.
    cuts : Path or None
        A user's TOML of limits in um, see `axes.CutsFile`.

    Raises
    ------
    UsageError
        Masks that are refused, or given with a model; limits in um for a patch in pixels.
    SlideError, MppError, ModelError
        For an image.
    """
    path, known = Path(path), phenotypes_of(cuts)
    ways = ["leave out --compatible"] if compatible else []
    ways += ["give its um/px with --mpp"] if mpp is None and _is_npz(path) else []
    if cuts is not None and ways:
        way = " and ".join(ways)
        raise UsageError(f"{cuts}: its limits are in um and this patch is measured in pixels; {way}")
    if _is_npz(path):
        if model is not None:
            raise UsageError(f"{path}: its masks are the nuclei, {model} would find others; give no model")
        inst_mask, cls_mask = _read_masks(path)
        try:
            cells, left_out = all_cells_of_masks(inst_mask, cls_mask)
            raw_data = measure_px(cells, mpp=mpp, compatible=compatible)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        unit: Unit = "px" if mpp is None or compatible else "um"
        document = describe(raw_data, unit=unit, mpp=mpp, compatible=compatible, known=known)
        told = _left_out(document, len(left_out.code), "without a class in cls_mask")
        return PatchSeen(document | told, cells, left_out, inst_mask.shape[::-1])
    with open_slide(path, mpp=mpp) as slide:
        return see_image(slide, model=model, compatible=compatible, known=known)


def describe_image(slide: Slide, **options: Any) -> dict[str, Any]:
    """Return the JSON document of an image; arguments as of `see_image`."""
    return see_image(slide, **options).document


def see_image(
    slide: Slide, *, model: str | None = None, compatible: bool = False, known: Phenotypes | None = None
) -> PatchSeen:
    """Return what there is to say of an image, with the nuclei that a model finds anywhere in it.

    `cells_abstained` are the counted cells whose class the model abstained from; `h_and_e` is false where
    quality control finds no tissue of H&E in it. `warnings` hold what its reader says of the file, the tiles
    that could not be read, and what quality control finds.
    """
    workers = available_cpus()
    network = open_model(find_model(model or CellsConfig().model, task=CELL_TASKS), threads=workers)
    table = find_cells(slide, None, network, workers=workers)
    cells, left_out = pannuke_cells(table)
    mpp = slide.mpp
    in_px, others_px = (in_um(each, 1 / mpp.x, 1 / mpp.y) for each in (cells, left_out))
    cells = in_px if compatible else cells
    unit: Unit = "px" if compatible else "um"
    raw_data = measure_cells(cells, unit=unit, unseen=UNSEEN)
    document = describe(raw_data, unit=unit, mpp=mpp.x, compatible=compatible, known=known)
    warnings = [*document["warnings"], *slide.notes]
    if broken := len(slide.broken):
        warnings.append(broken_tiles_line(broken, None))
    unlike = _unlike_h_and_e(slide, workers)
    told = _left_out(document, len(left_out.code), "of the class other, which is none of the five")
    told |= {"cells_abstained": _abstained(table), "h_and_e": not unlike}
    told |= {"model": network.card.name, "warnings": [*warnings, *unlike]}
    return PatchSeen(document | told, in_px, others_px, slide.size_px)


def _unlike_h_and_e(slide: Slide, workers: int) -> list[str]:
    """Return in a line why quality control lets nothing of an image be measured, if it does not."""
    try:
        looks = assess(slide, QcConfig(), workers=workers).summary()["unlike_h_and_e"]
    except NoTissueError as error:
        return [str(error).removeprefix(f"{slide.path.name}: ")]
    told = (
        f"by its colors ({looks}) this does not look like H&E (NOT_H_AND_E): of another stain nothing holds"
    )
    return [told] if looks else []


def _abstained(table: TableLike) -> int:
    """Return how many cells of the five classes the model abstained from."""
    unsure = table["abstained"].to_numpy(zero_copy_only=False)
    return int(np.count_nonzero(unsure & (_CODES[class_codes(table)] > 0)))


def _left_out(document: Mapping[str, Any], n: int, which: str) -> dict[str, Any]:
    """Return what a document says of the nuclei that no number counts."""
    note = f"{n:,} {'nucleus' if n == 1 else 'nuclei'} {which}: left out of all numbers."
    return {"cells_left_out": n, "notes": [*([note] if n else []), *document["notes"]]}


def describe(
    raw_data: Mapping[str, Any],
    *,
    unit: Unit,
    mpp: float | None = None,
    compatible: bool = False,
    known: Phenotypes | None = None,
) -> dict[str, Any]:
    """Return the JSON document of raw data: `raw_data`, `interpretation`, `generated_tokens`, and more.

    mode is "compatible" (as the paper), "physical" (um) or "pixels" (no mpp is known: the paper's limits in
    pixels); cuts are the two limits of each axis, own_cuts the axes whose limits are not the shipped ones;
    units are those of the raw data; undefined says why an axis has no label. Of fewer than 20 cells there are
    no labels, but in compatible mode; notes say so in words. Nor is there one that rests on a class with
    fewer. Plain numbers, no NaN.
    """
    known = known or phenotypes()
    fewest = 0 if compatible else known.fewest_cells
    found = interpret(raw_data, compatible=compatible, unit=unit, fewest_cells=fewest, known=known)
    few = (raw_data.get("total_cell_count") or 0) < fewest
    mode = "compatible" if compatible else "physical" if unit == "um" else "pixels"
    warning = "no um per px was given: labels are by the paper's thresholds in pixels"
    limits = {
        n: axis.paper if mode != "physical" else (axis.below, axis.above) for n, axis in known.axes.items()
    }
    own = [n for n, axis in known.axes.items() if axis != phenotypes().axes[n]]
    return {
        "raw_data": dict(raw_data),
        "interpretation": found.labels,
        "generated_tokens": found.tokens,
        "undefined": found.undefined,
        "mode": mode,
        "cuts": {name: list(pair) for name, pair in limits.items()},
        "own_cuts": own if mode == "physical" else [],
        "mpp": mpp,
        "units": {name: _unit(name, unit) for name in raw_data if name != "undefined"},
        "warnings": [warning] if mode == "pixels" else [],
        "notes": [f"No labels: there are fewer than {fewest} cells."] if few else [],
    }


def _unit(name: str, length: Unit) -> str:
    """Return the unit of a value of the raw data."""
    units = {"count": "cells", "area": f"{length}2", "dist": length, "entropy": "bits"}
    return next((unit for part, unit in units.items() if part in name), "1")


def pannuke_cells(table: TableLike) -> tuple[PatchCells, PatchCells]:
    """Return a cells table's cells by the five classes, in um, and those of class other, left out."""
    code = _CODES[class_codes(table)]
    known = "area_um2" in table.column_names  # cells found elsewhere may be points

    def chosen(rows: NDArray[np.bool_]) -> PatchCells:
        x, y = (np.asarray(table[name].to_numpy()[rows], np.float64) for name in ("x_um", "y_um"))
        area_um2 = table["area_um2"].to_numpy()[rows] if known else np.full(len(x), np.nan)
        return PatchCells(x, y, np.asarray(area_um2, np.float64), code[rows])

    return chosen(code > 0), chosen(code == 0)


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """Return PanNuke's code of each class, 0 for none, and last (index -1) a 0 for an unknown one."""
    kinds = [PANNUKE_OF.get(name) for name in names]
    codes = [0 if kind is None else PANNUKE_CLASSES.index(kind) + 1 for kind in kinds]
    return np.array([*codes, 0], np.int64)


_CODES = _codes(CELL_CLASSES)


def _is_npz(path: Path) -> bool:
    if not path.is_file():
        return False  # open_slide says what is wrong
    with path.open("rb") as file:
        return path.suffix.lower() == ".npz" or file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def _read_masks(path: Path) -> list[NDArray[Any]]:
    """Return the two masks of an .npz file; nothing in it is executed."""
    try:
        if not zipfile.is_zipfile(path):
            raise UsageError(f"{path}: is not an .npz file, or it is damaged")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in MASKS if name not in file]
            if missing:
                raise UsageError(
                    f"{path}: no {' and no '.join(missing)} among its arrays ({', '.join(file.files)}); "
                    f"save both with numpy.savez(path, {MASKS[0]}=..., {MASKS[1]}=...)"
                )
            return [file[name] for name in MASKS]
    # MemoryError: a header may claim any size.
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: cannot be read as an .npz of plain arrays ({error})") from error
