"""Shapes on large boolean maps, in microns, without loops over objects."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def dilate(mask: Mask, radius_px: float) -> Mask:
    """Return every pixel within `radius_px` of the mask; exact discs from one distance transform."""
    if not mask.any():
        return mask.copy()
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= radius_px


def erode(mask: Mask, radius_px: float) -> Mask:
    """Return the pixels whose whole disc of `radius_px` lies in the mask; beyond the border is inside."""
    return ~dilate(~mask, radius_px)


def close_gaps(mask: Mask, radius_px: float) -> Mask:
    """Return the morphological closing; beyond the border is nothing, so no gap closes against it."""
    pad = int(np.ceil(radius_px)) + 1
    return erode(dilate(np.pad(mask, pad), radius_px), radius_px)[pad:-pad, pad:-pad] | mask


def label(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return 8-connected components (0 = outside) and the pixel count of each label."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    areas = stats[:count, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    return labels.astype(np.int32, copy=False), areas


def keep_large(mask: Mask, min_px: float) -> Mask:
    """Return the components of at least `min_px` pixels."""
    labels, areas = label(mask)
    return (areas >= max(min_px, 1))[labels]


def fill_small_holes(mask: Mask, max_px: float) -> Mask:
    """Return the mask with its holes of at most `max_px` pixels filled.

    What touches the border may be a hole or the outside: half as many, and at most a tenth of the map.
    """
    labels, areas = label(~mask)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    limit = np.full(len(areas), max_px)
    limit[edge] = min(max_px / 2, mask.size / 10)
    small = areas <= limit
    small[0] = False
    return mask | small[labels]


def share_around(mask: Mask, side_px: int) -> NDArray[np.float32]:
    """Return the share of the mask in the square of `side_px` round each pixel; the border mirrors."""
    return cv2.blur(mask.astype(np.float32), (side_px, side_px), borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def reach_from(seeds: Mask, within: Mask) -> Mask:
    """Return the components of `within` that hold a seed."""
    labels, areas = label(within)
    touched = np.zeros(len(areas), bool)
    touched[labels[seeds & within]] = True
    touched[0] = False
    return touched[labels]
