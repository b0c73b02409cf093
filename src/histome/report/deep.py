"""Finer pictures of the slide under the overview, as many as fit into the page: seen when zoomed in."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from histome.render.layers import jpeg_uri
from histome.slide.reader import Slide

_QUALITY = 60
_TILE_PX = 512
# Larger ones cost a browser more memory than a page should take.
_LONGEST_PX = 6000
# Less gain is not worth the bytes.
_LEAST_GAIN = 1.4
_MARKUP_BYTES = 120  # around a tile's picture
_TRIES, _SHRINK = 4, 0.8


@dataclass(frozen=True)
class DeepTile:
    """A tile in the overview's pixels, and its picture as a data URI."""

    x: float
    y: float
    width: float
    height: float
    picture: str


def deep_tiles(slide: Slide, overview: np.ndarray, bytes_left: int) -> list[DeepTile]:
    """Return tiles of the whole slide, finer than its overview, uint8 (h, w, 3), in at most `bytes_left`.

    None where the slide has no finer pixels or nothing worth the bytes fits. Memory is that of the tiles.
    """
    shape = overview.shape[:2]
    overview_mpp = slide.extent_um[0] / shape[1]
    most = min(overview_mpp / max(slide.mpp.x, slide.mpp.y), _LONGEST_PX / max(shape))
    coarse_bytes = len(jpeg_uri(overview, _QUALITY))
    gain = min(most, (max(0, bytes_left) / coarse_bytes) ** 0.5)
    for _ in range(_TRIES):
        if gain < _LEAST_GAIN:
            break
        tiles = _within(_read_tiles(slide, shape, overview_mpp / gain), bytes_left)
        if tiles:
            return tiles
        gain *= _SHRINK
    return []


def _within(tiles: Iterator[DeepTile], bytes_left: int) -> list[DeepTile]:
    """Return all tiles; none where they are too many bytes."""
    kept = []
    for tile in tiles:
        bytes_left -= len(tile.picture) + _MARKUP_BYTES
        if bytes_left < 0:
            return []
        kept.append(tile)
    return kept


def _read_tiles(slide: Slide, shape: tuple[int, int], mpp: float) -> Iterator[DeepTile]:
    """Yield the tiles row by row; `shape` is the overview's (h, w)."""
    width, height = (ceil(side / mpp - 1e-6) for side in slide.extent_um)
    scale = shape[1] * mpp / slide.extent_um[0]
    for top in range(0, height, _TILE_PX):
        for left in range(0, width, _TILE_PX):
            size = (min(_TILE_PX, width - left), min(_TILE_PX, height - top))
            corner = (left * mpp / slide.mpp.x, top * mpp / slide.mpp.y)
            pixels = slide.read(*corner, size=size, mpp=mpp)
            x, y, wide, high = (round(scale * value, 3) for value in (left, top, *size))
            yield DeepTile(x, y, wide, high, jpeg_uri(pixels, _QUALITY))
