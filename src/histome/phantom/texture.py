"""Periodic textures: sampled at absolute positions, so that neighboring blocks meet without a seam."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

Image = NDArray[np.floating[Any]]
# Different periods for what is overlaid: the sum repeats only after centimeters.
FIBER_PX, CROSS_FIBER_PX, MIX_PX, FINE_PX, COARSE_PX, CELLS_PX = 1152, 1000, 1250, 512, 1100, 600


@dataclass(frozen=True)
class Textures:
    """All textures of one phantom, each a square that repeats; 0-1 or of mean 0 and deviation 1."""

    fibers: Image
    cross_fibers: Image
    fiber_angle: Image
    cross_angle: Image
    mix: Image
    fine: Image
    chromatin: Image
    coarse: Image
    erythrocytes: Image
    fat: Image


def make_textures(rng: np.random.Generator, mpp: float) -> Textures:
    """Return textures whose features have their size in um whatever the mpp."""
    fibers = _fibers(rng, FIBER_PX, mpp)
    cross = np.ascontiguousarray(_fibers(rng, CROSS_FIBER_PX, mpp).T)
    return Textures(
        fibers=fibers,
        cross_fibers=cross,
        fiber_angle=_orientation(fibers, mpp),
        cross_angle=_orientation(cross, mpp),
        mix=noise(rng, MIX_PX, 45 / mpp),
        fine=noise(rng, FINE_PX, 0.7 / mpp),
        chromatin=noise(rng, FINE_PX + 64, 0.55 / mpp),
        coarse=noise(rng, COARSE_PX, 30 / mpp),
        erythrocytes=_erythrocytes(rng, CELLS_PX, mpp),
        fat=_fat(rng, CELLS_PX, mpp),
    )


def noise(rng: np.random.Generator, size: int, sigma_px: float | tuple[float, float]) -> Image:
    """Return periodic Gaussian noise (size, size), smoothed by sigma (y, x) px, mean 0, deviation 1."""
    sigma_y, sigma_x = (sigma_px, sigma_px) if isinstance(sigma_px, int | float) else sigma_px
    image = _smooth(rng.standard_normal((size, size), dtype=np.float32), sigma_y, sigma_x)
    image -= image.mean()
    return (image / image.std()).astype(np.float32)


def sample(texture: Image, y: int, x: int, shape: tuple[int, int]) -> Image:
    """Return the (h, w) part of the endless repetition of a texture from absolute pixel (x, y) on."""
    rows = (y + np.arange(shape[0])) % texture.shape[0]
    columns = (x + np.arange(shape[1])) % texture.shape[1]
    return texture.take(rows, axis=0).take(columns, axis=1)


def _smooth(image: Image, sigma_y: float, sigma_x: float) -> Image:
    """Return the image smoothed by a Gaussian that wraps round at the borders."""
    size = len(image)
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    gain = np.exp(-2 * np.pi**2 * ((sigma_y * y) ** 2 + (sigma_x * x) ** 2)).astype(np.float32)
    return np.fft.irfft2(np.fft.rfft2(image) * gain, (size, size)).astype(np.float32)


def _unit(image: Image, low: float, high: float) -> Image:
    first, last = np.quantile(image, [low, high])
    return np.clip((image - first) / (last - first), 0, 1).astype(np.float32)


def _fibers(rng: np.random.Generator, size: int, mpp: float) -> Image:
    """Return wavy bundles that run roughly along x, 0 (cleft) to 1 (dense)."""
    bundles = noise(rng, size, (2.6 / mpp, 40 / mpp))
    strands = noise(rng, size, (0.6 / mpp, 14 / mpp))
    shift = 16 / mpp * noise(rng, size, 22 / mpp) + 2.2 / mpp * noise(rng, size, 5 / mpp)
    rows, columns = np.indices((size, size), dtype=np.float32)
    where = np.stack([rows + shift, columns])
    warped = map_coordinates(bundles + 0.55 * strands, where, order=1, mode="grid-wrap")
    return _unit(warped, 0.02, 0.98)


def _orientation(fibers: Image, mpp: float) -> Image:
    """Return the angle along which fibers run, in radians, from the structure tensor."""
    smooth = _smooth(fibers, 1.5 / mpp, 1.5 / mpp)
    dy = np.roll(smooth, -1, 0) - np.roll(smooth, 1, 0)
    dx = np.roll(smooth, -1, 1) - np.roll(smooth, 1, 1)
    xx, yy, xy = (_smooth(product, 6 / mpp, 6 / mpp) for product in (dx * dx, dy * dy, dx * dy))
    return (0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2).astype(np.float32)


def _jittered_points(rng: np.random.Generator, size: int, spacing_px: float, jitter: float) -> Image:
    count = max(2, round(size / spacing_px))
    step = size / count
    rows, columns = np.indices((count, count))
    grid = np.stack([columns + 0.5 * (rows % 2), rows], axis=-1).reshape(-1, 2) * step
    return (grid + rng.uniform(-jitter, jitter, grid.shape) * step) % size


def _erythrocytes(rng: np.random.Generator, size: int, mpp: float) -> Image:
    """Return packed discs of 7 um with paler centers, 0-1."""
    points = _jittered_points(rng, size, 6.6 / mpp, 0.22)
    rows, columns = np.indices((size, size))
    distance, _ = KDTree(points, boxsize=size).query(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    radius_um = distance.reshape(size, size).astype(np.float32) * mpp
    disc = np.clip((3.4 - radius_um) / 0.5, 0, 1)
    return (disc * (0.72 + 0.28 * np.clip(radius_um / 2.6, 0, 1))).astype(np.float32)


def _fat(rng: np.random.Generator, size: int, mpp: float) -> Image:
    """Return the thin membranes between fat cells of about 55 um, 0-1."""
    points = _jittered_points(rng, size, 55 / mpp, 0.3)
    rows, columns = np.indices((size, size), dtype=np.float32)
    waves = [2 / mpp * noise(rng, size, 12 / mpp) for _ in range(2)]
    where = np.stack([columns + waves[0], rows + waves[1]], axis=-1).reshape(-1, 2) % size
    distance, _ = KDTree(points, boxsize=size).query(where, k=2)
    gap_um = ((distance[:, 1] - distance[:, 0]) * mpp).reshape(size, size)
    return np.clip(1.6 - gap_um / 1.6, 0, 1).astype(np.float32)
