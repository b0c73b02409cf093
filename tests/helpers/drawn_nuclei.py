"""Slides of drawn ellipses held in memory, and a detector that knows how they were drawn."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.models.card import Card, Thresholds
from histome.slide import BrokenTiles, ClassMap, Level, Mpp, Slide
from histome.slide.mpp import MppHints
from histome.tissue import Tissue

WHITE = 255
# Red of a nucleus' pixels is 10 x (class code + 1), green 40, blue 160: the detector reads the class back.
RED_PER_CLASS = 10
GREEN, BLUE = 40, 160


class ArrayReader:
    """A Reader over one array."""

    format = "array"
    notes = ()
    pages = 1
    properties = {}  # noqa: RUF012
    mpp_hints = MppHints()
    layout = b""

    def __init__(self, pixels):
        self.pixels = pixels
        self.levels = (Level(pixels.shape[1], pixels.shape[0], 1.0),)
        self.broken = BrokenTiles()

    def read(self, level, x, y, w, h):
        height, width = self.pixels.shape[:2]
        out = np.full((h, w, 3), WHITE, np.uint8)
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
        if x0 < x1 and y0 < y1:
            out[y0 - y : y1 - y, x0 - x : x1 - x] = self.pixels[y0:y1, x0:x1]
        return out

    def close(self):
        pass


@dataclass(frozen=True)
class Ellipse:
    """A nucleus in um: center, half axes, turn in radians, class code 0-8."""

    x_um: float
    y_um: float
    a_um: float = 4.0
    b_um: float = 4.0
    turn: float = 0.0
    code: int = 0


def draw(size_px, ellipses, *, mpp=(0.5, 0.5)):
    """Return a Slide of `size_px` (w, h) with the ellipses on white."""
    width, height = size_px
    pixels = np.full((height, width, 3), WHITE, np.uint8)
    for e in ellipses:
        reach = max(e.a_um, e.b_um) + 2
        x0, x1 = (int(np.clip((e.x_um + d) / mpp[0], 0, width)) for d in (-reach, reach))
        y0, y1 = (int(np.clip((e.y_um + d) / mpp[1], 0, height)) for d in (-reach, reach))
        dx = (np.arange(x0, x1) + 0.5) * mpp[0] - e.x_um
        dy = ((np.arange(y0, y1) + 0.5) * mpp[1] - e.y_um)[:, None]
        along, across = dx * np.cos(e.turn) + dy * np.sin(e.turn), dy * np.cos(e.turn) - dx * np.sin(e.turn)
        inside = (along / e.a_um) ** 2 + (across / e.b_um) ** 2 <= 1
        pixels[y0:y1, x0:x1][inside] = (RED_PER_CLASS * (e.code + 1), GREEN, BLUE)
    return Slide(Path("drawn.tif"), ArrayReader(pixels), Mpp(*mpp, "drawn"))


def ground(slide, name="STROMA", *, mpp=2.0):
    """Return tissue of one class all over the slide."""
    array = np.full(slide.shape_at(mpp), TISSUE_CLASSES.index(name) + 1, np.uint8)
    return Tissue.of(ClassMap(array, mpp, TISSUE_CLASSES))


def drawn_card(**changes):
    card = Card(
        name="drawn",
        task="stardist",
        description="finds drawn ellipses",
        classes=CELL_CLASSES,
        mpp=0.5,
        window_px=256,
        halo_px=48,
        stride=2,
        sha256="0" * 64,
        thresholds=Thresholds(prob=0.5, nms=0.3, abstain=0.5),
    )
    return card.model_copy(update=changes)


@dataclass(frozen=True)
class DrawnNetwork:
    """Detects drawn ellipses in a window: an object a connected dark part, its rays measured on the pixels.

    `jump_px` moves an object by up to that much, by where it lies in the window: what other surroundings do
    to a real network.
    """

    card: Card = field(default_factory=drawn_card)
    jump_px: int = 0

    def __call__(self, image, /):
        stride = self.card.stride
        sides = [side // stride for side in image.shape[1:3]]
        out = {
            "prob": np.zeros((1, 1, *sides), np.float32),
            "dist": np.ones((1, self.card.n_rays, *sides), np.float32),
            "logits": np.zeros((1, len(self.card.classes), *sides), np.float32),
        }
        parts, _ = ndimage.label(image[0, :, :, 1] < 128)
        for number, box in enumerate(ndimage.find_objects(parts), start=1):
            self._add(out, _only(parts, number, box), image[0], stride)
        return out

    def _add(self, out, mask, rgb, stride):
        down, right = np.nonzero(mask)
        x, y = right.mean() + 0.5, down.mean() + 0.5
        moved = (self._jump(int(y)), self._jump(int(x)))
        mask = np.roll(mask, moved, axis=(0, 1))
        j, i = int((x + moved[1]) // stride), int((y + moved[0]) // stride)
        rows, cols = out["prob"].shape[-2:]
        if not (0 <= i < rows and 0 <= j < cols):
            return
        out["prob"][0, 0, i, j] = 0.9
        out["dist"][0, :, i, j] = _rays(mask, (j + 0.5) * stride, (i + 0.5) * stride, self.card.n_rays)
        code = int(rgb[down[0], right[0], 0]) // RED_PER_CLASS - 1
        grid = mask[stride // 2 :: stride, stride // 2 :: stride]
        out["logits"][0, code][grid] = 5.0
        out["logits"][0, code, i, j] = 5.0

    def _jump(self, place):
        # A hash of the place in the window: the same object lies elsewhere in the next window.
        return (place * 7919 % (2 * self.jump_px + 1)) - self.jump_px if self.jump_px else 0


def _only(parts, number, box):
    mask = np.zeros(parts.shape, bool)
    mask[box] = parts[box] == number
    return mask


def _rays(mask, x, y, n_rays):
    """Distance from (x, y) to the mask's edge along each ray, to 0.05 px."""
    steps = np.arange(0.0, 60.0, 0.05)
    angles = 2 * np.pi * np.arange(n_rays) / n_rays
    px = np.floor(x + np.cos(angles)[:, None] * steps).astype(int)
    py = np.floor(y + np.sin(angles)[:, None] * steps).astype(int)
    inside = (px >= 0) & (px < mask.shape[1]) & (py >= 0) & (py < mask.shape[0])
    hit = np.zeros(px.shape, bool)
    hit[inside] = mask[py[inside], px[inside]]
    out = ~hit
    return np.where(out.any(axis=1), steps[out.argmax(axis=1)], steps[-1])
