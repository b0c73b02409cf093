"""Shapes on large boolean maps, in pixels: no loops over objects, few temporary bytes a pixel."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

# Up to this radius a disc-shaped kernel is as fast as a distance transform and takes a quarter of its memory.
_KERNEL_RADIUS_PX = 6.5


class Components(NamedTuple):
    """8-connected components of a mask.

    Attributes
    ----------
    labels : (h, w) int32
        1..n, 0 outside.
    areas_px : (1 + n,) int64, px
        Pixels of each label; 0 for label 0.
    lengths_px : (1 + n,) float64, px
        Extent of each label, the diagonal of its upright box; 0 for label 0.
    """

    labels: NDArray[np.int32]
    areas_px: NDArray[np.int64]
    lengths_px: NDArray[np.float64]

    def where(self, chosen: Mask) -> Mask:
        """Return the pixels of the labels that `chosen` (one bool a label) names."""
        return chosen[self.labels]


def dilate(mask: Mask, radius_px: float) -> Mask:
    """Return every pixel within `radius_px` of the mask, by exact discs; beyond the border is nothing."""
    if radius_px <= _KERNEL_RADIUS_PX:
        reach = int(radius_px)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = (x**2 + y**2 <= radius_px**2).astype(np.uint8)
        return cv2.dilate(mask.view(np.uint8), disc).view(bool)
    if not mask.any():
        return mask.copy()
    away = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= radius_px)


def erode(mask: Mask, radius_px: float) -> Mask:
    """Return the pixels whose whole disc of `radius_px` lies in the mask; beyond the border is inside."""
    return ~dilate(~mask, radius_px)


def close_gaps(mask: Mask, radius_px: float) -> Mask:
    """Return the morphological closing; beyond the border is nothing, so no gap closes against it."""
    pad = int(np.ceil(radius_px)) + 1
    return erode(dilate(np.pad(mask, pad), radius_px), radius_px)[pad:-pad, pad:-pad] | mask


def components(mask: Mask) -> Components:
    """Return the 8-connected components of a mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask).view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    stats = stats[:count].astype(np.int64)
    stats[0] = 0
    lengths = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    return Components(labels.astype(np.int32, copy=False), stats[:, cv2.CC_STAT_AREA], lengths)


def keep_large(mask: Mask, min_px: float) -> Mask:
    """Return the components of at least `min_px` pixels."""
    found = components(mask)
    return found.where(found.areas_px >= max(min_px, 1))


def fill_small_holes(mask: Mask, max_px: float) -> Mask:
    """Return the mask with its holes of at most `max_px` pixels filled.

    What touches the border may be a hole or the outside: half as many, and at most a tenth of the map.
    """
    found = components(~mask)
    labels = found.labels
    limit = np.full(len(found.areas_px), max_px)
    limit[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = min(
        max_px / 2, mask.size / 10
    )
    small = found.areas_px <= limit
    small[0] = False
    return mask | found.where(small)


def share_around(mask: Mask, side_px: int) -> NDArray[np.uint8]:
    """Return 255 times the share of the mask in the square of `side_px` round a pixel; the border mirrors."""
    return cv2.blur(mask.astype(np.uint8) * 255, (side_px, side_px), borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def reach_from(seeds: Mask, within: Mask) -> Mask:
    """Return the components of `within` that hold a seed."""
    found = components(within)
    touched = np.zeros(len(found.areas_px), bool)
    touched[found.labels[seeds & within]] = True
    touched[0] = False
    return found.where(touched)
