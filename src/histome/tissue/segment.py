"""What tissue is where: seven probabilities a pixel and the exclusive map of the most probable one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from histome.config import TissueConfig
from histome.geometry.interest import RegionsOfInterest
from histome.models.card import Card
from histome.models.runtime import Predictor, checked_outputs
from histome.qc import Quality
from histome.slide import ClassMap, ProbabilityMap, Slide, Tile, TileGrid
from histome.slide.maps import PROBABILITY_CHUNK_PX
from histome.slide.plain import array_slide
from histome.threads import ordered_map
from histome.tissue.tissue import Tissue
from histome.tissue.zones import zone_rule

Planes = NDArray[np.uint8]
# Weight of a window along one axis. Two axes make 256: 255 times that is still 16 bits.
_FULL = 16


def segment_tissue(
    slide: Slide,
    quality: Quality,
    network: Predictor,
    config: TissueConfig,
    *,
    regions: RegionsOfInterest | None = None,
    workers: int = 1,
    progress: Callable[[float, float], object] | None = None,
) -> Tissue:
    """Return the tissue of a slide, or of regions of interest, from the fixed windows that hold valid tissue.

    Its maps lie at the card's mpp times its stride.

    The windows form one lattice given by the card, so the result does not depend on `workers`. Where two
    meet, one fades into the other: their probabilities are averaged, weighted by a cosine that runs half a
    halo to either side of the line between their cores. Pixels outside the slide are its mirror image to the
    network: a small field on white would look like a biopsy on glass. `progress` is called with the rows of
    the map that are done and all rows.
    """
    card = network.card
    map_mpp = card.mpp * card.stride
    shape = slide.shape_at(map_mpp)
    probabilities = ProbabilityMap.empty(shape, map_mpp, card.classes)
    codes = np.zeros(shape, np.uint8)
    quality_map = quality.map if regions is None else _spread(quality.map)
    inside = None if regions is None else regions.mask(shape, mpp=map_mpp)
    wanted = [
        tile
        for tile in window_lattice(slide, card)
        if _has_valid(quality_map, tile, card) and (inside is None or _core(inside, tile, card).any())
    ]
    chunks = _ChunkRows(probabilities)
    top = 0
    for planes in blended_rows(slide, network, wanted, workers=workers):
        rows = slice(top, top + planes.shape[1])
        valid = _valid_in(quality_map, (rows, slice(0, shape[1])), map_mpp)
        codes[rows] = _exclusive(planes, valid if inside is None else valid & inside[rows])
        chunks.append(planes)
        top = rows.stop
        if progress is not None:
            progress(top, shape[0])
    chunks.close()
    tissue = ClassMap(codes, map_mpp, card.classes, frame=slide.frame)
    return Tissue.of(tissue, probabilities, rule=zone_rule(config), workers=workers)


def window_lattice(slide: Slide, card: Card) -> TileGrid:
    """Return the windows of a slide; an odd last input pixel belongs to a map pixel too."""
    height, width = slide.shape_at(card.mpp * card.stride)
    return TileGrid((width * card.stride, height * card.stride), card.core_px, card.halo_px)


def blended_rows(
    slide: Slide, network: Predictor, wanted: list[Tile], *, workers: int = 1
) -> Iterator[Planes]:
    """Yield round(255 p) of the slide from top to bottom, uint8 (classes, rows, width); 0 beyond the windows.

    Parameters
    ----------
    wanted : list of Tile
        Windows of `window_lattice` to run, in its order.
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
    windows = list(window_lattice(slide, network.card))
    return np.concatenate(list(blended_rows(slide, network, windows)), axis=1)


def _predict(slide: Slide, network: Predictor, tile: Tile) -> NDArray[np.uint8]:
    """round(255 p) of the whole window, uint8 (classes, side, side)."""
    card = network.card
    x_px, y_px = tile.read.x0 * card.mpp / slide.mpp.x, tile.read.y0 * card.mpp / slide.mpp.y
    image = slide.read(x_px, y_px, size=(card.window_px, card.window_px), mpp=card.mpp)
    outputs = checked_outputs(network, _mirrored(image, slide, tile, card)[None])
    probabilities = outputs["probabilities"][0]
    return np.clip(np.rint(probabilities * 255), 0, 255).astype(np.uint8)


