"""What every decoder takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.models.card import Basins, Card, PixelVotes, Thresholds

Maps = Mapping[str, NDArray[np.float32]]


def by_cells(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return planes (k, h, w) as (h, w, k), so that what is said of a cell of the grid is read at one place.

    Without a copy where they lie so in memory, as OpenVINO gives the many planes of rays. The planes of a
    window of 1024 px lie 1 MiB apart else, and one cell's 32 values push each other out of every cache.
    """
    cells = np.moveaxis(planes, 0, -1)
    if cells.flags.c_contiguous:
        return cells
    count, height, width = planes.shape
    flat = np.ascontiguousarray(planes).reshape(count, height * width)
    return np.asarray(cv2.transpose(flat), np.float32).reshape(height, width, count)


class Decoded(NamedTuple):
    """n nuclei of one window.

    Attributes
    ----------
    outlines : (n, corners, 2) float64, px
        x, y in input pixels, from +x to +y.
    scores : (n,) float32, 0-1
        Object probability.
    logits : (n, 9) float64
        Class evidence in the order of `CELL_CLASSES`, before the softmax.
    labels : (h, w) int32
        Instance map at the input's resolution: 0 background, row i of the others is i + 1.
    """

    outlines: NDArray[np.float64]
    scores: NDArray[np.float32]
    logits: NDArray[np.float64]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class DecodeSettings:
    """What a decoder goes by beside the outputs; of a model, what its card says.

    Attributes
    ----------
    mpp : float, um/px
        Of the input.
    thresholds : Thresholds
        `models.tasks` says which of them a task uses.
    stride : int, px
        Input pixels per pixel of the outputs.
    corners : int
        Of each outline; a `stardist` or `star` model has one a ray.
    cell_classes : tuple of str
        Our cell class of each class but background; not of a `stardist` model.
    votes : PixelVotes or None
        Of a `seed` model.
    basins : Basins or None
        Of a `basin` model.
    """

    mpp: float
    thresholds: Thresholds
    stride: int = 1
    corners: int = 32
    cell_classes: tuple[str, ...] = ()
    votes: PixelVotes | None = None
    basins: Basins | None = None

    @classmethod
    def of(cls, card: Card) -> Self:
        """Return the settings of a card's model."""
        corners, told = card.n_rays, {"votes": card.votes, "basins": card.basins}
        return cls(card.mpp, card.thresholds, card.stride, corners, card.cell_classes, **told)
