"""Patches with known answers: square nuclei at given places."""

from collections.abc import Iterable

import numpy as np


def draw(
    nuclei: Iterable[tuple[int, int, int]], *, side: int = 3, size: int = 300
) -> tuple[np.ndarray, np.ndarray]:
    """Instance and class masks of square nuclei (column, row of the upper left pixel, class)."""
    instances, classes = np.zeros((2, size, size), np.int32)
    for number, (x, y, code) in enumerate(nuclei, start=1):
        instances[y : y + side, x : x + side] = number
        classes[y : y + side, x : x + side] = code
    return instances, classes