class _Fades:
    """Sums the windows of one row of the lattice, each weighted; integers, so their order changes nothing."""

    def __init__(self, card: Card, lattice: TileGrid) -> None:
        self._stride, self._halo = card.stride, card.halo_px // card.stride
        self._core = card.core_px // card.stride
        self._fade = min(self._halo // 2, self._core // 2)
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
        margin = self._halo - self._fade
        left, top = tile.core.x0 // self._stride - self._fade, self._top
        columns = slice(max(0, left), min(self._width, left + len(self._ramp)))
        rows = slice(max(0, top), min(self._height, top + len(self._ramp)))
        own_x, own_y = (slice(s.start - at, s.stop - at) for s, at in ((columns, left), (rows, top)))
        weight = self._ramp[own_y, None] * self._ramp[None, own_x]
        inner = planes[:, margin:, margin:][:, own_y, own_x]
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
    box, side = tile.read, card.window_px
    left, top = max(0, -box.x0), max(0, -box.y0)
    right, bottom = max(0, box.x1 - width), max(0, box.y1 - height)
    if not (left or top or right or bottom):
        return image
    inside = image[top : side - bottom, left : side - right]
    return np.pad(inside, ((top, bottom), (left, right), (0, 0)), mode="symmetric")


def _spread(quality_map: ClassMap) -> ClassMap:
    """Give what was not analyzed the nearest quality: a pixel of 8 um may lie partly in a region."""
    unknown = quality_map.array == 0
    if not unknown.any() or unknown.all():
        return quality_map
    rows, columns = np.asarray(distance_transform_edt(unknown, return_distances=False, return_indices=True))
    return replace(quality_map, array=quality_map.array[rows, columns])


def _core(inside: NDArray[np.bool_], tile: Tile, card: Card) -> NDArray[np.bool_]:
    """Return the pixels of a mask at the map's resolution in a window's core."""
    x0, y0, x1, y1 = tile.core
    return inside[y0 // card.stride : -(-y1 // card.stride), x0 // card.stride : -(-x1 // card.stride)]


def _has_valid(quality_map: ClassMap, tile: Tile, card: Card) -> bool:
    """Whether any part of the tile's core is valid tissue."""
    scale = card.mpp / quality_map.mpp
    x0, y0, x1, y1 = tile.core
    rows = slice(int(y0 * scale), int(np.ceil(y1 * scale)))
    columns = slice(int(x0 * scale), int(np.ceil(x1 * scale)))
    return bool((quality_map.array[rows, columns] == quality_map.code("VALID_TISSUE")).any())


def _valid_in(quality_map: ClassMap, box: tuple[slice, slice], mpp: float) -> NDArray[np.bool_]:
    """Whether the center of each map pixel of the box is valid tissue."""
    y_um, x_um = ((np.arange(part.start, part.stop) + 0.5) * mpp for part in box)
    return quality_map.at(x_um[None, :], y_um[:, None]) == quality_map.code("VALID_TISSUE")


def _exclusive(planes: Planes, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Code of the most probable class (the first of equals) where valid, else 0."""
    return np.where(valid, planes.argmax(axis=0) + 1, 0).astype(np.uint8)


class _ChunkRows:
    """Collects rows from top to bottom and writes whole rows of chunks: each chunk is compressed once."""

    def __init__(self, target: ProbabilityMap) -> None:
        self._target = target
        self._parts: list[Planes] = []
        self._first = self._held = 0

    def append(self, planes: Planes) -> None:
        """Take the next rows; write the rows of chunks that are complete."""
        self._parts.append(planes)
        self._held += planes.shape[1]
        while self._held >= PROBABILITY_CHUNK_PX:
            self._write(PROBABILITY_CHUNK_PX)

    def close(self) -> None:
        """Write what is left."""
        self._write(self._held)

    def _write(self, count: int) -> None:
        held = np.concatenate(self._parts, axis=1)
        if held[:, :count].any():
            self._target.array[:, self._first : self._first + count] = held[:, :count]
        self._parts = [held[:, count:]]
        self._first += count
        self._held -= count
