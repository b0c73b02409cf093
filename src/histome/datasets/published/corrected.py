"""What people corrected in the viewer, as labels: fields round the cells whose class somebody gave."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP, Field, FieldId, instance_field
from histome.datasets.labelsets import label_set
from histome.datasets.published.maps import compact
from histome.errors import DataError, HistomeError
from histome.geometry.raster import paint_polygons
from histome.slide import Slide
from histome.store.edits import Relabel, edits_path, given_classes, in_force, read_edits
from histome.store.profile import RUN_NAME, Profile, load_profile
from histome.store.slides import find_slide, profile_places

CORRECTED = "corrected"
# Side of a field: a few crops of training wide.
_FIELD_PX = 512


def load_corrected(folder: Path) -> Iterator[Field]:
    """Fields of the profiles in a folder, or of the one that it is, that have a file of edits beside them.

    Squares of 256 um that hold a cell whose class a person gave, confirmed ones too, and that was not undone.
    Those cells alone are labeled: they teach their class, and nothing is said of outlines or of what lies
    between them. The source is the slide, which is looked for where `histome view` looks for it unasked.

    Raises
    ------
    DataError
        No corrected cell, or no slide; one line.
    """
    paths = [folder] if (folder / RUN_NAME).is_file() else sorted(folder.iterdir())
    edited = [path for path in paths if (path / RUN_NAME).is_file() and edits_path(path.resolve()).is_file()]
    found = 0
    for path in edited:
        for field in _of_profile(path, profile_places(folder)):
            found += 1
            yield field
    if not found:
        raise DataError(f"{folder}: no profile here has cells that somebody relabeled; see docs/viewer.md")


def _of_profile(path: Path, places: tuple[Path, Path]) -> Iterator[Field]:
    try:
        profile = Profile(load_profile(path).path, as_found=True)
        cells, facts = profile.cells, profile.run["slide"]
        edits = in_force(read_edits(edits_path(path.resolve()), slide=facts["content"]))
    except HistomeError as error:
        raise DataError(str(error)) from error
    mpp = np.array([facts["mpp"][axis] for axis in "xy"], float)
    codes, given, _ = given_classes(cells, [each for each in edits if isinstance(each, Relabel)], mpp)
    if not given.any():
        return
    slide, missing = find_slide(profile, places)
    if slide is None:
        raise DataError(f"{path}: {missing}; put it, or a link to it, beside the profile")
    outlines = shapely.from_wkb(cells["geometry"].filter(given).to_numpy(zero_copy_only=False))
    with slide:
        yield from _fields(slide, shapely.transform(outlines, lambda xy: xy * mpp / IMAGE_MPP), codes[given])


def _fields(slide: Slide, outlines: NDArray[np.object_], codes: NDArray[np.int64]) -> Iterator[Field]:
    """Fields of one slide; `outlines` in px of 0.5 um, `codes` places in CELL_CLASSES."""
    centers = shapely.get_coordinates(shapely.centroid(outlines))
    squares = (centers // _FIELD_PX).astype(int)
    for column, row in np.unique(squares, axis=0).tolist():
        mine = np.flatnonzero((squares == (column, row)).all(axis=1))
        corner = (column * _FIELD_PX, row * _FIELD_PX)
        left, top = corner[0] * IMAGE_MPP / slide.mpp.x, corner[1] * IMAGE_MPP / slide.mpp.y
        pixels = slide.read(left, top, size=(_FIELD_PX, _FIELD_PX), mpp=IMAGE_MPP)
        painted = np.zeros((_FIELD_PX, _FIELD_PX), np.int32)
        numbers = np.arange(1, len(mine) + 1, dtype=np.int32)
        paint_polygons(painted, outlines[mine], numbers, origin_px=corner)
        labels, sets = compact(painted, [0, *(label_set(CELL_CLASSES[code]) for code in codes[mine])])
        of = FieldId(CORRECTED, f"{slide.id}-{column}-{row}", slide.id)
        nothing = np.zeros(labels.shape, np.uint8)
        yield instance_field(of, pixels, labels, sets, mpp=IMAGE_MPP, weight=nothing, shapes=False)
