"""Training targets sampled from label maps through an affine map: no label is ever resampled.

A crop's pixel p lies at `matrix @ (p, 1)` in label pixels. Object probability, class set, ray lengths and
the rest are read there, so rotation and scaling cost nothing in accuracy.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from histome.datasets.fields import Field

RAYS = 32
# Pixels of the crop a cell of the targets' grid.
STRIDE = 2


class Targets(NamedTuple):
    """What a crop of s px teaches, on a grid of n = s / STRIDE cells but for the mask.

    Attributes
    ----------
    prob : (n, n) float32, 0-1
        Object probability.
    prob_weight : (n, n) float32
        Weight of its loss.
    dist : (32, n, n) float32, px of the crop
        Ray lengths, 0 outside nuclei.
    sets : (n, n) int32
        Label set, 0 where no type is known.
    mask : (s, s) float32
        1 inside any nucleus.
    offset : (2, n, n) float32, px of the crop
        x and y from the cell's center to its nucleus' centroid, 0 outside nuclei.
    """

    prob: NDArray[np.float32]
    prob_weight: NDArray[np.float32]
    dist: NDArray[np.float32]
    sets: NDArray[np.int32]
    mask: NDArray[np.float32]
    offset: NDArray[np.float32]


@njit(cache=True, nogil=True)
def _inside(labels, matrix, size):  # pragma: no cover (compiled)
    inside = np.zeros((size, size), np.float32)
    height, width = labels.shape
    for i in range(size):
        for j in range(size):
            u = matrix[0, 0] * (j + 0.5) + matrix[0, 1] * (i + 0.5) + matrix[0, 2]
            v = matrix[1, 0] * (j + 0.5) + matrix[1, 1] * (i + 0.5) + matrix[1, 2]
            col, row = int(np.floor(u)), int(np.floor(v))
            if 0 <= col < width and 0 <= row < height and labels[row, col] > 0:
                inside[i, j] = 1.0
    return inside


@njit(cache=True, nogil=True)
def _sample(labels, depth, weight, sets, centers, matrix, size):  # pragma: no cover (compiled)
    n = size // STRIDE
    prob = np.zeros((n, n), np.float32)
    prob_weight = np.ones((n, n), np.float32)
    dist = np.zeros((RAYS, n, n), np.float32)
    mask = np.zeros((n, n), np.int32)
    offset = np.zeros((2, n, n), np.float32)
    inverse = np.linalg.inv(np.ascontiguousarray(matrix[:, :2]))
    height, width = labels.shape
    zoom = np.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    for i in range(n):
        for j in range(n):
            x = (j + 0.5) * STRIDE
            y = (i + 0.5) * STRIDE
            u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
            v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
            col, row = int(np.floor(u)), int(np.floor(v))
            if col < 0 or row < 0 or col >= width or row >= height:
                continue
            prob_weight[i, j] = weight[row, col] / 255.0
            label = labels[row, col]
            if label == 0:
                continue
            prob[i, j] = depth[row, col] / 255.0
            mask[i, j] = sets[label]
            away_u, away_v = centers[label - 1, 0] - u, centers[label - 1, 1] - v
            offset[0, i, j] = inverse[0, 0] * away_u + inverse[0, 1] * away_v
            offset[1, i, j] = inverse[1, 0] * away_u + inverse[1, 1] * away_v
            for k in range(RAYS):
                angle = 2 * np.pi * k / RAYS
                c, s = np.cos(angle), np.sin(angle)
                du = (matrix[0, 0] * c + matrix[0, 1] * s) / zoom
                dv = (matrix[1, 0] * c + matrix[1, 1] * s) / zoom
                t = 0
                while True:
                    t += 1
                    col, row = int(np.floor(u + t * du)), int(np.floor(v + t * dv))
                    if col < 0 or row < 0 or col >= width or row >= height or labels[row, col] != label:
                        break
                dist[k, i, j] = (t - 0.5) / zoom
    return prob, prob_weight, dist, mask, offset


def sample_targets(field: "Field", *, matrix: NDArray[np.float64], size: int) -> Targets:
    """Targets of a crop of `size` px of a labeled field.

    Parameters
    ----------
    matrix : (2, 3) float64
        Crop pixels -> label pixels (similarity: rotation, flip, one scale, shift).
    """
    prob, weight, dist, sets, offset = _sample(
        field.labels, field.depth, field.weight, field.sets, field.points_px, matrix, size
    )
    return Targets(prob, weight, dist, sets, _inside(field.labels, matrix, size), offset)
