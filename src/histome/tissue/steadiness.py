"""Whether a map depends on where the tissue lies: the same pixels moved, and flips where windows meet."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.models.blended import predict_field
from histome.models.runtime import Predictor

# Of the same pixels, at any two places.
LEAST_AGREEMENT = 0.95
# Share of neighbors of two classes where windows meet, as a multiple of that elsewhere.
MOST_FLIPS = 2.0
# A field without borders has no flips to compare with: 0.5 % of the pairs are let pass.
_FEW_FLIPS = 0.005

RgbPixels = NDArray[np.uint8]
Codes = NDArray[np.integer]


class Steadiness(NamedTuple):
    """How far a field's map depends on where the field lies.

    Attributes
    ----------
    agreement : float
        Share of the field's pixels of the same class at two places; the smallest of the three pairs.
    at_seam : float
        Share of neighboring pixels of two classes across the lines where four windows meet.
    same_place : float
        The same where the field lies so that no windows meet there.
    elsewhere : float
        Median share over the field's other rows and columns.
    """

    agreement: float
    at_seam: float
    same_place: float
    elsewhere: float

    @property
    def agrees(self) -> bool:
        """Whether moving the field changes at most 5 % of its pixels."""
        return self.agreement >= LEAST_AGREEMENT

    @property
    def seamless(self) -> bool:
        """Whether classes change where windows meet at most twice as often as they would without."""
        usual = max(self.same_place, self.elsewhere, _FEW_FLIPS)
        return self.at_seam <= MOST_FLIPS * usual


def measure_steadiness(network: Predictor, pixels: RgbPixels) -> Steadiness:
    """Map a field at three places of its own mirror image: once four windows meet in its middle.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        At the card's mpp; sides of at most a window's core keep two of the places within one window.
    """
    card = network.card
    middle = [card.core_px - side // 2 for side in pixels.shape[:2]]
    # No two places are the same modulo 32 px, the coarsest stride of the networks there are.
    offsets = [tuple(max(0, at) // card.stride * card.stride for at in middle), (46, 54), (80, 14)]
    maps = [_map_at(network, pixels, *offset) for offset in offsets]
    agreement = min(float((a == b).mean()) for k, a in enumerate(maps) for b in maps[:k])
    seam = [(card.core_px - at) // card.stride for at in offsets[0]]
    rows, columns = _flips(maps[0])
    there = float(np.mean([rows[seam[0] - 1], columns[seam[1] - 1]]))
    before = [flips[at - 1] for flips, at in zip(_flips(maps[1]), seam, strict=True)]
    others = np.concatenate([np.delete(rows, seam[0] - 1), np.delete(columns, seam[1] - 1)])
    return Steadiness(agreement, there, float(np.mean(before)), float(np.median(others)))


def _map_at(network: Predictor, pixels: RgbPixels, down: int, right: int) -> Codes:
    """The field's part of the map of a canvas on which it lies there."""
    stride, (h, w) = network.card.stride, pixels.shape[:2]
    # 64 um of mirror image on the other sides too.
    room = round(64 / network.card.mpp)
    canvas = np.pad(pixels, ((down, room), (right, room), (0, 0)), mode="symmetric")
    codes = predict_field(network, canvas).argmax(axis=0)
    return codes[down // stride : (down + h) // stride, right // stride : (right + w) // stride]


def _flips(codes: Codes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of pairs of two classes across each line between rows, and between columns."""
    return (codes[1:] != codes[:-1]).mean(axis=1), (codes[:, 1:] != codes[:, :-1]).mean(axis=0)
