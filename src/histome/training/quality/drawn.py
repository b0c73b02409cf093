"""Artifacts drawn on real tissue: folds, bubbles, dust, burnt edges, tears, blur, ink, the coverslip's edge.

Everything is drawn in optical density at any um/px. What lies where is known; rims half covered are not
labeled, nor is a fold of empty glass, which nobody can see.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from histome.classes import QC_CLASSES

Rgb = NDArray[np.uint8]
Plane = NDArray[np.float32]

# Codes of the labels: the k-th class of quality is k + 1, 0 is not labeled.
CODE = {name: code for code, name in enumerate(QC_CLASSES, start=1)}
_COVERED, _CLEAR = 0.6, 0.05
# Summed density that a fold must add to be seen.
_FOLD_ADDED = 0.35
# Summed density of tissue that is no air, fat or mucus; what surrounds a tear is nearly all of it.
_SOLID, _SOLID_SHARE, _AROUND_UM = 0.2, 0.8, 240.0
# Spread of gray levels: with less there is nothing to be out of focus.
_STRUCTURE = 10.0


class DrawnArtifact(NamedTuple):
    """An image with what was drawn on it: pixels (h, w, 3) and how far each is covered (h, w), 0-1."""

    image: Rgb
    cover: Plane


class Brush(NamedTuple):
    """Where something is drawn: random numbers, um/px, the color of the glass."""

    rng: np.random.Generator
    mpp: float
    glass: NDArray[np.float32]

    def px(self, low_um: float, high_um: float) -> float:
        """A random length, evenly spread over its logarithm, in pixels."""
        return float(np.exp(self.rng.uniform(np.log(low_um), np.log(high_um)))) / self.mpp


def glass_of(image: Rgb) -> NDArray[np.float32]:
    """Color of the glass of a field: its brightest percent, 225 at least."""
    brightest = np.percentile(image[::2, ::2].reshape(-1, 3), 99, axis=0)
    return np.maximum(brightest, 225).astype(np.float32)


def draw(kind: str, image: Rgb, codes: Rgb, rng: np.random.Generator, *, mpp: float) -> tuple[Rgb, Rgb]:
    """Draw one artifact of a kind; returns pixels and label codes (h, w), both new."""
    brush = Brush(rng, mpp, glass_of(image))
    drawn = DRAWERS[kind](image, brush)
    label = CODE[CLASS_OF.get(kind, "TISSUE_ARTIFACT")]
    codes = np.where(drawn.cover > _COVERED, label, np.where(drawn.cover > _CLEAR, 0, codes))
    return drawn.image, codes.astype(np.uint8)


def fold(image: Rgb, brush: Brush) -> DrawnArtifact:
    """Tissue that lies two or three times: a spindle in which the tissue beside it is added, mirrored."""
    rng = brush.rng
    points = curve(image.shape, brush, brush.px(200, 1600), bend=rng.uniform(0.0, 0.002))
    half = brush.px(18, 140) / 2
    cover = stroke(image.shape, points, half * _spindle(len(points), rng))
    density = _density(image, brush.glass)
    added = rng.uniform(0.65, 1.1) * _mirrored(density, points, half, rng)
    if rng.random() < 0.4:
        added += rng.uniform(0.5, 1.0) * _mirrored(density, points, -half, rng)
    rim = cover - cv2.erode(cover, np.ones((3, 3), np.uint8))
    usual = float(density.mean())
    added += (rng.uniform(0, 0.5) * usual * rim)[..., None]
    seen = cv2.GaussianBlur(added.sum(axis=2), (0, 0), 2.0) > _FOLD_ADDED
    image = _pixels(density + cover[..., None] * added, brush.glass)
    return DrawnArtifact(image, _told(cover, seen))


def bubble(image: Rgb, brush: Brush) -> DrawnArtifact:
    """Air under the coverslip: a dark rim with a bright line, and paler, softer tissue within."""
    rng, size = brush.rng, image.shape
    distance = _blob(size, brush, brush.px(50, 450))
    rim_px = brush.px(8, 40)
    inside = np.clip(0.5 - distance, 0, 1)[..., None]
    rim = np.exp(-((distance / rim_px) ** 2))[..., None]
    line = np.exp(-(((distance + 1.6 * rim_px) / (0.5 * rim_px)) ** 2))[..., None]
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    density = _density(image, brush.glass)
    pale = rng.uniform(0.4, 0.9) * _density(np.asarray(soft, np.uint8), brush.glass) + rng.uniform(0, 0.08)
    density = density * (1 - inside) + pale * inside
    density = density + rng.uniform(0.15, 0.9) * rim * _gray(rng) - rng.uniform(0, 0.3) * line * density
    cover = np.maximum(inside, rim > 0.4)[..., 0]
    return DrawnArtifact(_pixels(density, brush.glass), cover.astype(np.float32))


def dust(image: Rgb, brush: Brush) -> DrawnArtifact:
    """Fibers and specks on the glass: sharp or soft, gray to black, now and then colored."""
    rng = brush.rng
    cover = np.zeros(image.shape[:2], np.float32)
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.5:
            points = curve(image.shape, brush, brush.px(120, 900), bend=rng.uniform(0.00125, 0.02))
            piece = stroke(image.shape, points, np.full(len(points), brush.px(8, 26) / 2))
        else:
            piece = np.clip(0.5 - _blob(image.shape, brush, brush.px(14, 70), rough=0.5), 0, 1)
        cover = np.maximum(cover, piece)
    seen = cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.3, 1.6))
    density = _density(image, brush.glass) + (rng.uniform(0.4, 1.6) * seen)[..., None] * _gray(rng)
    return DrawnArtifact(_pixels(density, brush.glass), np.clip(1.6 * seen, 0, 1).astype(np.float32))


def burnt_edge(image: Rgb, brush: Brush) -> DrawnArtifact:
    """Cautery: along a rough edge, mostly against glass, tissue is dark and drawn out along the edge."""
    rng, (height, width) = brush.rng, image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
    across += rng.uniform(-0.3, 0.3) * width + brush.px(10, 60) * _rough(image.shape, brush, 150)
    band = brush.px(60, 320)
    weight = np.clip((band - across) / (0.35 * band) + rng.normal(0, 0.15), 0, 1)
    weight *= across > 0
    density = _density(image, brush.glass)
    streaks = _drawn_out(density, angle + np.pi / 2, brush.px(60, 240))
    color = (
        np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.1, 3) + rng.uniform(0, 0.25) * np.array([1, -0.3, 0.4])
    )
    lines = _drawn_out(
        rng.normal(0, 1, (height, width, 1)).astype(np.float32), angle + np.pi / 2, 120 / brush.mpp
    )
    lines = lines / max(float(lines.std()), 1e-6)
    burnt = (
        (rng.uniform(1.15, 2.0) * streaks + rng.uniform(0.02, 0.2))
        * color
        * (1 + rng.uniform(0.02, 0.2) * lines)
    )
    density = density + weight[..., None] * (np.maximum(burnt, 0) - density)
    if rng.random() < 0.75:
        density *= np.clip(across + 0.5, 0, 1)[..., None]
    there = cv2.GaussianBlur(density.sum(axis=2), (0, 0), 3.0) > 2 * _SOLID
    return DrawnArtifact(_pixels(density, brush.glass), _told(weight, there))


def tear(image: Rgb, brush: Brush) -> DrawnArtifact:
    """A torn cleft: jagged, empty, with dense rims and strands across."""
    rng = brush.rng
    points = curve(
        image.shape, brush, brush.px(200, 1200), bend=rng.uniform(0.00125, 0.0075), jag=rng.uniform(2.0, 10.0)
    )
    half = brush.px(24, 160) / 2
    ragged = _spindle(len(points), rng) * np.exp(0.3 * _wavering(len(points), 12.0 / brush.mpp, rng))
    gap = stroke(image.shape, points, half * ragged)
    near = cv2.GaussianBlur(cv2.dilate(gap, np.ones((5, 5), np.uint8)), (0, 0), 1.5)
    density = _density(image, brush.glass)
    solid = (density.sum(axis=2) > _SOLID).astype(np.float32)
    density = density * (1 + rng.uniform(0, 0.7) * near * (1 - gap))[..., None]
    strands = np.clip(_rough(image.shape, brush, 40) - rng.uniform(1.6, 3.0), 0, 1)
    empty = gap * (1 - strands)
    # In lung and fat it is one more air space or vacuole.
    among_solid = cv2.blur(solid, (round(_AROUND_UM / brush.mpp),) * 2) > _SOLID_SHARE
    return DrawnArtifact(_pixels(density * (1 - empty)[..., None], brush.glass), _told(gap, among_solid))


def blur(image: Rgb, brush: Brush) -> DrawnArtifact:
    """Part of the field, or all of it, out of focus by a disc of 8-28 um radius."""
    rng = brush.rng
    whole = rng.random() < 0.3
    cover = (
        np.ones(image.shape[:2], np.float32)
        if whole
        else np.clip(0.5 - _blob(image.shape, brush, brush.px(150, 700)) / (40 / brush.mpp), 0, 1).astype(
            np.float32
        )
    )
    soft = through_disc(image, brush.px(8, 28))
    mixed = image + cover[..., None] * (soft.astype(np.float32) - image)
    gray = image.mean(axis=2, dtype=np.float32)
    spread = cv2.GaussianBlur(gray**2, (0, 0), 6.0) - cv2.GaussianBlur(gray, (0, 0), 6.0) ** 2
    return DrawnArtifact(
        np.clip(np.rint(mixed), 0, 255).astype(np.uint8), _told(cover, spread > _STRUCTURE**2)
    )


def ink(image: Rgb, brush: Brush) -> DrawnArtifact:
    """Pen strokes, or surgical ink on an edge: blue, green, black, red, more or less transparent."""
    rng = brush.rng
    inks = ((1.3, 0.9, 0.25), (1.2, 0.45, 0.75), (1.2, 1.2, 1.15), (0.08, 1.1, 0.75), (0.15, 0.5, 1.4))
    color = np.array(inks[rng.integers(len(inks))]) * np.exp(rng.normal(0, 0.15, 3)) * rng.uniform(0.35, 1.3)
    cover = np.zeros(image.shape[:2], np.float32)
    for _ in range(rng.integers(1, 3)):
        points = curve(image.shape, brush, brush.px(500, 3000), bend=rng.uniform(0, 0.003))
        cover = np.maximum(cover, stroke(image.shape, points, np.full(len(points), brush.px(80, 450) / 2)))
    uneven = np.clip(1 + rng.uniform(0, 0.35) * _rough(image.shape, brush, 80), 0.3, 2)
    seen = cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.5, 2.5))
    density = _density(image, brush.glass) + (seen * uneven)[..., None] * color
    return DrawnArtifact(_pixels(density, brush.glass), cover)


def coverslip(image: Rgb, brush: Brush) -> DrawnArtifact:
    """The coverslip's edge: a straight dark line, gray bands beside it, and beyond it other light."""
    rng, (height, width) = brush.rng, image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across = (
        (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle) + rng.uniform(-0.35, 0.35) * width
    )
    half = brush.px(20, 110) / 2
    line = np.exp(-((across / half) ** 4))
    band = np.exp(-(((np.abs(across) - 2.2 * half) / (0.5 * half)) ** 2)) * rng.uniform(0, 0.5)
    density = _density(image, brush.glass)
    density = np.where(
        (across > 0)[..., None], density * rng.uniform(0.6, 1.0) + rng.uniform(0, 0.1), density
    )
    density = density + ((line + band) * rng.uniform(0.4, 1.5))[..., None] * _gray(rng)
    return DrawnArtifact(_pixels(density, brush.glass), line.astype(np.float32))


