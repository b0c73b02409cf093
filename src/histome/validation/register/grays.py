"""H&E and IHC as gray images that look alike: the density of hematoxylin, and of all stains together."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.slide.stain import DAB_RGB_OD, HEMATOXYLIN_RGB_OD, hematoxylin_eosin_od, to_od, unmixing

_TISSUE_OD = 0.08
_LEAST_TISSUE = 0.005

Gray = NDArray[np.float32]


class GrayPair(NamedTuple):
    """Density images of one picture.

    Attributes
    ----------
    nuclei : (h, w) float32
        Hematoxylin, OD.
    all : (h, w) float32
        Mean OD of the three channels.
    mpp : float, um/px
        Of both.
    """

    nuclei: Gray
    all: Gray
    mpp: float


def gray_pair(rgb: NDArray[np.uint8], mpp: float, *, dab: bool) -> GrayPair:
    """Separate the stains of a picture; raises DataError where it is all but empty."""
    stains = to_od(rgb) @ unmixing(HEMATOXYLIN_RGB_OD, DAB_RGB_OD) if dab else hematoxylin_eosin_od(rgb)
    all_ = to_od(rgb).mean(-1, dtype=np.float32)
    if (all_ > _TISSUE_OD).mean() < _LEAST_TISSUE:
        raise DataError(f"the {'IHC' if dab else 'H&E'} picture is empty: no tissue to lay over the other.")
    return GrayPair(np.clip(stains[..., 0], 0, 2), np.clip(all_, 0, 1.5), mpp)


def shrunk(gray: Gray, mpp: float, to_mpp: float) -> Gray:
    """A gray image at a coarser resolution, by area."""
    size = [max(1, round(side * mpp / to_mpp)) for side in gray.shape[::-1]]
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
