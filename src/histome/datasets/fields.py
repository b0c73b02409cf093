"""Labeled fields of view: images, instances, points and label sets, as the folders of public data hold them.

Everything is brought to one image resolution (0.5 um/px by area averaging, if no other is asked for); label
maps stay at their own resolution, because targets are sampled from them exactly (see
training/nuclei/targets.py).
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.datasets.declared import declaration_of, set_of
from histome.errors import DataError
from histome.slide.mpp import PLAUSIBLE_UM

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
    unseen : int
        Nuclei of the table that have no pixel in `labels`: nothing is learned of them.
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
    unseen: int = 0


class TableRow(dict[str, str]):
    """A row of a table by its columns; what is missing or wrong in it is told with its file.

    Attributes
    ----------
    path, line : Path, int
        Where it stands.
    """

    def __init__(self, path: Path, line: int, row: Mapping[str, str]) -> None:
        super().__init__(row)
        self.path, self.line = path, line

    def __missing__(self, column: str) -> str:
        there = ", ".join(filter(None, self)) or "none"
        raise DataError(f"{self.path}: has no column {column}; its columns are {there}")

    def number(self, column: str, kind: type[float] = float, *, what: str = "a number") -> float:
        """The number in a column; raises DataError, one line, where there is none."""
        text = self[column]
        try:
            return kind(text)
        except (TypeError, ValueError) as error:
            raise self.wrong(f"{column} is {text!r}; give {what} there") from error

    def mpp(self) -> float:
        """The um/px of an image; raises DataError, one line, for one that no image has."""
        found, (low, high) = self.number("mpp", what="the image's um/px"), PLAUSIBLE_UM
        if not low <= found <= high:
            raise self.wrong(
                f"mpp is {self['mpp']!r}, not from {low:g} to {high:g}; give the image's um/px there"
            )
        return found

    def label_set(self, data_set: str) -> int:
        """The label set of a nucleus; raises DataError, one line, for a label that is none."""
        label = self["label"]
        try:
            return set_of(data_set, label)
        except DataError as error:
            raise self.wrong(str(error)) from error

    def wrong(self, what: str) -> DataError:
        """Return the error that says what is wrong in this row."""
        return DataError(f"{self.path}: line {self.line}: {what}")


def read_rows(path: Path) -> list[TableRow]:
    """Rows of a CSV file with a header; a column that is not there raises DataError when it is asked for."""
    with path.open(newline="", encoding="utf-8-sig") as file:  # Excel puts a mark before the first name
        rows = csv.DictReader(file)
        return [TableRow(path, rows.line_num, row) for row in rows]


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
    """The numbers of a label image, or DataError, one line, for colors and for what numbers nothing."""
    with told_image(path), Image.open(path) as image:
        pixels = np.asarray(image)
    with np.errstate(invalid="ignore"):  # of NaN, which is told
        codes = pixels.astype(np.int32)
    if pixels.ndim > 2 or (codes != pixels).any() or codes.min() < 0 or codes.max() > codes.size:
        raise DataError(
            f"{path}: is no label image; give one channel of whole numbers: 0 is background, and the others "
            "count from 1 on"
        )
    return codes


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


def _instance_field(of: FieldId, image: TableRow, nuclei: Sequence[TableRow], *, weight: float) -> Field:
    root = image.path.parent
    labels = _codes(root / image["instances"])
    known, unseen = _sets_of(of.data_set, nuclei, labels)
    sets = np.array([known.get(i, 0) for i in range(labels.max() + 1)], np.uint16)
    if 2 * len(unseen) > len(nuclei):
        raise unseen[0].wrong(
            f"instance {unseen[0]['instance']} has no pixel in {image['instances']}; {len(unseen)} of the "
            f"{len(nuclei)} nuclei of {of.name!r} have none: give the numbers that they have there"
        )
    rgb = read_pixels(root / image["file"])
    if rgb.shape[:2] != labels.shape:
        told = " x ".join(map(str, rgb.shape[1::-1])), " x ".join(map(str, labels.shape[::-1]))
        raise DataError(
            f"{root / image['file']}: has {told[0]} px and its instances, {image['instances']}, {told[1]} "
            "px; give both at the same pixels"
        )
    full = np.full(labels.shape, round(255 * weight), np.uint8)
    field = instance_field(of, rgb, labels, sets, mpp=image.mpp(), weight=full)
    return replace(field, unseen=len(unseen))


def _sets_of(
    data_set: str, nuclei: Sequence[TableRow], labels: NDArray[np.int32]
) -> tuple[dict[int, int], list[TableRow]]:
    """Label set of each instance, and the rows whose instance has no pixel; one named twice is refused."""
    known, unseen, there = dict[int, int](), list[TableRow](), {*np.unique(labels).tolist()} - {0}
    for nucleus in nuclei:
        instance = int(nucleus.number("instance", int, what="its number"))
        if instance in known:
            raise nucleus.wrong(f"instance {instance} of {nucleus['image']!r} is named twice; leave one line")
        known[instance] = nucleus.label_set(data_set)
        if instance not in there:
            unseen.append(nucleus)
    return known, unseen


def _point_field(of: FieldId, image: TableRow, points: Sequence[TableRow]) -> Field:
    """Points: a small disc is nucleus, far from every point is background, between is unknown.

    Where nuclei of some types have no point, what is far from every point is unknown too.
    """
    mpp, file = image.mpp(), image.path.parent / image["file"]
    pixels = read_pixels(file)
    labels = np.zeros(pixels.shape[:2], np.int32)
    places = [_place(p, file, pixels.shape[1::-1]) for p in points]
    centers = np.array(places, np.float32).reshape(-1, 2)
    for k, (x, y) in enumerate(centers):
        cv2.circle(labels, (int(x), int(y)), round(_POINT_RADIUS_UM / mpp), k + 1, -1)
    far = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 5) * mpp > _POINT_BACKGROUND_UM
    far &= not declaration_of(of.data_set).partly_labeled
    weight = np.where((labels > 0) | far, 128, 0).astype(np.uint8)
    depth = np.where(labels > 0, 217, 0).astype(np.uint8)
    sets = np.array([0] + [p.label_set(of.data_set) for p in points], np.uint16)
    rgb = resize_image(pixels, mpp, of.image_mpp)
    return Field(*of[:3], rgb, labels, depth, weight, mpp, sets, False, centers, of.image_mpp)


def _place(point: TableRow, file: Path, size_px: tuple[int, ...]) -> tuple[float, float]:
    """x, y of a point; raises DataError, one line, where it lies outside of its image."""
    x, y = point.number("x_px"), point.number("y_px")
    if not (0 <= x <= size_px[0] and 0 <= y <= size_px[1]):
        raise point.wrong(
            f"({point['x_px']}, {point['y_px']}) is outside of {file} with its {size_px[0]} x {size_px[1]} "
            "px; give the place in its pixels, or take the line away"
        )
    return x, y


def _component_field(of: FieldId, image: TableRow) -> Field:
    """Semantic components (monusac): they teach the class; nothing is said of the pixels between them."""
    root = image.path.parent
    classes = _codes(root / image["classes"])
    table = declaration_of(of.data_set).labels or {}
    labels = np.zeros(classes.shape, np.int32)
    sets = [0]
    for code, mask in enumerate(table.values(), start=1):
        n, components = cv2.connectedComponents((classes == code).astype(np.uint8))
        labels[components > 0] = components[components > 0] + len(sets) - 1
        sets += [mask] * (n - 1)
    empty = np.zeros(labels.shape, np.uint8)
    mpp = image.mpp()
    rgb = read_image(root / image["file"], mpp, of.image_mpp)
    depth, of_label = (labels > 0).astype(np.uint8) * 255, np.array(sets, np.uint16)
    centers = _centers(labels)
    return Field(*of[:3], rgb, labels, depth, empty, mpp, of_label, False, centers, of.image_mpp)


def load_fields(root: Path, data_set: str, *, image_mpp: float = IMAGE_MPP) -> Iterable[Field]:
    """Fields of a data set folder: images.csv, nuclei.csv, instances/ or classes/; images at `image_mpp`.

    Raises DataError, one line, for an image that cannot be read, a number, place or label that is none, and
    a nucleus of an image that images.csv does not name, with file and line.
    """
    about = declaration_of(data_set)
    images, nuclei = read_rows(root / "images.csv"), _nuclei_of(root / "nuclei.csv")
    names = {image["image"] for image in images}
    if strange := [row for name, rows in nuclei.items() if name not in names for row in rows]:
        n = sum(map(len, nuclei.values()))
        raise strange[0].wrong(
            f"images.csv has no image {strange[0]['image']!r}; {len(strange)} of {n} nuclei are of images "
            "that it does not name: name them there, or take their lines away"
        )
    for place, image in enumerate(images):
        of = FieldId(data_set, image["image"], about.source_of(image), image_mpp)
        mine = nuclei.get(image["image"], [])
        if image.get("instances"):
            yield _instance_field(of, image, mine, weight=about.outline_weight(place))
        elif image.get("classes"):
            yield _component_field(of, image)
        else:
            yield _point_field(of, image, mine)


def _nuclei_of(path: Path) -> dict[str, list[TableRow]]:
    """The rows of nuclei.csv, where there is one, by their image."""
    nuclei: dict[str, list[TableRow]] = {}
    for nucleus in read_rows(path) if path.exists() else ():
        nuclei.setdefault(nucleus["image"], []).append(nucleus)
    return nuclei
