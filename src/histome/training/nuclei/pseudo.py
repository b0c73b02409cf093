"""Pseudo-labels: what a first network says of fields whose nuclei nobody has labeled.

The surest nuclei teach their class to the next network (see training/pseudo.py). Where people said what the
tissue is, as the grade of a gland says it, their word stands in place of the network's: an epithelial nucleus
in a malignant gland is a carcinoma cell, in a benign one an epithelial cell.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from histome.cells.decode import DecodeSettings, decode
from histome.cells.pixels import class_probabilities
from histome.classes import CELL_CLASSES
from histome.datasets.declaration import DataSet
from histome.datasets.declared import of_row
from histome.datasets.fields import IMAGE_MPP, Field, read_image, read_rows
from histome.datasets.labelsets import label_set
from histome.geometry.polygons import centroids
from histome.models.card import Thresholds
from histome.training.nuclei.follow import predict
from histome.training.pseudo import entropy, surest

KEPT_SHARE = 0.7
_SETTINGS = DecodeSettings(IMAGE_MPP, Thresholds(prob=0.3, nms=0.3), stride=2)
_EPITHELIAL = [CELL_CLASSES.index(name) for name in ("carcinoma_cell", "epithelial_cell")]
_GLAND_SETS = {"malignant": label_set("carcinoma_cell"), "benign": label_set("epithelial_cell")}
# Word for a whole tile -> the grade of all epithelium in it.
_TILE_GRADES = {
    **dict.fromkeys(("TUM", "colon_aca", "lung_aca", "lung_scc"), "malignant"),
    **dict.fromkeys(("NORM", "colon_n", "lung_n"), "benign"),
}


def surest_classes(probabilities: NDArray[np.floating], kept_share: float = KEPT_SHARE) -> NDArray[np.uint16]:
    """(n, 9) class probabilities -> (n,) label set: the likeliest class of the surest share, else 0."""
    sure = surest(entropy(probabilities, 1), kept_share)
    return np.where(sure, 1 << probabilities.argmax(1), 0).astype(np.uint16)


def pseudo_fields(net: nn.Module, root: Path, leave_out: Collection[str]) -> Iterator[Field]:
    """Fields of a folder labeled by `net`, but for the sources left out: classes, never objects or shapes.

    The folder's images.csv names image, file, source and mpp. Where it names glands and grade too, or a label
    of the whole tile that says what its epithelium is, these stand over what the network says of epithelial
    nuclei; of a folder of tiles, others are left out.
    """
    for row in read_rows(root / "images.csv"):
        tile = "label" in row
        if row["source"] in leave_out or (tile and row["label"] not in _TILE_GRADES):
            continue
        about = of_row(root.name, row) or DataSet(name=root.name)
        image = read_image(root / row["file"], float(row["mpp"] or about.sets[row["set"]] or IMAGE_MPP))
        labels, outlines, probabilities = star_nuclei(net, image)
        points = centroids(outlines).astype(np.float32)
        sets = surest_classes(probabilities)
        if row.get("glands"):
            gland = np.asarray(Image.open(root / row["glands"])) > 0
            gland = cv2.resize(gland.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            cols, rows = np.minimum(points.astype(int), np.array(gland.shape[::-1]) - 1).T
            sets = grade_over(sets, probabilities, gland[rows, cols] > 0, _GLAND_SETS[row["grade"]])
        if tile:
            grade = _GLAND_SETS[_TILE_GRADES[row["label"]]]
            sets = grade_over(sets, probabilities, np.ones(len(sets), np.bool_), grade)
        yield Field(
            about.name,
            row["image"],
            row["source"],
            image,
            labels,
            (labels > 0).astype(np.uint8) * 255,
            np.zeros(labels.shape, np.uint8),
            IMAGE_MPP,
            np.concatenate([np.zeros(1, np.uint16), sets]),
            False,
            points,
        )


class StarNuclei(NamedTuple):
    """n nuclei of an image: labels (h, w) 1..n, outlines (n, 32, 2) x, y in px, probabilities (n, 9)."""

    labels: NDArray[np.int32]
    outlines: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def star_nuclei(net: nn.Module, image: NDArray[np.uint8]) -> StarNuclei:
    """Star-convex nuclei that `net` finds in an image of 0.5 um/px, uncalibrated."""
    out = predict(net, image)
    maps = {"prob": out["prob"][None], "dist": out["dist"], "logits": out["logits"]}
    found = decode("stardist", maps, _SETTINGS)
    inside = np.ascontiguousarray(found.labels[: image.shape[0], : image.shape[1]])
    return StarNuclei(inside, found.outlines, class_probabilities(found.logits, 1.0))


def grade_over(
    sets: NDArray[np.uint16], probabilities: NDArray[np.floating], in_gland: NDArray[np.bool_], grade: int
) -> NDArray[np.uint16]:
    """Label sets with the grade's in place of the network's for epithelial nuclei in glands, 0 outside them.

    A nucleus counts as epithelial when the two epithelial classes together are likelier than not.
    """
    epithelial = probabilities[:, _EPITHELIAL].sum(1) > 0.5
    return np.where(epithelial, np.where(in_gland, grade, 0), sets).astype(np.uint16)
