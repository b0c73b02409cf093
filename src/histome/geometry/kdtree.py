"""Exact nearest neighbors from a compiled k-d tree: n log n however the points are clustered."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.geometry.grid import run_chunks

_LEAF = 10
_STACK = 128


class Tree(NamedTuple):
    """A balanced k-d tree: node k has the children 2k + 1 and 2k + 2, leaves hold at most _LEAF points.

    `row` is the input row of each point; `dimension` is 0 for x, 1 for y and -1 for a leaf.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    row: NDArray[np.int64]
    dimension: NDArray[np.int8]
    split: NDArray[np.float64]


def build_tree(x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> Tree:
    """Return the tree of points (n,), n may be 0."""
    depth = 0
    while len(x_um) > _LEAF << depth:
        depth += 1
    nodes = (2 << depth) - 1
    tree = Tree(
        np.array(x_um, np.float64),
        np.array(y_um, np.float64),
        np.arange(len(x_um)),
        np.full(nodes, -1, np.int8),
        np.zeros(nodes),
    )
    _build(tree)
    return tree


def nearest_squared(
    tree: Tree,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    own: NDArray[np.int64],
    *,
    workers: int = 1,
) -> NDArray[np.float64]:
    """Return the squared distance from each query (m,) to the nearest point, inf where there is none.

    `own` is the input row of the point that the query itself is, which does not count; -1 for none.
    """
    squared, _ = _search(tree, (x_um, y_um, own), 1, workers)
    return squared[:, 0]


def nearest_rows(
    tree: Tree,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    k: int,
    *,
    first: int = 0,
    workers: int = 1,
) -> NDArray[np.int64]:
    """Return the rows of the k nearest points of each query (m, k), nearest first, -1 where there are fewer.

    The queries must be points of the tree from row `first` on: row `first` + i is the query i itself and does
    not count. Equal distances are broken by position in the tree.
    """
    _, rows = _search(tree, (x_um, y_um, np.arange(first, first + len(x_um))), k, workers)
    return rows


def _search(
    tree: Tree,
    queries: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]],
    k: int,
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the squared distances and the rows of the k nearest points of each query (x, y, own row)."""
    found = np.empty((len(queries[0]), k)), np.full((len(queries[0]), k), -1, np.int64)
    run_chunks(lambda lo, hi: _nearest_k(tree, queries, found, (lo, hi)), len(queries[0]), workers=workers)
    return found


@njit(cache=True, nogil=True)
def _swap(tree, a, b):
    tree.x[a], tree.x[b] = tree.x[b], tree.x[a]
    tree.y[a], tree.y[b] = tree.y[b], tree.y[a]
    tree.row[a], tree.row[b] = tree.row[b], tree.row[a]


@njit(cache=True, nogil=True)
def _partition(tree, values, span, k):
    """Order the points of `span` so that the k-th is where sorting would put it (Hoare's quickselect)."""
    lo, hi = span[0], span[1] - 1
    while lo < hi:
        pivot = values[(lo + hi) // 2]
        i, j = lo, hi
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                _swap(tree, i, j)
                i += 1
                j -= 1
        if k <= j:
            hi = j
        elif k >= i:
            lo = i
        else:
            return


@njit(cache=True, nogil=True)
def _build(tree):
    """Split every node at the median of its wider side until the leaves."""
    stack = np.empty((_STACK, 3), np.int64)
    stack[0] = (0, 0, len(tree.x))
    top = 1
    while top > 0:
        top -= 1
        node, lo, hi = stack[top]
        if 2 * node + 2 >= len(tree.split):
            continue
        x, y = tree.x[lo:hi], tree.y[lo:hi]
        wide = hi > lo and (x.max() - x.min()) >= (y.max() - y.min())
        values = tree.x if wide else tree.y
        middle = (lo + hi) // 2
        if hi > lo:
            _partition(tree, values, (lo, hi), middle)
            tree.split[node] = values[middle]
        tree.dimension[node] = 0 if wide else 1
        stack[top] = (2 * node + 1, lo, middle)
        stack[top + 1] = (2 * node + 2, middle, hi)
        top += 2


@njit(cache=True, nogil=True)
def _nearest_k(tree, queries, found, span):
    """Fill the squared distances and the rows of the nearest points for the queries of `span`."""
    x, y, own = queries
    squared, rows = found
    k = squared.shape[1]
    nodes = np.empty((_STACK, 3), np.int64)
    bounds = np.empty(_STACK)
    near = np.empty(k)
    for i in range(span[0], span[1]):
        near[:] = np.inf
        worst = np.inf
        nodes[0] = (0, 0, len(tree.x))
        bounds[0] = 0.0
        top = 1
        while top > 0:
            top -= 1
            if bounds[top] >= worst:
                continue
            node, lo, hi = nodes[top]
            while tree.dimension[node] >= 0:
                off = (x[i] if tree.dimension[node] == 0 else y[i]) - tree.split[node]
                middle = (lo + hi) // 2
                bounds[top] = off * off
                if off < 0:
                    nodes[top] = (2 * node + 2, middle, hi)
                    node, hi = 2 * node + 1, middle
                else:
                    nodes[top] = (2 * node + 1, lo, middle)
                    node, lo = 2 * node + 2, middle
                top += 1
            for j in range(lo, hi):
                dx, dy = tree.x[j] - x[i], tree.y[j] - y[i]
                d2 = dx * dx + dy * dy
                if d2 < worst and tree.row[j] != own[i]:
                    _insert(near, rows[i], d2, tree.row[j])
                    worst = near[k - 1]
        for m in range(k):  # a slice costs a tenth more time
            squared[i, m] = near[m]


@njit(cache=True, nogil=True)
def _insert(near, rows, d2, row):
    """Insert a point into the sorted list of the nearest, dropping the last."""
    place = len(near) - 1
    while place > 0 and near[place - 1] > d2:
        near[place] = near[place - 1]
        rows[place] = rows[place - 1]
        place -= 1
    near[place] = d2
    rows[place] = row
