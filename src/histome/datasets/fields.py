"""Labeled fields of view: images, instances, points and label sets, as the folders of public data hold them.

Everything is brought to one image resolution (0.5 um/px by area averaging, if no other is asked for); label
maps stay at their own resolution, because targets are sampled from them exactly (see
training/nuclei/targets.py).
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.datasets.declared import declaration_of, set_of
from histome.errors import DataError

IMAGE_MPP = 0.5
_POINT_RADIUS_UM = 1.6
_POINT_BACKGROUND_UM = 9.0


@dataclass(frozen=True)
class Field:
    """One labeled field of view.

    Attributes
    ----------
    data_set, name, source : str
        Which data set and image; `source` is the slide or patient, the unit of every split.
    image : (h, w, 3) uint8
        Pixels at `image_mpp`.
    labels : (H, W) int32
        Instances at the label map's own resolution, 0 = none.
    depth : (H, W) uint8
        255 x distance to the instance's border / its largest: the object probability to learn.
    weight : (H, W) uint8
        255 x weight of the object loss: 0 where it is unknown whether there is a nucleus.
    label_mpp : float, um/px
        Resolution of `labels`.
    sets : (n + 1,) uint16
        Label set of each instance, 0 = no type.
    shapes : bool
        Whether the instances' outlines are true (points and semantic components are not).
    points_px : (n, 2) float32, px of `labels`
        x, y of the instances' centers.
    image_mpp : float, um/px
        Resolution of `image`.
    """

    data_set: str
    name: str
    source: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    depth: NDArray[np.uint8]
    weight: NDArray[np.uint8]
    label_mpp: float
    sets: NDArray[np.uint16]
    shapes: bool
    points_px: NDArray[np.float32]
    image_mpp: float = IMAGE_MPP


class _Values(dict[str, str]):
    """A row by its columns; one that the table lacks is told with its file and the columns that it has."""

    def __init__(self, path: Path, row: Mapping[str, str]) -> None:
        super().__init__(row)
        self._path = path

    def __missing__(self, column: str) -> str:
        there = ", ".join(filter(None, self)) or "none"
        raise DataError(f"{self._path}: has no column {column}; its columns are {there}")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with a header; a column that is not there raises DataError when it is asked for."""
    with path.open(newline="", encoding="utf-8-sig") as file:  # Excel puts a mark before the first name
        return [_Values(path, row) for row in csv.DictReader(file)]


class _Row(NamedTuple):
    """A row of a table, with its file and line for what is wrong in it."""

    path: Path
    line: int
    values: dict[str, str]

    def number(self, column: str, kind: type[float] = float, *, what: str = "a number") -> float:
        """The number in a column; raises DataError, one line, where there is none."""
        text = self.values[column]
        try:
            return kind(text)
        except (TypeError, ValueError) as error:
            raise self._wrong(f"{column} is {text!r}; give {what} there") from error

    def mpp(self) -> float:
        """The um/px of an image."""
        found = self.number("mpp", what="the image's um/px")
        if not 0 < found < math.inf:
            raise self._wrong(
                f"mpp is {self.values['mpp']!r}, no number above 0; give the image's um/px there"
            )
        return found

    def label_set(self, data_set: str) -> int:
        """The label set of a nucleus."""
        label = self.values["label"]
        try:
            return set_of(data_set, label)
        except DataError as error:
            raise self._wrong(str(error)) from error

    def _wrong(self, what: str) -> DataError:
        return DataError(f"{self.path}: line {self.line}: {what}")


