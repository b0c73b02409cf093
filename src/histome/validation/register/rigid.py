"""The coarse place of one picture on another: every angle, mirrored or not, and the best shift of each."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.validation.register.grays import Gray

_STEP_DEG = 7.5
_APART_DEG = 20.0


class RigidStart(NamedTuple):
    """Where the moving picture lies on the fixed one.

    Attributes
    ----------
    matrix : (2, 3) float64
        Fixed um -> moving um.
    correlation : float
        Of the two pictures there, -1 to 1.
    """

    matrix: NDArray[np.float64]
    correlation: float


def search_rigid(fixed: Gray, moving: Gray, mpp: float, *, kept: int = 6) -> list[RigidStart]:
    """Try every 7.5 degrees, with and without a mirror; the shift of each is the peak of its correlation.

    Returns the best ones, 20 degrees apart or more: a round piece of tissue fits itself at any angle, and
    only what lies inside tells which one is right.

    Parameters
    ----------
    fixed, moving : (h, w) float32
        Density of all stains, 0 where there is glass, both at `mpp` (some hundred px a side).
    """
    side = cv2.getOptimalDFTSize(int(np.ceil(np.hypot(*fixed.shape) + np.hypot(*moving.shape))))
    spectrum, norm = _spectrum(fixed - fixed.mean(), side)
    found: list[tuple[float, float, RigidStart]] = []
    for mirror in (1.0, -1.0):
        for degrees in np.arange(0, 360, _STEP_DEG).tolist():
            turned, matrix = _turned(moving, degrees, mirror)
            other, other_norm = _spectrum(turned, side)
            surface = np.fft.irfft2(spectrum * np.conj(other), s=(side, side))
            y, x = divmod(int(surface.argmax()), side)
            correlation = float(surface[y, x]) / max(norm * other_norm, 1e-9)
            shift = np.array([(k + side // 2) % side - side // 2 for k in (x, y)], float)
            found.append((mirror, degrees, RigidStart(_in_um(matrix, shift, mpp), correlation)))
    found.sort(key=lambda each: -each[2].correlation)
    best: list[tuple[float, float, RigidStart]] = []
    for mirror, degrees, start in found:
        near = (abs((degrees - other + 180) % 360 - 180) < _APART_DEG for m, other, _ in best if m == mirror)
        if not any(near):
            best.append((mirror, degrees, start))
    return [start for _, _, start in best[:kept]]


def _spectrum(gray: NDArray[np.floating], side: int) -> tuple[NDArray[np.complexfloating], float]:
    return np.fft.rfft2(gray, s=(side, side)), float(np.linalg.norm(gray))


def _turned(gray: Gray, degrees: float, mirror: float) -> tuple[Gray, NDArray[np.float64]]:
    """The picture turned about its center onto a canvas that holds it, mean 0; and px there -> px of it."""
    height, width = gray.shape
    side = int(np.ceil(np.hypot(height, width)))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.array([[mirror, 0], [0, 1]]) @ np.array([[c, -s], [s, c]])
    # Centers of pixels are whole numbers here, as in OpenCV.
    offset = np.array([width - 1, height - 1]) / 2 - linear @ np.full(2, (side - 1) / 2)
    matrix = np.column_stack([linear, offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    inside = gray - gray.mean()
    turned = cv2.warpAffine(inside, matrix, (side, side), flags=flags, borderValue=0.0)
    return turned, matrix  # type: ignore[return-value]


def _in_um(matrix: NDArray[np.float64], shift: NDArray[np.float64], mpp: float) -> NDArray[np.float64]:
    """Px of the turned picture -> px of the moving one, as um of the fixed one -> um of the moving one."""
    linear, offset = matrix[:, :2], matrix[:, 2]
    # A pixel k has its center at (k + 0.5) mpp.
    moved = linear @ (-shift - 0.5) + offset + 0.5
    return np.column_stack([linear, moved * mpp])
