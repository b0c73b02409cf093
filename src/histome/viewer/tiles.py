"""Tiles of the slide and of its maps, made when they are asked for."""

import io
import math
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.render.layers import Layer, class_layer
from histome.render.palette import QC_COLORS, TISSUE_COLORS, ZONE_COLORS
from histome.render.scale import scale_colors
from histome.slide import ClassMap

PICTURE_PX = 512
_JPEG_QUALITY = 88
_COLORS = {
    "qc": [None if name == "NO_TISSUE" else color for name, color in QC_COLORS.items()],
    "tissue": list(TISSUE_COLORS.values()),
    "zones": list(ZONE_COLORS.values()),
}


class TilePlace(NamedTuple):
    """Where a tile lies: its upper left corner, and the side of its pixels, in the viewer's unit."""

    left: float
    top: float
    step: int

    @classmethod
    def of(cls, level: int, column: int, row: int, size: tuple[float, float]) -> Self:
        """Return the place of a tile; raises KeyError where it lies beyond a slide of this size."""
        if not 0 <= level < levels_of(size):
            raise KeyError(f"no level {level}")
        step = 2**level
        left, top = column * PICTURE_PX * step, row * PICTURE_PX * step
        if not (0 <= left < size[0] and 0 <= top < size[1]):
            raise KeyError(f"no tile {column}, {row} on level {level}")
        return cls(left, top, step)


def levels_of(size: tuple[float, float]) -> int:
    """Return how many levels a slide of this size has, the last a single tile."""
    return 1 + max(0, math.ceil(math.log2(max(size) / PICTURE_PX)))


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return RGB pixels as JPEG."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def map_tile(
    class_map: ClassMap, name: str, place: TilePlace, unit_um: float, *, shown: int, lines: bool
) -> bytes:
    """Return the classes of a map at a tile's pixels as a PNG with a palette.

    Parameters
    ----------
    name : str
        Of the map: which colors it is drawn in.
    shown : int
        Bit k - 1 tells whether code k is drawn.
    lines : bool
        Only the borders between classes, not what they enclose.
    """
    # A pixel more on each side: a border that lies between two tiles is seen by both.
    steps = (np.arange(-1, PICTURE_PX + 1) + 0.5) * place.step * unit_um
    codes = class_map.at((place.left * unit_um + steps)[None, :], (place.top * unit_um + steps)[:, None])
    drawn = [color if shown >> k & 1 else None for k, color in enumerate(_COLORS[name])]
    keep = np.array([False, *(color is not None for color in drawn)])
    layer = class_layer(np.where(keep[codes], codes, np.uint8(0)), drawn, alphas=[255] * len(drawn))
    if lines:
        layer.colors[: len(drawn) + 1] = 0
    return _png(Layer(np.ascontiguousarray(layer.codes[1:-1, 1:-1]), layer.colors))


def share_tile(shares: NDArray[np.uint8], step_um: float, place: TilePlace, unit_um: float) -> bytes:
    """Return shares, in 255ths on a grid of `step_um`, at a tile's pixels as a PNG: 0 is transparent."""
    steps = (np.arange(PICTURE_PX) + 0.5) * place.step * unit_um
    rows, columns = (((start * unit_um + steps) // step_um).astype(int) for start in (place.top, place.left))
    there = [at[at < count] for at, count in zip((rows, columns), shares.shape, strict=True)]
    codes = np.zeros((PICTURE_PX, PICTURE_PX), np.uint8)
    codes[: len(there[0]), : len(there[1])] = shares[np.ix_(*there)]
    return _png(Layer(codes, scale_colors(fading=True)))


def _png(layer: Layer) -> bytes:
    image = Image.fromarray(layer.codes).convert("P")
    image.putpalette(layer.colors[:, :3].tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1, transparency=layer.colors[:, 3].tobytes())
    return buffer.getvalue()
