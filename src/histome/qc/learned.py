"""What a network says of quality, as masks on the quality map's grid."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from histome.classes import QC_CLASSES
from histome.geometry import morphology
from histome.models.blended import Planes, blended_rows, window_lattice
from histome.models.runtime import Predictor
from histome.slide import Slide, Tile

Mask = NDArray[np.bool_]
# Smaller than 45 x 45 um is a speckle of the network, and hides a few nuclei at most where it is none.
_LEAST_UM2 = 2_000.0


def find_learned(
    slide: Slide, tissue: Mask, network: Predictor, *, mpp: float, workers: int = 1
) -> dict[str, Mask]:
    """Return where each class but valid tissue is the likeliest, bool like `tissue` at `mpp`, by name.

    The network runs on the windows that hold tissue; its probabilities are averaged over each pixel of the
    map. Elsewhere nothing is found, nor pieces of tissue refused that are smaller than 45 x 45 um.
    """
    card = network.card
    side = round(mpp / (card.mpp * card.stride))
    wanted = [tile for tile in window_lattice(slide, card) if _any_in(tissue, tile, card.mpp / mpp)]
    codes = np.full(tissue.shape, -1)
    top = 0
    for planes in _whole_pixels(blended_rows(slide, network, wanted, workers=workers), side):
        means = _mean_blocks(planes, side)
        rows, columns = (min(a, b) for a, b in zip(means.shape[1:], codes[top:].shape, strict=True))
        part = means[:, :rows, :columns]
        codes[top : top + rows, :columns] = np.where(part.any(axis=0), part.argmax(axis=0), -1)
        top += means.shape[1]
    found = {name: tissue & (codes == k) for k, name in enumerate(QC_CLASSES) if name != "VALID_TISSUE"}
    large = morphology.keep_large(np.logical_or.reduce(list(found.values())), _LEAST_UM2 / mpp**2)
    return {name: mask & large for name, mask in found.items()}


def _any_in(tissue: Mask, tile: Tile, scale: float) -> bool:
    x0, y0 = (int(np.floor(edge * scale)) for edge in tile.core[:2])
    x1, y1 = (int(np.ceil(edge * scale)) for edge in tile.core[2:])
    return bool(tissue[y0:y1, x0:x1].any())


def _whole_pixels(parts: Iterator[Planes], side: int) -> Iterator[Planes]:
    """Yield the rows again in multiples of `side`, the last ones as they are."""
    held: Planes | None = None
    for part in parts:
        held = part if held is None else np.concatenate([held, part], axis=1)
        whole = held.shape[1] // side * side
        if whole:
            yield held[:, :whole]
        held = held[:, whole:]
    if held is not None and held.shape[1]:
        yield held


def _mean_blocks(planes: Planes, side: int) -> NDArray[np.float64]:
    """Mean of each block of side x side pixels; blocks at the far edges are as small as what is there."""
    sums = planes.astype(np.float64)
    for axis in (1, 2):
        starts = np.arange(0, planes.shape[axis], side)
        counts = np.diff(np.append(starts, planes.shape[axis]))
        shape = [1, 1, 1]
        shape[axis] = len(starts)
        sums = np.add.reduceat(sums, starts, axis=axis) / counts.reshape(shape)
    return sums
