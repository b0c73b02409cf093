"""Nearest neighbors against scipy's k-d tree."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from histome.geometry.kdtree import build_tree, nearest_rows, nearest_squared


def clustered(rng, n):
    """Tight clusters far apart: the case that empties a grid."""
    centers = rng.uniform(0, 1e5, (5, 2))
    return (centers[rng.integers(0, 5, n)] + rng.normal(0, 30, (n, 2))).T


@pytest.mark.parametrize("n", [1, 2, 10, 11, 500, 4000])
def test_nearest_other_point_equals_scipy(rng, n):
    x, y = clustered(rng, n)
    found = nearest_squared(build_tree(x, y), x, y, np.arange(n))
    expected = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)[0][:, 1]
    assert np.allclose(np.sqrt(found), expected, rtol=1e-12, equal_nan=True)


def test_queries_that_are_no_points(rng):
    x, y = clustered(rng, 700)
    qx, qy = rng.uniform(0, 1e5, (2, 300))
    found = nearest_squared(build_tree(x, y), qx, qy, np.full(300, -1), workers=2)
    expected = cKDTree(np.column_stack([x, y])).query(np.column_stack([qx, qy]))[0]
    assert np.allclose(np.sqrt(found), expected, rtol=1e-12)


def test_six_nearest_equal_scipy(rng):
    x, y = clustered(rng, 2000)
    rows = nearest_rows(build_tree(x, y), x, y, 6)
    expected = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=7)[1][:, 1:]
    assert np.array_equal(rows, expected)


def test_lattice_by_hand():
    x, y = (a.ravel() * 100.0 for a in np.meshgrid(np.arange(9), np.arange(9)))
    assert (nearest_squared(build_tree(x, y), x, y, np.arange(81)) == 100.0**2).all()


def test_duplicates_few_points_and_none():
    zeros = np.zeros(40)
    assert (nearest_squared(build_tree(zeros, zeros), zeros, zeros, np.arange(40)) == 0).all()
    one = np.array([3.0])
    assert nearest_squared(build_tree(one, one), one, one, np.array([0])) == np.inf
    none = np.empty(0)
    assert nearest_squared(build_tree(none, none), one, one, np.array([-1])) == np.inf
    two = np.array([0.0, 5.0])
    assert nearest_rows(build_tree(two, two), two, two, 3).tolist() == [[1, -1, -1], [0, -1, -1]]
