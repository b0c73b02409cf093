"""Drawn H&E-like fields at any resolution, for quality control: what lies where is known to the pixel."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.slide import Slide, open_slide
from histome.slide.mpp import Mpp

RGB = NDArray[np.uint8]
GLASS = 243
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


def density_of(rgb: RGB) -> NDArray[np.float64]:
    """Return optical density against the drawn glass."""
    return -np.log10(np.maximum(rgb, 1) / GLASS)


def from_density(density: NDArray[np.float64]) -> RGB:
    """Return pixels of an optical density."""
    return np.clip(np.rint(GLASS * 10.0**-density), 0, 255).astype(np.uint8)


def tissue_texture(height: int, width: int, *, mpp: float, seed: int = 0) -> RGB:
    """Return stroma of uneven eosin with nuclei 8 um wide, one in some 300 um2."""
    rng = np.random.default_rng(seed)
    eosin = 0.22 + 0.05 * cv2.GaussianBlur(rng.normal(0, 6 / mpp, (height, width)), (0, 0), 6 / mpp)
    eosin += 0.03 * cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 0.5)
    nuclei = np.zeros((height, width), np.uint8)
    for _ in range(int(height * width * mpp**2 / 300)):
        center = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(nuclei, center, max(1, round(4 / mpp)), 255, -1, cv2.LINE_AA)
    hematoxylin = nuclei / 255 * 0.45 * (1 + 0.3 * rng.normal(0, 1, nuclei.shape))
    stains = np.stack([hematoxylin, np.clip(eosin, 0.05, 1)], axis=-1)
    return from_density(np.clip(stains @ _STAINS, 0, 2.3))


def glass(height: int, width: int) -> RGB:
    """Return empty glass."""
    return np.full((height, width, 3), GLASS, np.uint8)


def write_field(path: Path, rgb: RGB, mpp: float) -> Slide:
    """Write a PNG and open it as a slide of any resolution (coarser ones than a user may pass, too)."""
    Image.fromarray(rgb).save(path)
    slide = open_slide(path, mpp=min(mpp, 5.0))
    slide.mpp = Mpp(mpp, mpp, "given")
    return slide


def section_at_8um() -> RGB:
    """Return 3.2 x 4 mm of glass with 1.6 x 2.4 mm of tissue at 8 um/px."""
    image = glass(400, 500)
    image[100:300, 100:400] = tissue_texture(200, 300, mpp=8.0)
    return image


def stroke_at_8um(
    shape: tuple[int, ...],
    *,
    width_um: float,
    start: tuple[int, int] = (60, 40),
    end: tuple[int, int] = (430, 350),
) -> NDArray[np.bool_]:
    """Return a straight stroke between two points (x, y) of a map at 8 um/px."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.line(mask, start, end, 1, round(width_um / 8.0))
    return mask > 0
