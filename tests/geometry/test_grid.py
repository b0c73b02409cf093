"""Neighbor counts: a lattice known by hand, cKDTree as the reference, invariance, hostile input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from histome.geometry import grid as neighbors
from histome.geometry.grid import CHUNK_CELLS, build_grid, neighbor_counts


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def reference(x, y, codes, radii_um, n_classes):
    points = np.column_stack([x, y])
    tree = cKDTree(points)
    counts = np.zeros((len(x), len(radii_um), n_classes), int)
    for q, radius in enumerate(radii_um):
        for i, near in enumerate(tree.query_ball_point(points, radius)):
            classes = codes[[j for j in near if j != i]]
            counts[i, q] = np.bincount(classes[classes >= 0], minlength=n_classes)
    return counts


def random_cells(rng, n, side_um=600.0):
    return rng.uniform(0, side_um, n), rng.uniform(0, side_um, n), rng.integers(0, 9, n)


def test_square_lattice_has_four_neighbors_at_its_spacing():
    x, y = (a.ravel().astype(float) for a in np.meshgrid(np.arange(10) * 20, np.arange(10) * 20))
    counts = neighbor_counts(x, y, np.zeros(100, int), n_classes=1)[:, :, 0].reshape(10, 10, 2)
    assert np.all(counts[1:-1, 1:-1, 0] == 4)
    assert counts[0, 0, 0] == 2
    # Within 2 spacings: 4 at 1, 4 at sqrt(2), 4 at 2.
    assert np.all(counts[2:-2, 2:-2, 1] == 12)


def test_equals_kd_tree(rng):
    x, y, codes = random_cells(rng, 2000)
    radii = (7.5, 20.0, 40.0, 55.0)
    assert np.array_equal(neighbor_counts(x, y, codes, radii_um=radii), reference(x, y, codes, radii, 9))


@pytest.mark.parametrize("codes", [np.full(300, -1), np.full(300, 9)])
def test_unknown_codes_are_nobodys_neighbors(rng, codes):
    x, y, _ = random_cells(rng, 300)
    assert neighbor_counts(x, y, codes).sum() == 0


@pytest.mark.parametrize(
    "turn",
    [lambda x, y: (600 - y, x), lambda x, y: (600 - x, y), lambda x, y: (x + 4096.0, y - 512.0)],
    ids=["rotated", "mirrored", "moved"],
)
def test_does_not_depend_on_the_frame(rng, turn):
    # Coordinates in 1/64 um: turning and moving them is exact, so the counts must be too.
    x, y, codes = random_cells(rng, 1500)
    x, y = np.round(x * 64) / 64, np.round(y * 64) / 64
    assert np.array_equal(neighbor_counts(x, y, codes), neighbor_counts(*turn(x, y), codes))


def test_does_not_depend_on_row_order_or_workers(rng):
    x, y, codes = random_cells(rng, CHUNK_CELLS + 5000, side_um=4000)
    counts = neighbor_counts(x, y, codes)
    rows = rng.permutation(len(x))
    assert np.array_equal(neighbor_counts(x[rows], y[rows], codes[rows], workers=3), counts[rows])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 2)), min_size=0, max_size=60)
)
def test_counts_grow_with_the_radius_and_are_mutual(cells):
    x, y, codes = np.array(cells, float).reshape(-1, 3).T
    counts = neighbor_counts(x, y, codes.astype(int), n_classes=3).astype(int)
    assert np.all(counts[:, 1] >= counts[:, 0])
    pairs = np.array([[counts[codes == a, 1, b].sum() for b in range(3)] for a in range(3)])
    assert np.array_equal(pairs, pairs.T)


def test_no_cells_one_cell_and_duplicates():
    assert neighbor_counts([], [], []).shape == (0, 2, 9)
    assert neighbor_counts([5.0], [5.0], [3]).sum() == 0
    twins = neighbor_counts([5.0, 5.0, 5.0], [5.0, 5.0, 5.0], [3, 3, 4])
    assert twins[:, 0, 3].tolist() == [1, 1, 2]


def test_counts_stop_at_the_largest_uint16():
    # One row of 70,001 coincident cells: all rows would be 5e9 pairs.
    grid = build_grid(np.zeros(70_001), np.zeros(70_001), 20.0)
    counts = np.zeros((70_001, 1, 1), np.uint16)
    neighbors._count(grid, np.zeros(70_001, np.int64), np.array([400.0]), counts, (0, 1))
    assert counts[0, 0, 0] == 65_535


def test_cells_very_far_apart_do_not_need_memory_for_the_space_between():
    x = np.array([0.0, 10.0, 1e9, 1e9 + 10])
    grid = build_grid(x, x, 20.0)
    assert grid.rows * grid.cols < 3_000_000
    assert neighbor_counts(x, x, np.zeros(4, int))[:, 0, 0].tolist() == [1, 1, 1, 1]


def test_refuses_what_is_not_finite_and_odd_radii():
    with pytest.raises(ValueError, match="finite"):
        neighbor_counts([0.0, np.nan], [0.0, 1.0], [0, 0])
    with pytest.raises(ValueError, match="ascending"):
        neighbor_counts([0.0], [0.0], [0], radii_um=(40.0, 20.0))
