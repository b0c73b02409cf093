"""The convex hull of a mask, in pixels."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from histome.geometry.coverage import Shares


def hull_area_px(mask: NDArray[np.uint8], shares: Shares) -> float:
    """Return the area of the convex hull of a mask (h, w) that is not empty, in pixels, each by its share.

    It is that of the pixels whose centers lie in the hull of all centers: a region that is convex has the
    area of its hull, however it is turned, where the hull of the pixels' corners is larger by their steps.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask.argmax(axis=1), mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([side[rows], rows], axis=1) for side in (left, right)])
    ring = cv2.convexHull(ends.astype(np.int32)).reshape(-1, 2).astype(np.int64)
    first, last = _spans(ring, mask.shape)
    before = np.append(0.0, np.cumsum(shares[1]))
    return float(shares[0] @ (before[last + 1] - before[first]))


@numba.njit(cache=True)
def _spans(ring, shape):  # pragma: no cover (compiled)
    """First and last column of each row in a convex ring of (x, y) centers; the last before it: none."""
    first, last = np.full(shape[0], shape[1]), np.full(shape[0], shape[1] - 1)
    for y in range(ring[:, 1].min(), ring[:, 1].max() + 1):
        last[y] = -1
    for k in range(len(ring)):
        (x0, y0), (x1, y1) = ring[k - 1], ring[k]
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        for y in range(y0, y1 + 1):
            # A level edge is seen at its ends, each also that of another edge or the whole ring.
            over, steps = (x1 - x0) * (y - y0), max(y1 - y0, 1)
            first[y] = min(first[y], x0 - (-over) // steps)
            last[y] = max(last[y], x0 + over // steps)
    return first, last
