"""Density-based clusters of points, compiled; independent of the order of the points."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import bin_span, build_grid


def dbscan(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], *, eps_um: float, min_points: int
) -> NDArray[np.int64]:
    """Return the cluster of each point (n,), -1 for noise (Ester et al. 1996, KDD-96, 226-231).

    Core points have at least `min_points` points within eps, themselves included; linked core points form a
    cluster; other points within eps of a core point join the cluster of the nearest one (the original takes
    the first found, which depends on the order). Clusters are numbered 0, 1, ... by their first point.
    """
    grid = build_grid(np.asarray(x_um, float), np.asarray(y_um, float), eps_um)
    root = np.empty(len(x_um), np.int64)
    root[grid.order] = _link(grid, float(eps_um), min_points)
    # Roots are positions in the grid: number them by first appearance in the input.
    labels = np.full(len(root), -1, np.int64)
    inside = root >= 0
    found, first, inverse = np.unique(root[inside], return_index=True, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(found))
    labels[inside] = rank[inverse]
    return labels


@njit(cache=True, nogil=True)
def _find(parent, i):
    """Return the root of i, halving the path."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _link(grid, eps, min_points):
    """Return the root of each sorted point's cluster, -1 for noise."""
    n = len(grid.x)
    core = np.zeros(n, np.bool_)
    for i in range(n):
        core[i] = _count_within(grid, i, eps) >= min_points
    parent = np.arange(n)
    nearest = np.full(n, -1, np.int64)
    for i in range(n):
        best = np.inf
        r0, r1, c0, c1 = bin_span(grid, grid.x[i], grid.y[i], eps)
        for row in range(r0, r1):
            for j in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
                dx, dy = grid.x[j] - grid.x[i], grid.y[j] - grid.y[i]
                d2 = dx * dx + dy * dy
                if not core[j] or d2 > eps * eps:
                    continue
                if core[i]:
                    a, b = _find(parent, i), _find(parent, j)
                    parent[max(a, b)] = min(a, b)
                elif d2 < best:
                    best = d2
                    nearest[i] = j
    root = np.full(n, -1, np.int64)
    for i in range(n):
        if core[i]:
            root[i] = _find(parent, i)
        elif nearest[i] >= 0:
            root[i] = _find(parent, nearest[i])
    return root


@njit(cache=True, nogil=True)
def _count_within(grid, i, eps):
    """Count the points within eps of sorted point i, itself included."""
    count = 0
    r0, r1, c0, c1 = bin_span(grid, grid.x[i], grid.y[i], eps)
    for row in range(r0, r1):
        for j in range(grid.start[row * grid.cols + c0], grid.start[row * grid.cols + c1]):
            dx, dy = grid.x[j] - grid.x[i], grid.y[j] - grid.y[i]
            if dx * dx + dy * dy <= eps * eps:
                count += 1
    return count
