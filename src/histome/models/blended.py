"""Maps of a slide from a model's windows: one lattice, each window fading into its neighbors."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from histome.models.card import Card
from histome.models.runtime import Predictor, checked_outputs
from histome.slide import Box, Slide, Tile, TileGrid
from histome.slide.plain import array_slide
from histome.threads import ordered_map

Planes = NDArray[np.uint8]
# Weight of a window along one axis. Two axes make 256: 255 times that is still 16 bits.
_FULL = 16


def window_lattice(slide: Slide, card: Card) -> TileGrid:
    """Return the windows of a slide; an odd last input pixel belongs to a map pixel too."""
    height, width = slide.shape_at(card.mpp * card.stride)
    return TileGrid((width * card.stride, height * card.stride), card.core_px, card.halo_px)


def fade_px(card: Card) -> int:
    """Return how far, in input px, a window still counts beyond its core: half a halo."""
    return min(card.halo_px // card.stride // 2, card.core_px // card.stride // 2) * card.stride


def blended_rows(
    slide: Slide, network: Predictor, wanted: list[Tile], *, workers: int = 1
) -> Iterator[Planes]:
    """Yield round(255 p) of the slide from top to bottom, uint8 (classes, rows, width); 0 beyond the windows.

    Parameters
    ----------
    wanted : list of Tile
        Windows of `window_lattice` to run, in its order; whole, or cut to what is asked of them.
    """
    card = network.card
    lattice = window_lattice(slide, card)
    fades = _Fades(card, lattice)
    # At most two windows a worker are held.
    found = ordered_map(lambda tile: _predict(slide, network, tile), wanted, workers, ahead=2 * workers - 1)
    rows = {k: list(tiles) for k, tiles in groupby(wanted, lambda tile: tile.index // lattice.shape[1])}
    for row in range(lattice.shape[0]):
        for tile in rows.get(row, ()):
            fades.add(next(found), tile)
        yield fades.finish_row(last=row == lattice.shape[0] - 1)


def predict_field(network: Predictor, image: NDArray[np.uint8]) -> Planes:
    """Return round(255 p) of a field at the card's mpp, uint8 (classes, h, w), as a slide gets it."""
    slide = array_slide(image, network.card.mpp)
    lattice, card = window_lattice(slide, network.card), network.card
    whole = Box(0, 0, *lattice.extent_px)
    windows = [tile.cut(whole, around_px=card.halo_px, step_px=card.cut_px) for tile in lattice]
    return np.concatenate(list(blended_rows(slide, network, windows)), axis=1)


def _predict(slide: Slide, network: Predictor, tile: Tile) -> NDArray[np.uint8]:
    """round(255 p) of all that the window reads, uint8 (classes, h, w)."""
    card = network.card
    x_px, y_px = tile.read.x0 * card.mpp / slide.mpp.x, tile.read.y0 * card.mpp / slide.mpp.y
    image = slide.read(x_px, y_px, size=(tile.read.width, tile.read.height), mpp=card.mpp)
    outputs = checked_outputs(network, _mirrored(image, slide, tile, card)[None])
    probabilities = outputs["probabilities"][0]
    return np.clip(np.rint(probabilities * 255), 0, 255).astype(np.uint8)


class _Fades:
    """Sums the windows of one row of the lattice, each weighted; integers, so their order changes nothing."""

    def __init__(self, card: Card, lattice: TileGrid) -> None:
        self._stride, self._core = card.stride, card.core_px // card.stride
        self._fade = fade_px(card) // card.stride
        self._width, self._height = (edge // card.stride for edge in lattice.extent_px)
        rows = self._core + 2 * self._fade
        self._sums = np.zeros((len(card.classes), rows, self._width), np.uint16)
        self._weights = np.zeros((rows, self._width), np.uint16)
        self._top = -self._fade
        up = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * self._fade) + 0.5) / max(1, 2 * self._fade))
        rise = np.rint(_FULL * up).astype(np.uint16)
        self._ramp = np.concatenate(
            [rise, np.full(self._core - 2 * self._fade, _FULL, np.uint16), _FULL - rise]
        )

    def add(self, planes: Planes, tile: Tile) -> None:
        """Add a window of the current row."""
        left, top = tile.core.x0 // self._stride - self._fade, self._top
        x0, y0, x1, y1 = (edge // self._stride for edge in tile.read)
        columns = slice(max(0, left, x0), min(self._width, left + len(self._ramp), x1))
        rows = slice(max(0, top, y0), min(self._height, top + len(self._ramp), y1))
        own_x, own_y = (slice(s.start - at, s.stop - at) for s, at in ((columns, left), (rows, top)))
        weight = self._ramp[own_y, None] * self._ramp[None, own_x]
        inner = planes[:, rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        self._sums[:, own_y, columns] += weight * inner
        self._weights[own_y, columns] += weight

    def finish_row(self, *, last: bool) -> Planes:
        """Return the rows that no later window reaches, and go on to the next row of windows."""
        done = len(self._weights) if last else self._core
        rows = slice(max(0, -self._top), min(done, self._height - self._top))
        weight = np.maximum(self._weights[rows], 1)
        planes = ((self._sums[:, rows] + weight // 2) // weight).astype(np.uint8)
        for part in (self._sums, self._weights):
            kept = part[..., self._core :, :].copy()
            part[...] = 0
            part[..., : kept.shape[-2], :] = kept
        self._top += self._core
        return planes


def _mirrored(image: NDArray[np.uint8], slide: Slide, tile: Tile, card: Card) -> NDArray[np.uint8]:
    """Replace what lies beyond the slide's edges by the mirror image of what lies within."""
    width, height = (max(1, int(extent / card.mpp + 1e-6)) for extent in slide.extent_um)
    box = tile.read
    left, top = max(0, -box.x0), max(0, -box.y0)
    right, bottom = max(0, box.x1 - width), max(0, box.y1 - height)
    if not (left or top or right or bottom):
        return image
    inside = image[top : box.height - bottom, left : box.width - right]
    return np.pad(inside, ((top, bottom), (left, right), (0, 0)), mode="symmetric")
