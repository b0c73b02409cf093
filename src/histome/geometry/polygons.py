"""Areas and centers of many outlines at once: (n, k, 2) x, y of open polygons with k corners each."""

import numpy as np
from numpy.typing import NDArray


def centroids(outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k, 2) open outlines -> (n, 2) x, y of their areas' centers (a nucleus' place, not its cell)."""
    after = np.roll(outlines, -1, axis=1)
    cross = _cross(outlines)
    return ((outlines + after) * cross[..., None]).sum(1) / (3 * cross.sum(1))[:, None]


def polygon_areas(outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k, 2) open outlines -> (n,) areas, unit squared."""
    return 0.5 * np.abs(_cross(outlines).sum(1))


def _cross(outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) twice the signed area that each edge spans with the origin."""
    after = np.roll(outlines, -1, axis=1)
    return outlines[..., 0] * after[..., 1] - after[..., 0] * outlines[..., 1]
