"""Where the tissues of a phantom lie: smooth closed shapes, known exactly at every point."""

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
HARMONICS = np.arange(2, 8)


class PhantomPart(IntEnum):
    """What a point of the slide is made of; finer than the tissue classes."""

    GLASS = 0
    STROMA = 1
    FAT = 2
    AGGREGATE = 3
    NEST = 4
    NECROSIS = 5
    GLAND = 6
    LUMEN = 7
    BLOOD = 8
    WALL = 9
    VESSEL_LUMEN = 10


TISSUE_OF_PART = {
    PhantomPart.STROMA: "STROMA",
    PhantomPart.FAT: "OTHER",
    PhantomPart.AGGREGATE: "STROMA",
    PhantomPart.NEST: "CARCINOMA",
    PhantomPart.NECROSIS: "NECROSIS",
    PhantomPart.GLAND: "EPITHELIAL_TISSUE",
    PhantomPart.LUMEN: "EPITHELIAL_TISSUE",
    PhantomPart.BLOOD: "BLOOD",
    PhantomPart.WALL: "VESSEL",
    PhantomPart.VESSEL_LUMEN: "VESSEL",
}


@dataclass(frozen=True)
class Blob:
    """A closed shape round (x, y) um: at angle t its radius is radius (1 + sum of a_k cos(k t + p_k))."""

    part: PhantomPart
    x: float
    y: float
    radius: float
    amplitudes: tuple[float, ...]
    phases: tuple[float, ...]

    @cached_property
    def reach(self) -> float:
        """Radius of a circle round the whole shape, um."""
        return self.radius * (1 + sum(map(abs, self.amplitudes)))

    def radius_at(self, angle: ArrayLike) -> Floats:
        """Return the outline's distance from the center in each direction, um."""
        angle = np.asarray(angle, np.float64)[..., None]
        waves = np.cos(HARMONICS * angle + np.asarray(self.phases)) @ np.asarray(self.amplitudes)
        return self.radius * (1 + waves)

    def depth(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Return how far inside the outline points lie along their radius, um; negative outside."""
        dx, dy = np.asarray(x) - self.x, np.asarray(y) - self.y
        return self.radius_at(np.arctan2(dy, dx)) - np.hypot(dx, dy)

    def resized(self, part: PhantomPart, by_um: float) -> "Blob":
        """Return the shape of another part with the same center and waves and a radius larger by `by_um`."""
        return Blob(part, self.x, self.y, self.radius + by_um, self.amplitudes, self.phases)


@dataclass(frozen=True)
class Arc:
    """A band along part of a circle, um and radians: a pen stroke or a fold."""

    x: float
    y: float
    radius: float
    half_width: float
    start: float
    extent: float

    def depth(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Return the distance to the band's border, um, positive inside."""
        dx, dy = np.asarray(x) - self.x, np.asarray(y) - self.y
        angle = (np.arctan2(dy, dx) - self.start) % (2 * np.pi)
        across = self.half_width - np.abs(np.hypot(dx, dy) - self.radius)
        return np.where(angle <= self.extent, across, -self.half_width)

    @property
    def reach(self) -> float:
        """Radius of a circle round the whole band, um."""
        return self.radius + self.half_width


@dataclass(frozen=True)
class Layout:
    """Everything on one slide. Later blobs lie over earlier ones."""

    extent_um: tuple[float, float]
    blobs: tuple[Blob, ...]
    pen: tuple[Arc, ...] = ()
    folds: tuple[Arc, ...] = ()
    blurs: tuple[Blob, ...] = ()

    def parts(self, x: Floats, y: Floats) -> NDArray[np.uint8]:
        """Return the part at every crossing of columns `x` and rows `y` (um, ascending), uint8 (h, w)."""
        out = np.zeros((len(y), len(x)), np.uint8)
        for blob in self.blobs:
            rows, columns = window(blob, x, y)
            inside = blob.depth(x[None, columns], y[rows, None]) > 0
            out[rows, columns][inside] = blob.part
        return out

    @cached_property
    def circles(self) -> Floats:
        """Center and reach (n, 3) of every blob, um."""
        return np.array([(blob.x, blob.y, blob.reach) for blob in self.blobs])

    def within(self, box_um: tuple[float, float, float, float]) -> list[Blob]:
        """Return the blobs whose circle touches a box (x0, y0, x1, y1), in order."""
        x, y, reach = self.circles.T
        dx = np.maximum(np.maximum(box_um[0] - x, x - box_um[2]), 0)
        dy = np.maximum(np.maximum(box_um[1] - y, y - box_um[3]), 0)
        return [self.blobs[at] for at in np.flatnonzero(np.hypot(dx, dy) <= reach)]

    def over(self, index: int) -> list[Blob]:
        """Return the later blobs whose circle touches that of blob `index`."""
        x, y, reach = self.circles[index]
        later = self.circles[index + 1 :]
        near = np.hypot(later[:, 0] - x, later[:, 1] - y) <= later[:, 2] + reach
        return [self.blobs[index + 1 + at] for at in np.flatnonzero(near)]

    def parts_at(self, x: Floats, y: Floats) -> NDArray[np.uint8]:
        """Return the part at each point (um); `y` ascending."""
        out = np.zeros(len(x), np.uint8)
        for blob in self.blobs:
            low, high = np.searchsorted(y, [blob.y - blob.reach, blob.y + blob.reach])
            near = low + np.flatnonzero(np.abs(x[low:high] - blob.x) < blob.reach)
            out[near[blob.depth(x[near], y[near]) > 0]] = blob.part
        return out


def window(shape: Blob | Arc, x: Floats, y: Floats, margin_um: float = 0.0) -> tuple[slice, slice]:
    """Return the rows and columns of a grid (um, ascending) that a shape may touch."""
    reach = shape.reach + margin_um
    rows = slice(*np.searchsorted(y, [shape.y - reach, shape.y + reach]))
    columns = slice(*np.searchsorted(x, [shape.x - reach, shape.x + reach]))
    return rows, columns


def overlaps(shape: Blob | Arc, box_um: tuple[float, float, float, float]) -> bool:
    """Whether a shape's circle touches a box (x0, y0, x1, y1) um."""
    dx = max(box_um[0] - shape.x, 0, shape.x - box_um[2])
    dy = max(box_um[1] - shape.y, 0, shape.y - box_um[3])
    return dx * dx + dy * dy <= shape.reach**2


# part, share of the fragment's area given to it, radius range um, irregularity, side of the fragment
_MIX = (
    (PhantomPart.FAT, 0.06, (85, 125), 0.10, 1),
    (PhantomPart.NEST, 0.14, (105, 160), 0.13, -1),
    (PhantomPart.AGGREGATE, 0.03, (50, 85), 0.12, 0),
    (PhantomPart.BLOOD, 0.02, (40, 70), 0.14, 0),
    (PhantomPart.GLAND, 0.13, (40, 68), 0.06, 1),
    (PhantomPart.NEST, 0.16, (30, 85), 0.15, -1),
    (PhantomPart.WALL, 0.025, (16, 34), 0.07, 0),
)
FRAGMENT_UM = 3000.0
GAP_UM = 14.0


def make_layout(
    rng: np.random.Generator, extent_um: tuple[float, float], *, tissue_share: float, artifacts: bool
) -> Layout:
    """Return fragments of tissue that cover about `tissue_share` of the extent, with their structures."""
    fragments = _fragments(rng, extent_um, tissue_share)
    blobs: list[Blob] = []
    for fragment in fragments:
        blobs += [fragment, *_structures(rng, fragment)]
    if not artifacts:
        return Layout(extent_um, tuple(blobs))
    first = fragments[0]
    return Layout(extent_um, tuple(blobs), (_pen(first),), (_fold(first),), (_blur(rng, first),))


def _blob(
    rng: np.random.Generator, part: PhantomPart, x: float, y: float, radius: float, irregularity: float
) -> Blob:
    amplitudes = np.clip(rng.normal(0, irregularity, len(HARMONICS)), -0.2, 0.2) * 2 / HARMONICS
    phases = rng.uniform(0, 2 * np.pi, len(HARMONICS))
    return Blob(part, x, y, radius, tuple(amplitudes.tolist()), tuple(phases.tolist()))


class _Room:
    """Circles that are taken, to be asked many times whether another fits."""

    def __init__(self) -> None:
        self._circles = np.empty((0, 3))

    def has(self, x: float, y: float, reach: float) -> bool:
        """Whether a circle keeps the gap to all others."""
        dx, dy = self._circles[:, 0] - x, self._circles[:, 1] - y
        return bool((np.hypot(dx, dy) > self._circles[:, 2] + reach + GAP_UM).all())

    def take(self, blob: Blob) -> None:
        """Add a shape's circle."""
        self._circles = np.vstack([self._circles, (blob.x, blob.y, blob.reach)])


def _fragments(rng: np.random.Generator, extent_um: tuple[float, float], share: float) -> list[Blob]:
    """Return pieces of tissue of one size, then of smaller ones where no more of those fit."""
    width, height = extent_um
    left = share * width * height
    count = max(1, round(left / (np.pi * FRAGMENT_UM**2)))
    radius = float(np.sqrt(left / (np.pi * count)))
    smallest, room, made = 0.4 * radius, _Room(), []
    while radius > smallest and left > 0.1 * np.pi * radius**2:
        for _ in range(60):
            size = min(radius, 0.43 * min(extent_um))
            blob = _blob(rng, PhantomPart.STROMA, 0, 0, size, 0.07)
            reach = min(blob.reach, 0.49 * min(extent_um))
            x, y = rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)
            if room.has(x, y, blob.reach):
                blob = replace(blob, x=x, y=y)
                room.take(blob)
                made.append(blob)
                left -= np.pi * radius**2
                break
        else:
            radius *= 0.85
    return made


