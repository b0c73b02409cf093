"""Outlines of nuclei and regions as SVG paths."""

from itertools import pairwise

import numpy as np
import shapely


def outline_paths(
    polygons: np.ndarray, *, scale: tuple[float, float], offset: tuple[float, float]
) -> list[str]:
    """Return an SVG path for each shapely polygon, in whole half-pixels of the picture.

    A vertex (x, y) in level-0 px is drawn at `2 (scale x - offset)`. Half a pixel is finer than the networks
    see, and whole relative steps take a third of the bytes of decimals.
    """
    rings = shapely.get_exterior_ring(polygons)
    points, owner = shapely.get_coordinates(rings, return_index=True)
    drawn = np.rint(2 * (points * np.array(scale) - np.array(offset))).astype(np.int64)
    starts = np.searchsorted(owner, np.arange(len(polygons) + 1))
    return [_path(drawn[first:last]) for first, last in pairwise(starts)]


def _path(points: np.ndarray) -> str:
    if len(points) < 3:
        return ""
    steps = np.diff(points[:-1], axis=0)  # a ring ends where it starts: z closes it
    steps = steps[steps.any(axis=1)]
    return f"m{points[0, 0]} {points[0, 1]}l" + " ".join(f"{x} {y}" for x, y in steps) + "z"