def _rows_of(path: Path) -> Iterable[_Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        for row in rows:
            yield _Row(path, rows.line_num, _Values(path, row))


def read_image(path: Path, mpp: float, to_mpp: float = IMAGE_MPP) -> NDArray[np.uint8]:
    """RGB pixels at `to_mpp` um/px (area averaging when that is coarser)."""
    return resize_image(read_pixels(path), mpp, to_mpp)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """RGB pixels of an image, or DataError, one line, with its name."""
    with told_image(path), Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def told_image(path: Path) -> Iterator[None]:
    """Turn what is raised of an image that cannot be read into one line: Pillow itself names no file."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as an image ({reason}); mend it or take it away") from error


def _codes(path: Path) -> NDArray[np.int32]:
    with told_image(path), Image.open(path) as image:
        return np.asarray(image).astype(np.int32)


def resize_image(rgb: NDArray[np.uint8], mpp: float, to_mpp: float = IMAGE_MPP) -> NDArray[np.uint8]:
    """RGB pixels of `mpp` um/px at `to_mpp` um/px (area averaging when that is coarser)."""
    scale = mpp / to_mpp
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(rgb, size, interpolation=how)  # type: ignore[return-value]


def _normalized_depth(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """255 x distance to the border of the pixel's instance / the largest in that instance."""
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    border[:-1] |= labels[1:] != labels[:-1]
    inside = ((labels > 0) & ~border).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + 0.5 * (labels > 0)
    largest = np.zeros(labels.max() + 1)
    np.maximum.at(largest, labels.ravel(), distance.ravel())
    return (255 * distance / np.maximum(largest[labels], 1e-6) * (labels > 0)).astype(np.uint8)


def _centers(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """(n, 2) x, y centroid of each instance 1..n."""
    n = labels.max() + 1
    rows, cols = np.nonzero(labels)
    ids = labels[rows, cols]
    count = np.maximum(np.bincount(ids, minlength=n), 1)
    x = np.bincount(ids, cols + 0.5, n) / count
    y = np.bincount(ids, rows + 0.5, n) / count
    return np.stack([x, y], axis=1)[1:].astype(np.float32)


class FieldId(NamedTuple):
    """Which image a field is: its data set, its name there, the slide or patient it was cut from.

    `image_mpp` is the resolution that its pixels are brought to, um/px.
    """

    data_set: str
    name: str
    source: str
    image_mpp: float = IMAGE_MPP


def instance_field(
    of: FieldId,
    rgb: NDArray[np.uint8],
    labels: NDArray[np.int32],
    sets: NDArray[np.uint16],
    *,
    mpp: float,
    weight: NDArray[np.uint8] | None = None,
    shapes: bool = True,
) -> Field:
    """A field of labeled instances.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        Pixels at `mpp`.
    labels : (h, w) int32
        Instances 0..n, at `mpp` too.
    sets : (n + 1,) uint16
        Label set of each instance, 0 = no type.
    mpp : float, um/px
        Resolution of both.
    weight : (h, w) uint8 or None
        As in `Field`; without one every pixel counts in full.
    shapes : bool
        As in `Field`.
    """
    full = np.full(labels.shape, 255, np.uint8) if weight is None else weight
    image = resize_image(rgb, mpp, of.image_mpp)
    depth, centers = _normalized_depth(labels), _centers(labels)
    return Field(*of[:3], image, labels, depth, full, mpp, sets, shapes, centers, of.image_mpp)


def _instance_field(of: FieldId, image: _Row, nuclei: Sequence[_Row], *, weight: float) -> Field:
    root, row = image.path.parent, image.values
    labels = _codes(root / row["instances"])
    known = {n.number("instance", int, what="its number"): n.label_set(of.data_set) for n in nuclei}
    sets = np.array([known.get(i, 0) for i in range(labels.max() + 1)], np.uint16)
    rgb = read_pixels(root / row["file"])
    if rgb.shape[:2] != labels.shape:
        told = " x ".join(map(str, rgb.shape[1::-1])), " x ".join(map(str, labels.shape[::-1]))
        raise DataError(
            f"{root / row['file']}: has {told[0]} px and its instances, {row['instances']}, {told[1]} px; "
            "give both at the same pixels"
        )
    full = np.full(labels.shape, round(255 * weight), np.uint8)
    return instance_field(of, rgb, labels, sets, mpp=image.mpp(), weight=full)


def _point_field(of: FieldId, image: _Row, points: Sequence[_Row]) -> Field:
    """Points: a small disc is nucleus, far from every point is background, between is unknown.

    Where nuclei of some types have no point, what is far from every point is unknown too.
    """
    mpp, file = image.mpp(), image.path.parent / image.values["file"]
    pixels = read_pixels(file)
    labels = np.zeros(pixels.shape[:2], np.int32)
    centers = np.array([(p.number("x_px"), p.number("y_px")) for p in points], np.float32).reshape(-1, 2)
    for k, (x, y) in enumerate(centers):
        cv2.circle(labels, (int(x), int(y)), round(_POINT_RADIUS_UM / mpp), k + 1, -1)
    far = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 5) * mpp > _POINT_BACKGROUND_UM
    far &= not declaration_of(of.data_set).partly_labeled
    weight = np.where((labels > 0) | far, 128, 0).astype(np.uint8)
    depth = np.where(labels > 0, 217, 0).astype(np.uint8)
    sets = np.array([0] + [p.label_set(of.data_set) for p in points], np.uint16)
    rgb = resize_image(pixels, mpp, of.image_mpp)
    return Field(*of[:3], rgb, labels, depth, weight, mpp, sets, False, centers, of.image_mpp)


def _component_field(of: FieldId, image: _Row) -> Field:
    """Semantic components (monusac): they teach the class; nothing is said of the pixels between them."""
    root, row = image.path.parent, image.values
    classes = _codes(root / row["classes"])
    table = declaration_of(of.data_set).labels or {}
    labels = np.zeros(classes.shape, np.int32)
    sets = [0]
    for code, mask in enumerate(table.values(), start=1):
        n, components = cv2.connectedComponents((classes == code).astype(np.uint8))
        labels[components > 0] = components[components > 0] + len(sets) - 1
        sets += [mask] * (n - 1)
    empty = np.zeros(labels.shape, np.uint8)
    mpp = image.mpp()
    rgb = read_image(root / row["file"], mpp, of.image_mpp)
    depth, of_label = (labels > 0).astype(np.uint8) * 255, np.array(sets, np.uint16)
    centers = _centers(labels)
    return Field(*of[:3], rgb, labels, depth, empty, mpp, of_label, False, centers, of.image_mpp)


def load_fields(root: Path, data_set: str, *, image_mpp: float = IMAGE_MPP) -> Iterable[Field]:
    """Fields of a data set folder: images.csv, nuclei.csv, instances/ or classes/; images at `image_mpp`.

    Raises DataError, one line, for an image that cannot be read, and for a number or label that is none, with
    its file and line.
    """
    about = declaration_of(data_set)
    nuclei: dict[str, list[_Row]] = {}
    if (root / "nuclei.csv").exists():
        for nucleus in _rows_of(root / "nuclei.csv"):
            nuclei.setdefault(nucleus.values["image"], []).append(nucleus)
    for place, image in enumerate(_rows_of(root / "images.csv")):
        row = image.values
        of = FieldId(data_set, row["image"], about.source_of(row), image_mpp)
        mine = nuclei.get(row["image"], [])
        if row.get("instances"):
            yield _instance_field(of, image, mine, weight=about.outline_weight(place))
        elif row.get("classes"):
            yield _component_field(of, image)
        else:
            yield _point_field(of, image, mine)
