"""Drawn nuclei with their perfect HV maps, and a network that reads drawn slides as a HoVer model would."""

from dataclasses import dataclass, field

import numpy as np
from helpers.drawn_nuclei import RED_PER_CLASS, drawn_card
from scipy import ndimage

from histome.classes import CELL_CLASSES, PANNUKE_CELLS, PANNUKE_CLASSES
from histome.models.card import Card

PANNUKE = ("background", *PANNUKE_CLASSES)


def ellipse(shape, x, y, a, b, degrees=0.0):
    """Mask of an ellipse with half axes a, b in pixels."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    turn = np.deg2rad(degrees)
    dx, dy = cols - x, rows - y
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    return (along / a) ** 2 + (across / b) ** 2 <= 1


def perfect_maps(labels, *, unit_px=10.0, codes=None):
    """Six certain probabilities and the HV maps of instances; `codes` (n + 1,) class of each, else 1."""
    codes = np.ones(labels.max() + 1, int) if codes is None else np.asarray(codes)
    codes = np.where(np.arange(len(codes)) > 0, codes, 0)
    classes = (codes[labels] == np.arange(6)[:, None, None]).astype(np.float32)
    hv = np.zeros((2, *labels.shape), np.float32)
    for k, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        rows, cols = np.nonzero(labels[box] == k)
        for plane, at in ((hv[0][box], cols), (hv[1][box], rows)):
            plane[rows, cols] = np.clip((at - at.mean()) / unit_px, -1, 1)
    return classes, hv


def hover_card(**changes):
    """Card of the network below."""
    fields = {"task": "hover", "stride": 1, "classes": PANNUKE, "cell_classes": PANNUKE_CELLS}
    return drawn_card().model_copy(update=fields | changes)


@dataclass(frozen=True)
class DrawnHoverNetwork:
    """Sees each connected dark part of a drawn window as one nucleus of the class it was drawn in."""

    card: Card = field(default_factory=hover_card)

    def __call__(self, image, /):
        parts, n = ndimage.label(image[0, :, :, 1] < 128)
        codes = np.zeros(n + 1, int)
        for k, box in enumerate(ndimage.find_objects(parts), start=1):
            red = image[0][box][parts[box] == k][0, 0]
            name = CELL_CLASSES[int(red) // RED_PER_CLASS - 1]
            codes[k] = 1 + PANNUKE_CELLS.index(name)
        classes, hv = perfect_maps(parts.astype(np.int32), codes=codes)
        return {"classes": classes[None], "hv": hv[None]}
