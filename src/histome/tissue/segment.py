"""What tissue is where: seven probabilities a pixel and the exclusive map of the most probable one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from histome.config import TissueConfig
from histome.geometry.interest import RegionsOfInterest
from histome.models.blended import Planes, blended_rows, fade_px, window_lattice
from histome.models.card import Card
from histome.models.runtime import Predictor
from histome.qc import Quality
from histome.slide import Box, ClassMap, ProbabilityMap, Slide, Tile, TileGrid
from histome.slide.maps import PROBABILITY_CHUNK_PX
from histome.slide.tiles import box_of
from histome.temporary import keeping, temporary_file
from histome.tissue.tissue import Tissue
from histome.tissue.zones import zone_rule

# As a line about the disk names it.
_WAITING = "probabilities"


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

    Its maps lie at the card's mpp times its stride. See `tissue_map` for the windows, the threads and
    `progress`.
    """
    options = {"regions": regions, "workers": workers, "progress": progress}
    tissue, probabilities = tissue_map(slide, quality, network, **options)
    return Tissue.of(tissue, probabilities, rule=zone_rule(config), workers=workers)


def tissue_map(
    slide: Slide,
    quality: Quality,
    network: Predictor,
    *,
    regions: RegionsOfInterest | None = None,
    workers: int = 1,
    progress: Callable[[float, float], object] | None = None,
) -> tuple[ClassMap, ProbabilityMap]:
    """Return the exclusive map and the probabilities that it is of: all that needs the network.

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
    asked = [(quality_map.mask("VALID_TISSUE"), card.mpp / quality_map.mpp)]
    asked += [] if inside is None else [(inside, 1 / card.stride)]
    wanted = _windows(window_lattice(slide, card), card, asked)
    chunks = _ChunkRows(probabilities)
    top = 0
    for planes in blended_rows(slide, network, wanted, workers=workers):
        rows = slice(top, top + planes.shape[1])
        valid = _valid_in(quality_map, (rows, slice(0, shape[1])), map_mpp)
        codes[rows] = _exclusive(planes, valid if inside is None else valid & inside[rows])
        chunks.append(planes)
        top = rows.stop
        del planes, valid  # before the next ones are made
        if progress is not None:
            progress(top, shape[0])
    chunks.close()
    return ClassMap(codes, map_mpp, card.classes, frame=slide.frame), probabilities


def _spread(quality_map: ClassMap) -> ClassMap:
    """Give what was not analyzed the nearest quality: a pixel of 8 um may lie partly in a region."""
    unknown = quality_map.array == 0
    if not unknown.any() or unknown.all():
        return quality_map
    rows, columns = np.asarray(distance_transform_edt(unknown, return_distances=False, return_indices=True))
    return replace(quality_map, array=quality_map.array[rows, columns])


def _windows(lattice: TileGrid, card: Card, asked: list[tuple[NDArray[np.bool_], float]]) -> list[Tile]:
    """Return the windows whose core holds true pixels of every mask (each with its pixels an input pixel).

    Each is cut, where the card allows, to those of the last mask that it counts for and a halo round them.
    """
    wanted, fade = [], fade_px(card)
    for tile in lattice:
        if all(mask[_place(tile.core, scale)].any() for mask, scale in asked):
            mask, scale = asked[-1]
            x0, y0, x1, y1 = tile.core
            rows, columns = _place(Box(x0 - fade, y0 - fade, x1 + fade, y1 + fade), scale)
            seen = box_of(mask[rows, columns], corner=(columns.start, rows.start), scale=1 / scale)
            wanted.append(tile.cut(seen, around_px=card.halo_px, step_px=card.cut_px))
    return wanted


def _place(box: Box, scale: float) -> tuple[slice, slice]:
    """Return the rows and columns of a mask that a box of input pixels lies on."""
    low = (max(0, int(edge * scale)) for edge in (box.y0, box.x0))
    high = (int(np.ceil(edge * scale)) for edge in (box.y1, box.x1))
    rows, columns = map(slice, low, high)
    return rows, columns


def _valid_in(quality_map: ClassMap, box: tuple[slice, slice], mpp: float) -> NDArray[np.bool_]:
    """Whether the center of each map pixel of the box is valid tissue."""
    places, inside = [], []
    for part, origin, side in zip(box, quality_map.origin_px[::-1], quality_map.array.shape, strict=True):
        center_um = (np.arange(part.start, part.stop) + 0.5) * mpp
        place = np.floor(center_um / quality_map.mpp).astype(np.int64) - origin
        inside.append((place >= 0) & (place < side))
        places.append(np.clip(place, 0, side - 1))
    valid = quality_map.mask("VALID_TISSUE")[np.ix_(*places)]
    valid &= inside[0][:, None] & inside[1]
    return valid


def _exclusive(planes: Planes, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Code of the most probable class (the first of equals) where valid, else 0."""
    codes, most = np.ones(valid.shape, np.uint8), planes[0].copy()
    for k, plane in enumerate(planes[1:], start=2):
        codes[plane > most] = k
        np.maximum(most, plane, out=most)
    codes[~valid] = 0
    return codes


class _ChunkRows:
    """Collects rows from top to bottom and writes whole rows of chunks: each chunk is compressed once.

    Rows wait in a file: 512 of seven classes of a slide 80 mm wide are 150 MB.
    """

    def __init__(self, target: ProbabilityMap) -> None:
        self._target, self._width = target, target.array.shape[2]
        with keeping(_WAITING):
            self._file = temporary_file(self)
        self._first, self._held = 0, 0

    def append(self, planes: Planes) -> None:
        """Take the next rows; write the rows of chunks that are complete."""
        while planes.shape[1]:
            taken = planes[:, : PROBABILITY_CHUNK_PX - self._held]
            with keeping(_WAITING):
                for k, rows in enumerate(taken):
                    self._file.seek((k * PROBABILITY_CHUNK_PX + self._held) * self._width)
                    self._file.write(np.ascontiguousarray(rows).data)
                self._file.flush()
            self._held += taken.shape[1]
            planes = planes[:, taken.shape[1] :]
            if self._held == PROBABILITY_CHUNK_PX:
                self.close()

    def close(self) -> None:
        """Write what is held, one class at a time."""
        rows = slice(self._first, self._first + self._held)
        for k in range(self._target.array.shape[0] if self._held else 0):
            with keeping(_WAITING):
                self._file.seek(k * PROBABILITY_CHUNK_PX * self._width)
                plane = np.fromfile(self._file, np.uint8, self._held * self._width)
            if plane.any():
                self._target.put(k, rows, plane.reshape(-1, self._width))
        self._first, self._held = rows.stop, 0
