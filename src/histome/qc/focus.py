"""Focus: the ratio of the finest structure to nuclear structure, which tissue and stain hardly change.

Defocus removes fine detail first. In optical density at 1 um/px, f = ln(E_fine / E_nuclear), with E the mean
absolute response of the band below 0.7 um and of the band between 1.4 and 2.8 um (Gaussian sigmas). Measured
on blocks of 64 um of 150 real fields of seven data sets: sharp -0.06 (lowest 0.5 %: -0.81); blurred by a
disc of radius 2 um -1.20 and 3 um -1.47 (highest 1 %: -1.13), by a Gaussian of sigma 1.5 um -1.41 (-1.10).
The area under the ROC curve between sharp and blurred is 0.994 for a disc of 1.5 um and 1.000 from 2 um up.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.slide import Slide, TileGrid
from histome.slide.stain import to_od

Mask = NDArray[np.bool_]

FOCUS_MPP = 1.0
BLOCK_UM = 32.0
# Mucus, fat and hyaline matter show no structure to judge by (nuclear band under 0.004): nothing is said of
# them.
_MIN_STRUCTURE = 0.004
# Fewer than 8 blocks (90 x 90 um) are an accident of the texture.
_MIN_BLOCKS = 8
_CORE_PX, _HALO_PX = 1024, 16
# One table look-up and one sum: five times as fast as the same through whole-image arrays.
_OD_OF_BYTE = to_od(np.arange(256, dtype=np.uint8))
_MEAN_OF_CHANNELS = np.full((1, 3), 1 / 3, np.float32)


def focus_is_blind(mpp: float) -> bool:
    """Whether a slide of this um/px is so coarse that it shows no detail that could be lost."""
    return mpp > 1.05 * FOCUS_MPP


def measure_focus(slide: Slide, tissue: Mask, *, mpp: float) -> NDArray[np.float32]:
    """Return f on blocks of `BLOCK_UM`, float32; nan without tissue or structure, or on a coarse slide.

    `tissue` is a map at `mpp`. Only windows with tissue are read.
    """
    per_block = round(BLOCK_UM / mpp)
    shape = tuple(-(-n // per_block) for n in tissue.shape)
    sums = np.zeros((3, *shape), np.float64)
    if not focus_is_blind(max(slide.mpp.x, slide.mpp.y)):
        height, width = slide.shape_at(FOCUS_MPP)
        for tile in TileGrid((width, height), _CORE_PX, _HALO_PX):
            _add_tile(sums, slide, tissue, box=(tile.x, tile.y), scale=round(mpp / FOCUS_MPP))
    return _ratio(sums)


def _add_tile(
    sums: NDArray[np.float64], slide: Slide, tissue: Mask, *, box: tuple[int, int], scale: int
) -> None:
    x, y = box
    part = tissue[y // scale : (y + _CORE_PX) // scale, x // scale : (x + _CORE_PX) // scale]
    if not part.any():
        return
    side = _CORE_PX + 2 * _HALO_PX
    corner = ((x - _HALO_PX) * FOCUS_MPP / slide.mpp.x, (y - _HALO_PX) * FOCUS_MPP / slide.mpp.y)
    fine, nuclear = band_energies(slide.read(*corner, size=(side, side), mpp=FOCUS_MPP))
    core = slice(_HALO_PX, _HALO_PX + _CORE_PX)
    inside = np.zeros((_CORE_PX // scale, _CORE_PX // scale), np.float32)
    inside[: part.shape[0], : part.shape[1]] = part
    mask = np.kron(inside, np.ones((scale, scale), np.float32))
    block = int(BLOCK_UM / FOCUS_MPP)
    planes = (fine[core, core] * mask, nuclear[core, core] * mask, mask)
    r, c = y // block, x // block
    target = sums[:, r : r + _CORE_PX // block, c : c + _CORE_PX // block]
    for k, plane in enumerate(planes):
        target[k] += _block_sums(plane, block)[: target.shape[1], : target.shape[2]]


def band_energies(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the absolute response of the fine and of the nuclear band for (h, w, 3) pixels at 1 um/px."""
    density = cv2.transform(cv2.LUT(rgb, _OD_OF_BYTE), _MEAN_OF_CHANNELS)
    soft = [cv2.GaussianBlur(density, (0, 0), sigma) for sigma in (0.7, 1.4, 2.8)]
    return np.abs(density - soft[0]), np.abs(soft[1] - soft[2])


def _block_sums(plane: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    n = plane.shape[0] // block
    return plane.reshape(n, block, n, block).sum(axis=(1, 3), dtype=np.float64)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return f from sums over 3 x 3 blocks, where there is enough tissue and structure."""
    fine, nuclear, area = (cv2.blur(plane, (3, 3), borderType=cv2.BORDER_CONSTANT) for plane in sums)
    own = sums[2] > 0
    judged = own & (nuclear > _MIN_STRUCTURE * area) & (area > 0)
    f = np.full(area.shape, np.nan, np.float32)
    f[judged] = np.log(np.maximum(fine[judged], 1e-9) / nuclear[judged])
    return f


def find_out_of_focus(focus: NDArray[np.float32], tissue: Mask, *, mpp: float, below: float) -> Mask:
    """Return the tissue whose focus is under `below`, in patches of 90 x 90 um (or half a tiny field)."""
    soft = np.nan_to_num(focus, nan=np.inf) < below
    judged = int(np.count_nonzero(np.isfinite(focus)))
    count, found, stats, _ = cv2.connectedComponentsWithStats(soft.astype(np.uint8), connectivity=4)
    labels: NDArray[np.int32] = found.astype(np.int32)
    large = stats[:count, cv2.CC_STAT_AREA] >= min(_MIN_BLOCKS, max(1, judged // 2))
    large[0] = False
    per_block = round(BLOCK_UM / mpp)
    whole = np.kron(large[labels], np.ones((per_block, per_block), bool))
    return whole[: tissue.shape[0], : tissue.shape[1]] & tissue
