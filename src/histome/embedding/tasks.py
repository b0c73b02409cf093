"""Tasks that encoders are compared on: labeled tiles, fields or nuclei, told in TOML."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from histome.datasets.fields import read_image, read_rows
from histome.encoders import EncoderCard
from histome.errors import DataError
from histome.validation.confounding import Manifest

Pixels = NDArray[np.uint8]


class TaskSource(BaseModel):
    """One folder with images.csv (columns image, file, mpp and those named here).

    Attributes
    ----------
    folder : str
        Beside the file of tasks, or where `--data` says.
    label, group : str
        Columns: what is told, and the slide or patient that is kept whole in a split.
    confounder : str or None
        Column of what it should not be told by (center, scanner, set); a word that is no column stands for
        all rows.
    points : str or None
        File of labeled points (image, x_px, y_px, label): a patch round each in place of the image.
    points_each : int
        Of one label of one image, at most: more say little new and cost what they cost.
    where : dict
        Column -> values: other rows are left out.
    labels : dict
        The file's label -> the task's; others are left out. Empty: as they are.
    mpp : float, um/px, or None
        Of images whose row does not say it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    label: str = "label"
    group: str = "source"
    confounder: str | None = None
    points: str | None = None
    points_each: int = Field(default=4, ge=1)
    where: dict[str, list[str]] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    mpp: float | None = None


class EncoderTask(BaseModel):
    """One task.

    Attributes
    ----------
    name : str
        What it is called in tables.
    source : list of TaskSource
        Where its images are.
    side_um : float or None
        Side of the square round each point; without points, None: tiles at the encoder's own um/px.
    stain : bool
        Whether it is also asked of the tiles under other stain conditions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: list[TaskSource] = Field(min_length=1)
    side_um: float | None = None
    stain: bool = False


class Item(NamedTuple):
    """One labeled image or point of a task: file, um/px, place in it (px) or None, and what is known."""

    file: Path
    mpp: float
    point_px: tuple[float, float] | None
    label: str
    group: str
    confounder: str


def read_tasks(path: Path) -> list[EncoderTask]:
    """Return the tasks of a TOML file, `[[task]]` each; raises DataError, one line.

    There need be none where it lists public ones (see `read_public_tasks`).
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        listed = told.get("task", []) if "public" in told else told["task"]
        return [EncoderTask.model_validate(task) for task in listed]
    except (OSError, ValueError, KeyError, ValidationError) as error:
        raise DataError(f"{path}: no list of tasks ({' '.join(str(error).split())[:160]})") from error


def folder_task(folder: Path) -> EncoderTask:
    """Return the task of one folder: images.csv with label and source, or folders of tiles, the labels."""
    return EncoderTask(name=folder.name, source=[TaskSource(folder=str(folder))])


def items(task: EncoderTask, root: Path) -> list[Item]:
    """Return what a task asks about; raises DataError where its folders hold nothing of it."""
    found = [item for source in task.source for item in _items_of(source, root / source.folder)]
    if len({item.label for item in found}) < 2:
        raise DataError(f"{task.name}: {len(found)} images of fewer than two labels in {root}")
    return found


def _items_of(source: TaskSource, folder: Path) -> Iterator[Item]:
    rows = read_rows(folder / "images.csv") if (folder / "images.csv").exists() else _rows_of_folders(folder)
    points = _points(source, folder) if source.points else None
    for row in rows:
        if any(row.get(column) not in values for column, values in source.where.items()):
            continue
        mpp = float(row.get("mpp") or source.mpp or 0.5)
        group = row.get(source.group) or row["image"]
        about = folder / row["file"], mpp
        by = row.get(source.confounder or "", source.confounder or "")
        for place, label in [(None, row[source.label])] if points is None else points.get(row["image"], []):
            if not source.labels or label in source.labels:
                yield Item(*about, place, source.labels.get(label, label), f"{folder.name} {group}", by)


def _rows_of_folders(folder: Path) -> list[dict[str, str]]:
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in (".png", ".jpg", ".tif"))
    if not files:
        raise DataError(f"{folder}: no images.csv and no folders of tiles")
    names = [(file, str(file.relative_to(folder))) for file in files]
    return [{"image": name, "file": name, "label": file.parent.name, "source": name} for file, name in names]


def _points(source: TaskSource, folder: Path) -> dict[str, list[tuple[tuple[float, float], str]]]:
    """Labeled points of each image, a few of each label, evenly out of the file's order."""
    every: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_rows(folder / str(source.points)):
        place = float(row["x_px"]), float(row["y_px"])
        every.setdefault((row["image"], row["label"]), []).append(place)
    found: dict[str, list[tuple[tuple[float, float], str]]] = {}
    for (image, label), places in every.items():
        chosen = places[:: max(1, len(places) // source.points_each)][: source.points_each]
        found.setdefault(image, []).extend((place, label) for place in chosen)
    return found


def manifest_of(found: list[Item]) -> Manifest:
    """Return labels, confounders and groups as arrays."""
    columns = zip(*((item.label, item.confounder, item.group) for item in found), strict=True)
    return Manifest(*(np.array(column) for column in columns))


def read_tiles_of(item: Item, card: EncoderCard, side_um: float | None) -> Pixels:
    """Return the tiles (n, side, side, 3) of an item: its point's square, or all tiles that fit the image.

    An image smaller than a tile is mirrored at its border.
    """
    side, mpp = card.input_px or 224, card.mpp or 0.5
    if item.point_px is not None:
        return _square(
            read_image(item.file, item.mpp, item.mpp), item, (side_um or side * mpp) / item.mpp, side
        )
    image: Any = read_image(item.file, item.mpp, mpp)
    short = [max(0, side - length) for length in image.shape[:2]]
    if any(short):
        edges = [(gap // 2, gap - gap // 2) for gap in short]
        image = cv2.copyMakeBorder(image, *edges[0], *edges[1], cv2.BORDER_REFLECT_101)
    tops, lefts = (_starts(length, side) for length in image.shape[:2])
    return np.stack([image[y : y + side, x : x + side] for y in tops for x in lefts])


def _starts(length: int, side: int) -> list[int]:
    """First pixels of the tiles that fit a length, in its middle."""
    count = length // side
    return [(length - count * side) // 2 + k * side for k in range(count)]


def _square(image: Pixels, item: Item, side_px: float, out_px: int) -> Pixels:
    """The square of `side_px` image pixels round an item's point, `out_px` wide, (1, out, out, 3)."""
    assert item.point_px is not None
    scale = out_px / side_px
    x, y = (scale * (side_px / 2 - place) for place in item.point_px)
    move = np.array([[scale, 0, x], [0, scale, y]])
    how: dict[str, Any] = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
    square: Any = cv2.warpAffine(image, move, (out_px, out_px), **how)
    return square[None]