def _structures(rng: np.random.Generator, fragment: Blob) -> list[Blob]:
    """Return structures that do not touch, each with its inner parts behind it."""
    room = _Room()
    out: list[Blob] = []
    for part, share, (low, high), irregularity, side in _MIX:
        left = share * np.pi * fragment.radius**2
        while left > 0:
            radius = min(rng.uniform(low, high), 0.3 * fragment.radius)
            x, y = _spot(rng, fragment, side)
            blob = _blob(rng, part, x, y, radius, irregularity)
            if room.has(x, y, blob.reach) and fragment.depth(x, y) > blob.reach + GAP_UM:
                room.take(blob)
                out += [blob, *_inner(rng, blob)]
                left -= np.pi * radius**2
            else:
                # A failed try uses up a little of the share, so that a full fragment ends the search.
                left -= 0.012 * np.pi * radius**2
    return out


def _spot(rng: np.random.Generator, fragment: Blob, side: int) -> tuple[float, float]:
    """Return a random point; side -1 is the tumor's, +1 the normal tissue's, 0 anywhere."""
    angle, distance = rng.uniform(0, 2 * np.pi), fragment.radius * np.sqrt(rng.uniform(0, 1))
    dx, dy = distance * np.cos(angle), distance * np.sin(angle)
    if side:
        dx = side * abs(dx) - side * 0.12 * fragment.radius
    return fragment.x + dx, fragment.y + dy


