"""Changes that a scanner or a laboratory could have made: stain, focus, compression, scale, turn."""

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.datasets.density import augmentation_od

# Ruifrok and Johnston 2001: rows are hematoxylin, eosin and the residual in optical density. The residual is
# that of their paper, not the perpendicular of `slide.stain`: the shipped models were trained so.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_STAINS = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)

RgbImage = NDArray[np.uint8]


def stain(image: RgbImage, rng: np.random.Generator, strength: float = 1.0) -> RgbImage:
    """Scale and shift the stains in optical density and turn their colors a little."""
    turned = _STAINS + rng.normal(0, 0.04 * strength, _STAINS.shape)
    gain = np.exp(rng.normal(0, 0.22 * strength, 3))
    shift = rng.normal(0, 0.03 * strength, 3)
    matrix = np.linalg.inv(_STAINS) @ np.diag(gain) @ turned
    od = augmentation_od(image) @ matrix.astype(np.float32) + (shift @ turned).astype(np.float32)
    return np.clip(256.0 * np.exp(-od) - 1.0, 0, 255).astype(np.uint8)


def _brightness(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    gain, offset = rng.uniform(0.85, 1.12), rng.uniform(-12, 12)
    return cv2.convertScaleAbs(image, alpha=gain, beta=offset)  # type: ignore[return-value]


def _blur(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))  # type: ignore[return-value]


def _coarse(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    h, w = image.shape[:2]
    scale = rng.uniform(0.5, 0.9)
    small = cv2.resize(image, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _jpeg(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _sharpen(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    soft = cv2.GaussianBlur(image, (0, 0), 1.0)
    return cv2.addWeighted(image, 1 + (k := rng.uniform(0.2, 1.0)), soft, -k, 0)  # type: ignore[return-value]


def _noise(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    noise = rng.normal(0, rng.uniform(1, 7), image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def appearance(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """One random chain of changes to the pixels; geometry is untouched. (h, w, 3) uint8 in and out."""
    if rng.random() < 0.85:
        image = stain(image, rng)
    for chance, change in (
        (0.4, _brightness),
        (0.25, _blur),
        (0.2, _coarse),
        (0.15, _sharpen),
        (0.15, _noise),
        (0.3, _jpeg),
    ):
        if rng.random() < chance:
            image = change(image, rng)
    return image


def similarity(
    center: NDArray[np.float64],
    size: int,
    rng: np.random.Generator,
    *,
    scale: tuple[float, float] = (0.75, 1.35),
) -> NDArray[np.float64]:
    """(2, 3) crop pixels -> source pixels: a random turn, flip and scale round `center` (x, y there).

    A scale of 0.7 shows the tissue as if it had been scanned at 0.35 um/px in place of 0.5.
    """
    quarter = rng.random() < 0.5
    angle = np.pi / 2 * rng.integers(4) if quarter else rng.uniform(0, 2 * np.pi)
    zoom = np.exp(rng.uniform(*np.log(scale)))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[c * flip, -s], [s * flip, c]])
    return np.hstack([linear, (center - linear @ np.array([size / 2, size / 2]))[:, None]])


def warp(image: RgbImage, matrix: NDArray[np.float64], size: int, fill: int = 255) -> RgbImage:
    """Crop of `size` px through `matrix` (crop -> source; pixel centers at .5), white outside."""
    # OpenCV puts pixel centers at whole numbers: shift by half a pixel on both sides.
    half = matrix.copy()
    half[:, 2] += matrix[:, 0] * 0.5 + matrix[:, 1] * 0.5 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(image, half, (size, size), flags=flags, borderValue=(fill, fill, fill))
    return warped  # type: ignore[return-value]
