"""Clusters by hand and against connected components; aggregates in a disc of tumor."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import disc_of_tumor, family, lattice, one_tissue
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from histome.geometry.dbscan import dbscan


def test_two_lines_and_a_stray_by_hand():
    x = np.array([0, 10, 20, 30, 100, 110, 120, 130, 500.0])
    found = dbscan(x, np.zeros(9), eps_um=10, min_points=3)
    assert found.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, -1]
    # The ends have one neighbor only: border points, not core points.
    assert dbscan(x, np.zeros(9), eps_um=10, min_points=4).tolist() == [-1] * 9


def test_equals_components_of_the_core_graph(rng):
    x, y = rng.uniform(0, 500, (2, 900))
    tree = cKDTree(np.column_stack([x, y]))
    core = np.array([len(near) for near in tree.query_ball_point(tree.data, 20)]) >= 5
    graph = tree.sparse_distance_matrix(tree, 20).tocsr()[core][:, core]
    _, component = connected_components(graph)
    found = dbscan(x, y, eps_um=20, min_points=5)
    assert np.array_equal(found[core][:, None] == found[core], component[:, None] == component)
    distance, nearest = cKDTree(tree.data[core]).query(tree.data[~core])
    expected = np.where(distance <= 20, found[core][nearest], -1)
    assert np.array_equal(found[~core], expected)


def test_order_changes_no_cluster(rng):
    x, y = rng.uniform(0, 400, (2, 500))
    rows = rng.permutation(500)
    found, shuffled = (dbscan(x[r], y[r], eps_um=20, min_points=5) for r in (np.arange(500), rows))
    assert np.array_equal(found[rows][:, None] == found[rows], shuffled[:, None] == shuffled)


def test_no_points():
    assert dbscan(np.empty(0), np.empty(0), eps_um=20, min_points=5).tolist() == []


@pytest.fixture(scope="module")
def aggregates():
    """One aggregate in the core, one with plasma cells outside, one too small."""
    x, y = lattice(15, 10.0)
    small_x, small_y = lattice(6, 10.0)
    cells = cell_table(
        np.concatenate([1730 + x, 3000 + x, 200 + small_x]),
        np.concatenate([1730 + y, 1730 + y, 200 + small_y]),
        np.repeat(["LYMPHOCYTE", "PLASMA_CELL", "LYMPHOCYTE"], [225, 225, 36]),
    )
    return family("lymphoid-aggregates", disc_of_tumor(), cells)


def test_aggregates_in_a_disc_of_tumor(aggregates):
    assert aggregates["LYMPHOID_AGGREGATE_COUNT"] == 2
    assert aggregates["LYMPHOID_AGGREGATE_PLASMA_SHARE"] == 0.5
    assert aggregates["LYMPHOID_AGGREGATE_COUNT_IN_TUMOR_CORE"] == 1
    assert aggregates["LYMPHOID_AGGREGATE_COUNT_IN_WHOLE_TUMOR_REGION"] == 1
    assert aggregates["LYMPHOID_AGGREGATE_COUNT_IN_OUTER_INVASIVE_MARGIN"] == 1
    assert aggregates["LYMPHOID_AGGREGATE_COUNT_IN_EXTRATUMORAL_TISSUE"] == 0
    # Discs of 10 um on a lattice of 10 um: 140 x 140 um, a rim of nearly 10 um, and rounded corners.
    assert 0.140**2 < aggregates["LYMPHOID_AGGREGATE_MEAN_AREA"] < 0.160**2
    assert aggregates["LYMPHOID_AGGREGATE_AREA"] == pytest.approx(
        2 * aggregates["LYMPHOID_AGGREGATE_LARGEST_AREA"]
    )
    # 0 for the one in the carcinoma; the other begins 1,200 um from the middle, 200 um outside.
    assert aggregates["LYMPHOID_AGGREGATE_DISTANCE_TO_CARCINOMA"] == pytest.approx(100, abs=6)


def test_none():
    found = family("lymphoid-aggregates", one_tissue(), cell_table([1], [1], "LYMPHOCYTE"))
    assert found["LYMPHOID_AGGREGATE_COUNT"] == 0
    assert found["LYMPHOID_AGGREGATE_AREA"] == 0
    assert found["LYMPHOID_AGGREGATE_MEAN_AREA"] is None
