"""Where places of a picture went beyond an affine transform: a smooth flow that makes two locally alike."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.validation.register.grays import Gray

_COARSEST_PX = 128
# Chosen on six real pairs of neighboring sections all together (windows of 9 and 17 px, smoothing of 8 to
# 24): of most settings near these the landmarks are within 4 % of each other.
_RADIUS_PX = 4
_SMOOTH_PX = 16.0
_STIFF_PX = 2.0
_STEP_PX = 0.25
# More at coarse levels makes neighboring sections worse: what there is alike by chance pulls.
_COARSE_STEPS, _FINE_STEPS = 15, 60
_FINE_LEVELS = 2
# OD^2: less is the noise of glass.
_NOISE = np.float32(1e-3)

Field = NDArray[np.float32]


class Flow(NamedTuple):
    """Shifts, and what they gained.

    Attributes
    ----------
    shifts_px : (h, w, 2) float32
        x, y from each pixel of the fixed picture to its place on the moving one.
    before, after : float
        Mean correlation of both pictures in windows of 9 px, -1 to 1: near 0 where they vary little, as on
        glass.
    """

    shifts_px: Field
    before: float
    after: float


def find_flow(fixed: Gray, moving: Gray, inside: Gray) -> Flow:
    """The smooth flow that makes two pictures alike in every window, from coarse to fine.

    The gradient of the local correlation is smoothed, brought to a largest step, and composed with the flow
    so far, which is smoothed too: neighboring places go together, and nothing folds.

    Parameters
    ----------
    fixed, moving : (h, w) float32
        Densities, the moving one on the pixels of the fixed one by the affine transform.
    inside : (h, w) float32
        1 where the moving picture has pixels, else 0.
    """
    shifts = np.zeros((*fixed.shape, 2), np.float32)
    before, _ = _local_correlation(fixed, moving, inside)
    last = max(0, int(np.ceil(np.log2(max(fixed.shape) / _COARSEST_PX))))
    for level in range(last, -1, -1):
        steps = _FINE_STEPS if level < _FINE_LEVELS else _COARSE_STEPS
        pictures = [_coarser(picture, 2**level) for picture in (fixed, moving, inside)]
        shifts = _improved(_resized(shifts, pictures[0].shape), *pictures, steps=steps)
    after, _ = _local_correlation(fixed, _moved(moving, shifts), _moved(inside, shifts))
    return Flow(shifts, float(before.mean()), float(after.mean()))


def _improved(shifts: Field, fixed: Gray, moving: Gray, inside: Gray, *, steps: int) -> Field:
    for k in range(steps):
        moved = _moved(moving, shifts)
        _, slope = _local_correlation(fixed, moved, _moved(inside, shifts))
        along = [cv2.Sobel(moved, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0)]
        force = _smooth(slope[..., None] * np.dstack(along), _SMOOTH_PX)
        largest = float(np.hypot(force[..., 0], force[..., 1]).max())
        if largest <= 0:
            break
        # The last ones are half as long: they settle.
        step = _STEP_PX if k < 0.6 * steps else _STEP_PX / 2
        force *= step / largest
        shifts = _smooth(_moved(shifts, force) + force, _STIFF_PX)
    return shifts


def _local_correlation(fixed: Gray, moving: Gray, inside: Gray) -> tuple[Gray, Gray]:
    """Correlation in the window of each pixel, and the slope of their sum by each moving pixel."""
    mean, other = _window(fixed), _window(moving)
    own = _window(fixed * fixed) - mean * mean + _NOISE
    others = _window(moving * moving) - other * other + _NOISE
    per: Any = inside / np.sqrt(own * others)
    found: Any = (_window(fixed * moving) - mean * other) * per
    back: Any = found / others
    slope: Any = _window(per) * fixed - _window(per * mean) - _window(back) * moving + _window(back * other)
    return found, slope


def _window(gray: Gray) -> Gray:
    return cv2.blur(gray, (2 * _RADIUS_PX + 1,) * 2, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def _smooth(field: Field, sigma_px: float) -> Field:
    return cv2.GaussianBlur(field, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def _moved(gray: Gray, shifts_px: Field) -> Gray:
    """The picture (or field) read where its pixels go; beyond its border as at it."""
    y, x = np.mgrid[: shifts_px.shape[0], : shifts_px.shape[1]].astype(np.float32)
    return cv2.remap(  # type: ignore[return-value]
        gray,
        x + shifts_px[..., 0],
        y + shifts_px[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _coarser(gray: Gray, factor: int) -> Gray:
    if factor == 1:
        return gray
    size = [max(1, side // factor) for side in gray.shape[::-1]]
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _resized(shifts_px: Field, shape: tuple[int, ...]) -> Field:
    """The same field at other pixels of the same picture, in those pixels."""
    height, width = shape
    if shifts_px.shape[:2] == (height, width):
        return shifts_px
    scale = np.array([width / shifts_px.shape[1], height / shifts_px.shape[0]], np.float32)
    return cv2.resize(shifts_px, (width, height), interpolation=cv2.INTER_LINEAR) * scale
