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
        yield fades.finish_row()


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
    """Sums the windows of one row of the lattice, each weighted; integers, so their order changes nothing.

    Windows come from left to right: memory holds the sums under the last one and along the border to the row
    below (16 bits), and what is done of the row (8 bits). The last plane of the sums is that of the weights.
    """

    def __init__(self, card: Card, lattice: TileGrid) -> None:
        self._stride, self._core = card.stride, card.core_px // card.stride
        self._fade = fade_px(card) // card.stride
        self._width, self._height = (edge // card.stride for edge in lattice.extent_px)
        planes, side = len(card.classes) + 1, self._core + 2 * self._fade
        self._sums = np.zeros((planes, side, side), np.uint16)
        self._border = np.zeros((planes, 2 * self._fade, self._width), np.uint16)
        up = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * self._fade) + 0.5) / max(1, 2 * self._fade))
        rise = np.rint(_FULL * up).astype(np.uint16)
        self._ramp = np.concatenate(
            [rise, np.full(self._core - 2 * self._fade, _FULL, np.uint16), _FULL - rise]
        )
        self._top = -self._fade - self._core
        self._begin_row()

    def _begin_row(self) -> None:
        self._top += self._core
        self._left = 0
        last = self._top + self._fade + self._core >= self._height
        rows = self._core + 2 * self._fade if last else self._core
        self._planes = np.zeros((len(self._sums) - 1, rows, self._width), np.uint8)

    def add(self, planes: Planes, tile: Tile) -> None:
        """Add a window of the current row, to the right of those before it."""
        left, top = tile.core.x0 // self._stride - self._fade, self._top
        self._finish_to(max(0, left))
        x0, y0, x1, y1 = (edge // self._stride for edge in tile.read)
        columns = slice(max(0, left, x0), min(self._width, left + len(self._ramp), x1))
        rows = slice(max(0, top, y0), min(self._height, top + len(self._ramp), y1))
        own_x, own_y = (slice(s.start - at, s.stop - at) for s, at in ((columns, left), (rows, top)))
        weight = self._ramp[own_y, None] * self._ramp[None, own_x]
        inner = planes[:, rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        sums = self._sums[:, own_y, columns.start - self._left : columns.stop - self._left]
        sums[:-1] += weight * inner
        sums[-1] += weight

    def _finish_to(self, column: int) -> None:
        """Finish the columns before one, which no later window of the row reaches."""
        summed = min(column, self._left + self._sums.shape[2])
        columns, beyond = slice(self._left, summed), slice(summed, column)
        sums = self._sums[:, :, : summed - self._left]
        sums[:, : 2 * self._fade] += self._border[:, :, columns]
        self._planes[:, :, columns] = _mean(sums[:, : self._planes.shape[1]])
        self._planes[:, : 2 * self._fade, beyond] = _mean(self._border[:, :, beyond])
        self._border[:, :, columns] = sums[:, self._core :]
        self._border[:, :, beyond] = 0
        kept = self._sums[:, :, summed - self._left :].copy()
        self._sums[...] = 0
        self._sums[:, :, : kept.shape[2]] = kept
        self._left = column

    def finish_row(self) -> Planes:
        """Return the rows that no later window reaches, and go on to the next row of windows."""
        self._finish_to(self._width)
        planes = self._planes[:, max(0, -self._top) : self._height - self._top]
        self._begin_row()
        return planes


def _mean(sums: NDArray[np.uint16]) -> Planes:
    """Return the planes of weighted sums, 0 without weight; the last plane is the weights."""
    weight = np.maximum(sums[-1], 1)
    return ((sums[:-1] + weight // 2) // weight).astype(np.uint8)


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
