"""What tissue is where: seven probabilities a pixel and the exclusive map of the most probable one."""

import numpy as np
from numpy.typing import NDArray

from histome.config import TissueConfig
from histome.models.card import Card
from histome.models.runtime import Predictor
from histome.qc import Quality
from histome.slide import ClassMap, ProbabilityMap, Slide, Tile, TileGrid
from histome.slide.maps import PROBABILITY_CHUNK_PX
from histome.threads import ordered_map
from histome.tissue.tissue import Tissue
from histome.tissue.zones import zone_rule

Planes = NDArray[np.uint8]


def segment_tissue(
    slide: Slide, quality: Quality, network: Predictor, config: TissueConfig, *, workers: int = 1
) -> Tissue:
    """Return the tissue of a slide, from the network's fixed windows that hold valid tissue.

    Its maps lie at the card's mpp times its stride.

    The windows form one lattice given by the card, so the result does not depend on `workers`. Pixels outside
    the slide are its mirror image to the network: a small field on white would look like a biopsy on glass.
    """
    card = network.card
    map_mpp = card.mpp * card.stride
    shape = slide.shape_at(map_mpp)
    probabilities = ProbabilityMap.empty(shape, map_mpp, card.classes)
    codes = np.zeros(shape, np.uint8)
    # The lattice covers whole map pixels: an odd last input pixel belongs to one too.
    grid = TileGrid((shape[1] * card.stride, shape[0] * card.stride), card.core_px, card.halo_px)
    band = _ChunkRows(probabilities, card.core_px // card.stride)
    wanted = [tile for tile in grid if _has_valid(quality.map, tile, card)]
    # At most two windows a worker are held.
    found = ordered_map(lambda tile: _predict(slide, network, tile), wanted, workers, ahead=2 * workers - 1)
    row = 0
    for tile, planes in zip(wanted, found, strict=True):
        while row < tile.index // grid.shape[1]:
            band.next_row()
            row += 1
        box = _map_box(tile, card)
        codes[box] = _exclusive(planes, _valid_in(quality.map, box, map_mpp))
        band.put(planes, box)
    band.close()
    tissue = ClassMap(codes, map_mpp, card.classes, frame=slide.frame)
    return Tissue.of(tissue, probabilities, rule=zone_rule(config), workers=workers)


def _predict(slide: Slide, network: Predictor, tile: Tile) -> Planes:
    """round(255 p) of the tile's core, uint8 (classes, h, w), cut at the slide's edge."""
    card = network.card
    x_px, y_px = tile.read.x0 * card.mpp / slide.mpp.x, tile.read.y0 * card.mpp / slide.mpp.y
    image = slide.read(x_px, y_px, size=(card.window_px, card.window_px), mpp=card.mpp)
    probabilities = network(_mirrored(image, slide, tile, card)[None])["probabilities"][0]
    halo = card.halo_px // card.stride
    rows, columns = _map_box(tile, card)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    core = probabilities[:, halo : halo + height, halo : halo + width]
    return np.clip(np.rint(core * 255), 0, 255).astype(np.uint8)


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


def _map_box(tile: Tile, card: Card) -> tuple[slice, slice]:
    box = [edge // card.stride for edge in tile.core]
    return slice(box[1], box[3]), slice(box[0], box[2])


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
    """Collects tiles row by row and writes whole rows of chunks: each chunk is compressed once."""

    def __init__(self, target: ProbabilityMap, row_px: int) -> None:
        self._target, self._row_px = target, row_px
        classes, self._height, width = target.array.shape
        self._rows = np.zeros((classes, row_px + PROBABILITY_CHUNK_PX, width), np.uint8)
        self._first = self._filled = 0

    def put(self, planes: Planes, box: tuple[slice, slice]) -> None:
        """Place the planes of one tile of the current row."""
        rows, columns = box
        self._rows[:, rows.start - self._first : rows.stop - self._first, columns] = planes

    def next_row(self) -> None:
        """Go on to the next row of tiles; write the rows of chunks that are complete."""
        self._filled = min(self._filled + self._row_px, self._height)
        while self._filled - self._first >= PROBABILITY_CHUNK_PX:
            self._write(PROBABILITY_CHUNK_PX)

    def close(self) -> None:
        """Write what is left."""
        while self._first < self._height:
            self._write(min(PROBABILITY_CHUNK_PX, self._height - self._first))

    def _write(self, count: int) -> None:
        done = self._rows[:, :count]
        if done.any():
            self._target.array[:, self._first : self._first + count] = done
        self._rows = np.concatenate([self._rows[:, count:], np.zeros_like(done)], axis=1)
        self._first += count
