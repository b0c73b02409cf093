"""What UperHoVer learns from: patches with class codes and instances, cropped, changed and given HV maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.classes import PANNUKE_CLASSES
from histome.datasets.declared import declaration_of
from histome.datasets.fields import IMAGE_MPP, Field, resize_image, told_image
from histome.datasets.labelsets import LEUKOCYTES, label_set
from histome.training.augment import appearance
from histome.training.pseudo import entropy
from histome.training.uperhover.network import IGNORE

# 10 px at the scale of the published training: 256 px of 0.25 um/px, padded to 266 and resized to 224.
HV_UNIT_UM = 10 * 0.25 * 266 / 224
_CONNECTIVE = label_set("fibroblast", "endothelial_cell", "other")
_OTHER = label_set("other")


class Patch(NamedTuple):
    """An image with what is known of its pixels.

    Attributes
    ----------
    image : (h, w, 3) uint8
        Its pixels.
    classes : (h, w) uint8
        Code of `network.PIXEL_CLASSES`, 255 where unknown.
    instances : (h, w) int32
        0 where there is none or its outline is not known.
    """

    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]


def hv_targets(instances: NDArray[np.integer], unit_px: float) -> NDArray[np.float32]:
    """(2, h, w) clip((x - cx) / unit, -1, 1) and the same of y for each instance; 0 outside.

    (cx, cy) is the mean of the instance's pixels.
    """
    rows, cols = np.nonzero(instances)
    ids = instances[rows, cols]
    count = np.maximum(np.bincount(ids), 1)
    hv = np.zeros((2, *instances.shape), np.float32)
    for axis, at in enumerate((cols, rows)):
        center = np.bincount(ids, at) / count
        hv[axis, rows, cols] = np.clip((at - center[ids]) / unit_px, -1, 1)
    return hv


def components(classes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Connected foreground of a class map (255 is none): all that a map without instances says of them.

    Nuclei that touch are one component; so true instances are used wherever there are any.
    """
    inside = (classes > 0) & (classes != IGNORE)
    return cv2.connectedComponents(inside.astype(np.uint8))[1].astype(np.int32)


def class_codes(field: Field) -> NDArray[np.uint8]:
    """(n + 1,) PanNuke code of each instance of a field; 255 where its label set is not in one class.

    A set belongs to the class that all of its members count as: leukocytes are inflammatory, fibroblast and
    endothelium connective. Only PanNuke itself names dead cells; "other" of
    CoNSeP is not them.
    """
    codes = np.full(len(field.sets), IGNORE, np.uint8)
    for code, members in (
        (1, label_set("carcinoma_cell")),
        (2, label_set(*LEUKOCYTES)),
        (3, _CONNECTIVE),
        (5, label_set("epithelial_cell")),
    ):
        inside = (field.sets > 0) & ((field.sets & ~np.uint16(members)) == 0) & (field.sets != _OTHER)
        codes[inside] = code
    about = declaration_of(field.data_set)
    if about.dead_label and about.labels is not None:
        codes[field.sets == about.labels[about.dead_label]] = 1 + PANNUKE_CLASSES.index("dead")
    codes[0] = 0
    return codes


def patch_of(field: Field, mpp: float = IMAGE_MPP) -> Patch:
    """A labeled field at `mpp`: labels by the pixel below each center, image averaged (or interpolated).

    Background of a field without any type says nothing of classes there, for the nuclei beside it do not.
    """
    same = mpp == field.image_mpp
    image = field.image if same else resize_image(field.image, field.image_mpp, mpp)
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * mpp / field.label_mpp).astype(int), m - 1)
        for n, m in zip(image.shape[:2], field.labels.shape, strict=True)
    )
    labels = field.labels[np.ix_(rows, cols)]
    codes = class_codes(field)
    classes = codes[labels]
    if (codes[1:] == IGNORE).all():
        classes[:] = IGNORE
    classes[field.weight[np.ix_(rows, cols)] == 0] = IGNORE
    return Patch(image, classes, labels if field.shapes else np.zeros_like(labels))


def _pixels(path: Path) -> NDArray[Any]:
    with told_image(path), Image.open(path) as image:
        return np.asarray(image)


class PatchFiles(Sequence[Patch]):
    """Pseudo-labeled patches on disk, read when they are asked for: `<stem>.png`, `<stem>_sem_map.png`."""

    def __init__(self, stems: Sequence[Path]) -> None:
        self.stems = list(stems)

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> Patch:  # type: ignore[override]
        """Read one patch; raises DataError for one that is damaged."""
        stem = self.stems[index]
        paths = (stem.with_name(stem.name + end) for end in (".png", "_sem_map.png", "_inst_map.png"))
        image, classes, instances = map(_pixels, paths)
        return Patch(image, classes.astype(np.uint8), instances.astype(np.int32))


class Crop(NamedTuple):
    """What one step learns from: image (s, s, 3), codes (s, s), HV (2, s, s), foreground (s, s)."""

    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    hv: NDArray[np.float32]
    foreground: NDArray[np.bool_]


def random_crop(patch: Patch, size: int, rng: np.random.Generator, *, unit_px: float) -> Crop:
    """A random square, flipped and turned by quarters, its stain and focus changed (`augment.appearance`).

    What lies beyond the patch is mirrored, and unknown: no black or white rim is learned.
    """
    height, width = patch.image.shape[:2]
    top, left = (int(rng.integers(0, max(0, side - size) + 1)) for side in (height, width))
    square = np.s_[top : top + size, left : left + size]
    below, right = max(0, size - height), max(0, size - width)
    image = cv2.copyMakeBorder(patch.image[square], 0, below, 0, right, cv2.BORDER_REFLECT_101)
    classes = np.pad(patch.classes[square], ((0, below), (0, right)), constant_values=IGNORE)
    instances = np.pad(patch.instances[square], ((0, below), (0, right)))
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))

    def turned(part: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.rot90(part[:, ::-1] if flip else part, turns))

    instances = turned(instances)
    hv = hv_targets(instances, unit_px)
    return Crop(appearance(turned(image), rng), turned(classes), hv, instances > 0)


def patch_entropy(probabilities: NDArray[np.floating]) -> float:
    """Mean over the foreground (arg-max not background) of H = -sum p ln p; NaN without foreground.

    Parameters
    ----------
    probabilities : (classes, h, w) float
        Background first.
    """
    inside = probabilities.argmax(0) > 0
    return float(entropy(probabilities[:, inside], 0).mean()) if inside.any() else float("nan")
