"""Areas, centers and moments of polygons; many outlines at once are (n, k, 2), open, with k corners each."""

import numpy as np
import shapely
from numpy.typing import NDArray


def centroids(outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k, 2) open outlines -> (n, 2) x, y of their areas' centers (a nucleus' place, not its cell)."""
    after = np.roll(outlines, -1, axis=1)
    cross = _cross(outlines)
    return ((outlines + after) * cross[..., None]).sum(1) / (3 * cross.sum(1))[:, None]


def polygon_areas(outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k, 2) open outlines -> (n,) areas, unit squared."""
    return 0.5 * np.abs(_cross(outlines).sum(1))


def center_and_axes(polygon: shapely.Polygon) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return x, y of the center of area, and the long and short full axis of the equal-moment ellipse.

    Holes are left out. The polygon has an area.
    """
    first = shapely.get_coordinates(polygon)[0]  # moments of far-away coordinates would cancel
    area2, center, second = 0.0, np.zeros(2), np.zeros((2, 2))
    for ring in shapely.get_rings(shapely.orient_polygons(polygon)):
        corners = shapely.get_coordinates(ring) - first
        a, b = corners[:-1], corners[1:]
        cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
        area2 += cross.sum()
        center += cross @ (a + b)
        second += np.einsum("k,ki,kj->ij", cross, a + b, a + b) + (a.T * cross) @ a + (b.T * cross) @ b
    center /= 3 * area2
    spread = np.linalg.eigvalsh(second / (12 * area2) - np.outer(center, center))
    minor, major = 4 * np.sqrt(np.maximum(spread, 0.0))
    return (float(first[0] + center[0]), float(first[1] + center[1])), (float(major), float(minor))


def _cross(outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) twice the signed area that each edge spans with the origin."""
    after = np.roll(outlines, -1, axis=1)
    return outlines[..., 0] * after[..., 1] - after[..., 0] * outlines[..., 1]
