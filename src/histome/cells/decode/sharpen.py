"""Sharper outlines: every pixel of the nuclear mask goes to the nucleus whose center it points at.

A star-convex polygon knows which nucleus is where, but its 32 lengths are regressed from one cell of a grid
of 1 um. Where a network also gives the mask of all nuclei at the input's resolution and, for each cell of its
grid, the way to the nucleus' centroid, the pixels are shared out by these (center-offset voting, as in
Panoptic-DeepLab, arXiv:1911.10194) and the rays are cast anew in what each nucleus got.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.polygons import centroids, polygon_areas
from histome.geometry.raster import paint_outlines

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

MASK_THRESHOLD = 0.5
# A pixel may point at most this share of a nucleus' radius past its center, and lie this far from it.
VOTE_RADII, REACH_RADII = 1.0, 2.2
# A nucleus that gets less of the mask than this share of its polygon keeps its polygon.
SMALLEST_SHARE = 0.4
_STEP_PX = 0.25
_GAP_STEPS = 6


@njit(cache=True, nogil=True)
def _assign_pixels(mask, offset, stride, centers, radii, threshold):  # pragma: no cover (compiled)
    """(H, W) labels 1..n: each pixel inside the mask to the center that its vote comes nearest to."""
    height, width = mask.shape
    labels = np.zeros((height, width), np.int32)
    best = np.full((height, width), np.float32(np.inf))
    for i in range(centers.shape[0]):
        x, y, radius = centers[i, 0], centers[i, 1], radii[i]
        reach = REACH_RADII * radius + 2.0
        for row in range(max(0, int(y - reach)), min(height, int(y + reach) + 1)):
            for col in range(max(0, int(x - reach)), min(width, int(x + reach) + 1)):
                if mask[row, col] < threshold:
                    continue
                to_x = col + 0.5 + offset[0, row // stride, col // stride] - x
                to_y = row + 0.5 + offset[1, row // stride, col // stride] - y
                missed = (to_x * to_x + to_y * to_y) / (radius * radius)
                if missed <= VOTE_RADII and missed < best[row, col]:
                    best[row, col] = missed
                    labels[row, col] = i + 1
    return labels


@njit(cache=True, nogil=True)
def _centroids(labels, n):  # pragma: no cover (compiled)
    """(n, 3) x, y of each label's centroid and its number of pixels."""
    sums = np.zeros((n, 3))
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            k = labels[row, col] - 1
            if k >= 0:
                sums[k, 0] += col + 0.5
                sums[k, 1] += row + 0.5
                sums[k, 2] += 1
    for k in range(n):
        if sums[k, 2] > 0:
            sums[k, 0] /= sums[k, 2]
            sums[k, 1] /= sums[k, 2]
    return sums


@njit(cache=True, nogil=True)
def _cast(labels, middles, smallest, lengths):  # pragma: no cover (compiled)
    """Ray lengths from each label's middle to where the label ends for good; a gap of a pixel is passed over.

    Rows of `lengths` stay 0 for a label with less than `smallest` pixels or a middle outside itself.
    """
    height, width = labels.shape
    n, rays = lengths.shape
    for k in range(n):
        x, y = middles[k, 0], middles[k, 1]
        if middles[k, 2] < smallest[k] or labels[int(y), int(x)] != k + 1:
            continue
        for ray in range(rays):
            angle = 2 * np.pi * ray / rays
            dx, dy = np.cos(angle) * _STEP_PX, np.sin(angle) * _STEP_PX
            step, last = 0, 0
            while step - last <= _GAP_STEPS:
                step += 1
                col, row = int(np.floor(x + step * dx)), int(np.floor(y + step * dy))
                if col < 0 or row < 0 or col >= width or row >= height:
                    break
                if labels[row, col] == k + 1:
                    last = step
            lengths[k, ray] = (last + 0.5) * _STEP_PX


def polygons(centers: NDArray[np.float64], distances: Float32) -> NDArray[np.float64]:
    """(n, 2) centers and (n, rays) ray lengths -> (n, rays, 2) x, y of the open outline, same unit."""
    angles = 2 * np.pi * np.arange(distances.shape[1]) / distances.shape[1]
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return centers[:, None, :] + distances[..., None] * rays[None]


def sharpen(
    outlines: NDArray[np.float64], mask: Float32, offset: Float32, *, stride: int = 2
) -> tuple[NDArray[np.float64], Int32]:
    """Outlines from the mask, of nuclei that star-convex polygons found.

    Parameters
    ----------
    outlines : (n, rays, 2) float64, px
        x, y of the polygons in input pixels.
    mask : (H, W) float32, 0-1
        Probability that a pixel lies in a nucleus, at the input's resolution.
    offset : (2, H / stride, W / stride) float32, px
        x and y from a cell's center to its nucleus' centroid, input pixels.
    stride : int, px
        Input pixels per pixel of `offset`.

    Returns
    -------
    outlines : (n, rays, 2) float64, px
        The new ones; the old one of a nucleus that the mask gives too little.
    labels : (H, W) int32
        Instance map of them, 1..n; where two overlap, the first has it.
    """
    areas = polygon_areas(outlines)
    radii = np.sqrt(np.maximum(areas, 1.0) / np.pi)
    shared = _assign_pixels(mask, offset, stride, centroids(outlines), radii, MASK_THRESHOLD)
    middles = _centroids(shared, len(outlines))
    distances = np.zeros(outlines.shape[:2])
    _cast(shared, middles, SMALLEST_SHARE * areas, distances)
    # The steps of the pixel grid are no part of a nucleus.
    smooth = (np.roll(distances, 1, axis=1) + 2 * distances + np.roll(distances, -1, axis=1)) / 4
    cast = distances[:, 0] > 0
    sharper = np.where(cast[:, None, None], polygons(middles[:, :2], smooth.astype(np.float32)), outlines)
    return sharper, paint_outlines(sharper, mask.shape)
