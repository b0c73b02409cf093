"""Whole slides laid over each other, and the restained one written as it lies on the H&E, block by block."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.phantom.pyramid import BLOCK_PX, write_pyramid
from histome.slide import Slide
from histome.slide.maps import OME_UUID
from histome.validation.register.fit import Registered, RgbImage, register_pair
from histome.validation.register.pictures import save_overlap, warped
from histome.validation.register.warp import Warp

# Longest side of what is laid over each other, if nothing else is asked.
_FIT_PX = 1500
_MOST_FIT_PX = 2**28

# The field of shifts is linear over hundreds of um: between places some px apart it is interpolated.
_STEP_PX = 16


class LaidOver(NamedTuple):
    """Two slides laid over each other: the transform, what was compared (H&E, IHC) and its um/px."""

    found: Registered
    pictures: tuple[RgbImage, RgbImage]
    mpp: float

    def save(self, out: Path) -> None:
        """Write transform.npz and overlap.png."""
        fixed, moving = self.pictures
        self.found.warp.save(out / "transform.npz")
        save_overlap(out / "overlap.png", fixed, warped(moving, self.found.warp, self.mpp, fixed.shape[:2]))


def lay_over(fixed: Slide, moving: Slide, *, fit_mpp: float | None = None) -> LaidOver:
    """Register two slides (see `register_pair`) at `fit_mpp`; 1,500 px along the longer side if None."""
    mpps = fixed.mpp.x, moving.mpp.x
    at = max(fit_mpp or max(*fixed.extent_um, *moving.extent_um) / _FIT_PX, *mpps)
    pictures = _whole(fixed, at), _whole(moving, at)
    return LaidOver(register_pair(*pictures, at, mpps=mpps), pictures, at)


def _whole(slide: Slide, mpp: float) -> RgbImage:
    height, width = slide.shape_at(mpp)
    if height * width > _MOST_FIT_PX:
        raise DataError(f"{slide.id} has {width} x {height} px at {mpp:g} um/px: compare at coarser ones.")
    return slide.read(0, 0, size=(width, height), mpp=mpp)


def write_warped(path: Path, moving: Slide, warp: Warp, extent_um: tuple[float, float], mpp: float) -> None:
    """Write the moving slide on the fixed one's pixels as a pyramidal OME-TIFF.

    Parameters
    ----------
    extent_um : (float, float), um
        Width and height of the fixed slide.
    mpp : float, um/px
        Of what is written; what lies outside of the moving slide is white.
    """
    width, height = (max(1, round(side / mpp)) for side in extent_um)
    write_pyramid(
        path, (width, height), mpp, lambda x, y: warped_block(moving, warp, (x, y), mpp), ome=OME_UUID
    )


def warped_block(
    moving: Slide, warp: Warp, corner_px: tuple[int, int], mpp: float
) -> NDArray[np.uint8] | None:
    """(1024, 1024, 3) pixels at `mpp` from a corner of the fixed slide; None where the moving has none."""
    at = _places(warp, corner_px, mpp)
    low, high = np.floor(at.min((0, 1))) - 1, np.ceil(at.max((0, 1))) + 2
    ends = np.array(moving.extent_um) / mpp
    low, high = np.clip(low, 0, ends), np.clip(high, 0, ends)
    width, height = np.ceil(high - low).astype(int)
    if min(width, height) < 1:
        return None
    step = mpp / np.array([moving.mpp.x, moving.mpp.y])
    pixels = moving.read(*(np.floor(low) * step).tolist(), size=(int(width) + 1, int(height) + 1), mpp=mpp)
    # Centers of pixels are whole numbers for OpenCV.
    local = (at - np.floor(low) - 0.5).astype(np.float32)
    white = (255, 255, 255)
    return cv2.remap(  # type: ignore[return-value]
        pixels,
        local[..., 0],
        local[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=white,
    )


def _places(warp: Warp, corner_px: tuple[int, int], mpp: float) -> NDArray[np.float64]:
    """(1024, 1024, 2) where each pixel's center lies on the moving slide, px of `mpp`."""
    coarse = np.arange(0, BLOCK_PX + _STEP_PX, _STEP_PX, dtype=np.float64)
    x, y = np.meshgrid(coarse + corner_px[0], coarse + corner_px[1])
    nodes = warp.forward(np.stack([x.ravel(), y.ravel()], axis=1) * mpp) / mpp
    nodes = nodes.reshape(len(coarse), len(coarse), 2)
    inner = (np.arange(BLOCK_PX) + 0.5) / _STEP_PX
    left, share = np.floor(inner).astype(int), inner % 1
    rows = nodes[left] * (1 - share)[:, None, None] + nodes[left + 1] * share[:, None, None]
    return rows[:, left] * (1 - share)[None, :, None] + rows[:, left + 1] * share[None, :, None]