Drawer = Callable[[Rgb, Brush], DrawnArtifact]
DRAWERS: Mapping[str, Drawer] = {
    "fold": fold,
    "bubble": bubble,
    "dust": dust,
    "burnt edge": burnt_edge,
    "tear": tear,
    "blur": blur,
    "ink": ink,
    "coverslip's edge": coverslip,
}
# The others are TISSUE_ARTIFACT.
CLASS_OF = {"blur": "OUT_OF_FOCUS", "ink": "MARKER"}


def curve(
    shape: tuple[int, ...], brush: Brush, length_px: float, *, bend: float, jag: float = 0.0
) -> NDArray[np.float64]:
    """Points (n, 2), x and y a pixel apart, of a smooth random curve through the middle of an image.

    `bend` is the spread of its curvature, 1/um; `jag` moves the points sideways by so many um.
    """
    rng, n = brush.rng, max(8, round(length_px))
    turns = bend * brush.mpp * _wavering(n, n / 10, rng)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
    points = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis=0)
    size = np.array(shape[1::-1])
    middle = size * rng.uniform(0.2, 0.8, 2)
    sideways = rng.normal(0, jag / brush.mpp, (n, 2)) if jag else 0.0
    return points - points[n // 2] + middle + sideways


def stroke(shape: tuple[int, ...], points: NDArray[np.float64], radii_px: NDArray[np.float64]) -> Plane:
    """Cover (h, w), 0-1, of discs along points (x, y), drawn at four times the resolution of a pixel."""
    fine = np.zeros((2 * shape[0], 2 * shape[1]), np.uint8)
    for (x, y), radius in zip(points * 2, radii_px * 2, strict=True):
        if -radius < x < fine.shape[1] + radius and -radius < y < fine.shape[0] + radius:
            cv2.circle(
                fine, (round(x * 16), round(y * 16)), round(max(radius, 0.5) * 16), 255, -1, cv2.LINE_8, 4
            )
    cover = cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(cover, np.float32) / np.float32(255)


def stroke_of(image: Rgb, rng: np.random.Generator, *, mpp: float) -> Plane:
    """Cover (h, w) of a random band of the width and length of a fold."""
    brush = Brush(rng, mpp, np.zeros(3, np.float32))
    points = curve(image.shape, brush, brush.px(200, 1600), bend=rng.uniform(0.0, 0.002))
    return stroke(image.shape, points, brush.px(18, 140) / 2 * _spindle(len(points), rng))


def rough_disc(image: Rgb, rng: np.random.Generator, *, mpp: float) -> Plane:
    """Signed distance (h, w), px, from the rim of a random lump of 30-300 um radius; negative within."""
    brush = Brush(rng, mpp, np.zeros(3, np.float32))
    return _blob(image.shape, brush, brush.px(30, 300), rough=0.25)


def through_disc(image: Rgb, radius_px: float) -> Rgb:
    """The image through a disc-shaped point-spread function."""
    side = 2 * int(np.ceil(radius_px)) + 1
    y, x = np.mgrid[:side, :side] - side // 2
    kernel = np.clip(radius_px + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def _told(cover: Plane, sure: NDArray[np.bool_]) -> Plane:
    """Half covered, so not labeled, where nobody could see it."""
    return np.where(sure, cover, np.minimum(cover, 0.5)).astype(np.float32)


def _density(image: Rgb, glass: NDArray[np.float32]) -> Plane:
    table = np.maximum(np.log10(glass / np.maximum(np.arange(256), 1)[:, None]), 0).astype(np.float32)
    return np.stack([table[:, k][image[..., k]] for k in range(3)], axis=-1)


def _pixels(density: NDArray[np.floating], glass: NDArray[np.float32]) -> Rgb:
    light = cv2.exp(np.asarray(density, np.float32) * np.float32(-np.log(10)))
    return np.clip(np.rint(glass * light), 0, 255).astype(np.uint8)


def _spindle(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Half widths along a band, 0-1: it tapers to its ends, more or less, and its width wavers."""
    t = np.linspace(0.02, 0.98, n)
    phase = rng.uniform(0, 2 * np.pi, 2)
    waver = 1 + 0.2 * np.sin(7 * t + phase[0]) + 0.12 * np.sin(17 * t + phase[1])
    return np.sin(np.pi * t) ** rng.uniform(0.15, 0.9) * waver


def _wavering(n: int, grain_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise along a line, of mean 0 and spread 1."""
    noise = gaussian_filter1d(rng.normal(0, 1, n), grain_px)
    return noise / max(float(noise.std()), 1e-9)


def _mirrored(density: Plane, points: NDArray[np.float64], half: float, rng: np.random.Generator) -> Plane:
    """What lies beside a curve, as it comes to lie on it: mirrored at a line along the curve, softer."""
    along = points[-1] - points[0]
    angle = np.arctan2(along[1], along[0])
    c, s = np.cos(2 * angle), np.sin(2 * angle)
    mirror = np.array([[c, s], [s, -c]])
    at = points[len(points) // 2] + 1.5 * half * np.array([-np.sin(angle), np.cos(angle)])
    matrix = np.hstack([mirror, (at - mirror @ at)[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        density, matrix, density.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.2, 1.2)), np.float32)


def _blob(shape: tuple[int, ...], brush: Brush, radius_px: float, rough: float = 0.15) -> Plane:
    """Signed distance in px, about, from the rim of a rough disc somewhere in the image; negative within."""
    rng = brush.rng
    middle = np.array(shape[1::-1]) * rng.uniform(0.1, 0.9, 2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dx, dy = x - middle[0], y - middle[1]
    angle, stretch = np.arctan2(dy, dx), np.exp(rng.uniform(-0.4, 0.4))
    wave = sum(rng.normal(0, rough / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7))
    return (np.hypot(dx * stretch, dy / stretch) - radius_px * (1 + wave)).astype(np.float32)


def _rough(shape: tuple[int, ...], brush: Brush, grain_um: float) -> Plane:
    """Smooth noise (h, w) of mean 0 and spread 1, with lumps of about `grain_um`."""
    step = max(1.0, grain_um / brush.mpp)
    coarse = brush.rng.normal(0, 1, [int(n / step) + 4 for n in shape[:2]]).astype(np.float32)
    size = [round(n * step) for n in coarse.shape]
    fine = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine[: shape[0], : shape[1]], np.float32)


def _drawn_out(planes: Plane, angle: float, length_px: float) -> Plane:
    """Mean along a line of a direction."""
    n = max(3, round(length_px) | 1)
    kernel = np.zeros((n, n), np.float32)
    reach = (n // 2) * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(np.rint(n // 2 + sign * reach).astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    drawn = cv2.filter2D(planes, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(drawn, np.float32).reshape(planes.shape)


def _gray(rng: np.random.Generator) -> NDArray[np.float64]:
    """Relative densities of the channels of something nearly colorless; one in six has a color."""
    return np.exp(rng.normal(0, 0.45 if rng.random() < 0.17 else 0.05, 3))
