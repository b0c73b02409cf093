"""Training targets sampled from label maps through an affine map: no label is ever resampled.

A crop's pixel p lies at `matrix @ (p, 1)` in label pixels. Object probability, class set and the 32 ray
lengths are read there, so rotation and scaling cost nothing in accuracy.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

RAYS = 32


@njit(cache=True, nogil=True)
def _sample(labels, depth, weight, sets, matrix, size, stride):  # pragma: no cover (compiled)
    n = size // stride
    prob = np.zeros((n, n), np.float32)
    prob_weight = np.ones((n, n), np.float32)
    dist = np.zeros((RAYS, n, n), np.float32)
    mask = np.zeros((n, n), np.int32)
    height, width = labels.shape
    zoom = np.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    for i in range(n):
        for j in range(n):
            x = (j + 0.5) * stride
            y = (i + 0.5) * stride
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
    return prob, prob_weight, dist, mask


def sample_targets(
    labels: NDArray[np.int32],
    depth: NDArray[np.uint8],
    weight: NDArray[np.uint8],
    sets: NDArray[np.uint16],
    *,
    matrix: NDArray[np.float64],
    size: int,
    stride: int = 2,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Targets of a crop of `size` px on a grid of `stride`.

    Parameters
    ----------
    labels, depth, weight, sets
        As in `datasets.Field`.
    matrix
        (2, 3) crop pixels -> label pixels (similarity: rotation, flip, one scale, shift).

    Returns
    -------
    prob
        (n, n) object probability 0-1.
    prob_weight
        (n, n) weight of its loss.
    dist
        (32, n, n) ray lengths in crop pixels, 0 outside nuclei.
    sets
        (n, n) label set, 0 where no type is known.
    """
    return _sample(labels, depth, weight, sets, matrix, size, stride)