def _inner(rng: np.random.Generator, blob: Blob) -> list[Blob]:
    if blob.part == PhantomPart.GLAND:
        return [blob.resized(PhantomPart.LUMEN, -rng.uniform(22, 27))]
    if blob.part == PhantomPart.WALL:
        return [blob.resized(PhantomPart.VESSEL_LUMEN, -rng.uniform(7, 10))]
    if blob.part == PhantomPart.NEST and blob.radius > 115:
        return [_blob(rng, PhantomPart.NECROSIS, blob.x, blob.y, blob.radius - 75, 0.08)]
    return []


def _pen(fragment: Blob) -> Arc:
    """Return a stroke over the upper edge of the fragment, partly on glass."""
    radius = 1.02 * fragment.radius
    return Arc(fragment.x, fragment.y, radius, 0.055 * fragment.radius, -0.75 * np.pi, 0.4 * np.pi)


def _fold(fragment: Blob) -> Arc:
    r = fragment.radius
    return Arc(
        fragment.x - 0.9 * r, fragment.y + 0.95 * r, 1.0 * r, min(28.0, 0.05 * r), -0.45 * np.pi, 0.35 * np.pi
    )


def _blur(rng: np.random.Generator, fragment: Blob) -> Blob:
    r = fragment.radius
    return _blob(rng, PhantomPart.GLASS, fragment.x + 0.55 * r, fragment.y + 0.5 * r, 0.24 * r, 0.05)
