"""Slides that tests draw themselves: exact pixels, and small H&E-like phantoms."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from histome.phantom import PhantomTruth, draw_phantom

RGB = NDArray[np.uint8]


def small_phantom(
    path: Path, *, seed: int = 1, size_px: tuple[int, int] = (1200, 1000), **options: Any
) -> PhantomTruth:
    """Draw an H&E-like phantom of about a second; `options` as of draw_phantom."""
    return draw_phantom(path, size_px=size_px, rng=np.random.default_rng(seed), **options)


def gradient(height: int, width: int) -> RGB:
    """Return pixels that tell their place: red and green are linear ramps in x and y, blue is flat."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 251, y % 241, np.full_like(x, 77)], axis=-1).astype(np.uint8)


def numbered(height: int, width: int, seed: int = 0) -> RGB:
    """Return noise: every shift by a pixel shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def block_mean(pixels: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Return the mean of factor x factor blocks, white (255) beyond the edges."""
    height, width = pixels.shape[:2]
    down, across = -(-height // factor), -(-width // factor)
    padded = np.full((down * factor, across * factor, 3), 255.0)
    padded[:height, :width] = pixels
    return padded.reshape(down, factor, across, factor, 3).mean(axis=(1, 3))


def tiled_tiff(
    path: Path,
    pixels: NDArray[Any],
    *,
    mpp: float | None = 0.5,
    factors: tuple[int, ...] = (1,),
    tile: int = 64,
    subifds: bool = False,
    **options: Any,
) -> Path:
    """Write a tiled pyramid: level k averages blocks of `factors[k]` px (cut at the lower right edge)."""
    options = {"photometric": "rgb", "compression": "zlib", "metadata": None, **options}
    with tifffile.TiffWriter(path, ome=bool(options.get("metadata"))) as writer:
        for number, factor in enumerate(factors):
            level = pixels
            if factor > 1:
                whole = pixels[: pixels.shape[0] // factor * factor, : pixels.shape[1] // factor * factor]
                level = np.floor(block_mean(whole, factor) + 0.5).astype(pixels.dtype)
            if mpp is not None:
                per_cm = 10_000 / (mpp * factor)
                options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            extra = {"subifds": len(factors) - 1} if subifds and number == 0 else {}
            writer.write(level, tile=(tile, tile), subfiletype=1 if number else 0, **extra, **options)
            if options["metadata"]:
                options["metadata"] = None
    return path


def break_tile(path: Path, tile: int, *, page: int = 0) -> None:
    """Overwrite the data of one tile of a TIFF with bytes that no codec takes."""
    with tifffile.TiffFile(path) as tiff:
        offset, length = tiff.pages[page].dataoffsets[tile], tiff.pages[page].databytecounts[tile]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x01\x02" * (length // 2))
