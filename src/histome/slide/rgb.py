"""What becomes 8-bit RGB, and what is refused."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histome.errors import SlideError

WHITE = np.uint8(255)
# Mixing takes 20 bytes a pixel: done for so many at a time.
_BAND_PX = 1_000_000


def white(height: int, width: int) -> NDArray[np.uint8]:
    """Return an empty field: (h, w, 3) of 255."""
    return np.full((height, width, 3), WHITE, np.uint8)


def over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (h, w, 4) straight-alpha RGBA composited over white, rounded to nearest."""
    if rgba[..., 3].min(initial=255) == 255:
        return np.ascontiguousarray(rgba[..., :3])
    out = np.empty((*rgba.shape[:2], 3), np.uint8)
    rows = max(1, _BAND_PX // max(1, rgba.shape[1]))
    for top in range(0, len(rgba), rows):
        band = rgba[top : top + rows]
        alpha = band[..., 3:].astype(np.uint16)
        out[top : top + rows] = (band[..., :3] * alpha + np.uint16(255) * (255 - alpha) + 127) // 255
    return out


def gray_to_rgb(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (h, w) repeated in three channels."""
    return np.repeat(gray[..., None], 3, axis=2)


def refuse_depth(path: Path, bits: int, kind: str = "") -> SlideError:
    """Return the error for anything but 8 bits a channel: 12 bits in 16 and 16 bits cannot be told apart."""
    return SlideError(
        f"{path.name} has {bits} {kind}bits per channel; histome reads 8-bit brightfield images: "
        f"convert it to 8-bit RGB."
    )


def refuse_channels(path: Path, what: str) -> SlideError:
    """Return the error for colors that are not those of a brightfield image."""
    return SlideError(f"{path.name} has {what}; histome reads brightfield H&E: convert it to 8-bit RGB.")
