"""Contacts against scipy's Delaunay triangulation, and by hand where it is not unique."""

import time

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import family, lattice, one_tissue
from scipy.spatial import Delaunay

from histome.metrics.families.patterns.contacts import contact_counts


def delaunay_counts(x, y, label):
    triangles = Delaunay(np.column_stack([x, y])).simplices
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]])), axis=0
    )
    a, b = edges.T
    short = np.hypot(x[a] - x[b], y[a] - y[b]) <= 30
    table = np.zeros((9, 9), int)
    low, high = np.sort(label[edges[short]], axis=1).T
    np.add.at(table, (low, high), 1)
    return table


@pytest.mark.parametrize("density_per_mm2", [50, 300, 3000, 20_000])
def test_equals_delaunay(rng, density_per_mm2):
    side = np.sqrt(3000 / density_per_mm2) * 1000
    x, y = rng.uniform(0, side, (2, 3000))
    label = rng.integers(0, 9, 3000)
    assert np.array_equal(contact_counts(x, y, label), delaunay_counts(x, y, label))


def test_equals_delaunay_for_clusters_far_apart(rng):
    centers = rng.uniform(0, 5000, (6, 2))[rng.integers(0, 6, 1500)]
    x, y = (centers + rng.normal(0, 50, (1500, 2))).T
    label = rng.integers(0, 9, 1500)
    assert np.array_equal(contact_counts(x, y, label), delaunay_counts(x, y, label))


def test_a_crowd_takes_no_longer_than_its_neighbors(rng):
    """What random weights find: four million cells per mm2, each near every other. Once it took minutes."""
    contact_counts(*rng.uniform(0, 100, (2, 20)), zeros(20))  # compiled
    x, y = rng.uniform(0, 28, (2, 3000))
    label = rng.integers(0, 9, 3000)
    start = time.process_time()
    found = contact_counts(x, y, label)
    assert time.process_time() - start < 20
    assert np.array_equal(found, delaunay_counts(x, y, label))


def zeros(n):
    return np.zeros(n, np.int64)


def test_square_lattice_has_no_diagonals():
    x, y = lattice(12, 20.0)
    assert contact_counts(x, y, zeros(144)).sum() == 2 * 12 * 11


def test_ring_and_line():
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    assert contact_counts(50 * np.cos(angle), 50 * np.sin(angle), zeros(20)).sum() == 20
    line = np.arange(50) * 10.0
    assert contact_counts(line, np.zeros(50), zeros(50)).sum() == 49


def test_cells_at_one_position_share_their_contacts():
    x = np.array([0.0, 0.0, 20.0])
    assert contact_counts(x, np.zeros(3), zeros(3)).sum() == 2


def test_longest_contact():
    for distance, expected in ((30.0, 1), (30.001, 0)):
        assert contact_counts(np.array([0.0, distance]), np.zeros(2), zeros(2)).sum() == expected


def test_workers_change_nothing(rng):
    x, y = rng.uniform(0, 4000, (2, 40_000))
    label = rng.integers(0, 9, 40_000)
    assert np.array_equal(contact_counts(x, y, label, workers=3), contact_counts(x, y, label))


def test_fractions_and_log_odds_of_a_checkerboard():
    x, y = lattice(10, 20.0, 10.0)
    board = (np.add(*np.indices((10, 10))) % 2).ravel()
    found = family("contacts", one_tissue(), cell_table(x, y, np.where(board, "LYMPHOCYTE", "MACROPHAGE")))
    assert found["CONTACT_FRACTION_LYMPHOCYTE_MACROPHAGE"] == 1
    assert found["CONTACT_FRACTION_LYMPHOCYTE_LYMPHOCYTE"] == 0
    assert found["CONTACT_LOG_ODDS_LYMPHOCYTE_MACROPHAGE"] is None
    halves = np.where(np.arange(100) % 10 < 5, "LYMPHOCYTE", "MACROPHAGE")
    found = family("contacts", one_tissue(), cell_table(x, y, halves))
    assert found["CONTACT_FRACTION_LYMPHOCYTE_MACROPHAGE"] == pytest.approx(10 / 180)
    expected = 2 * 50 * 50 / (100 * 99)
    odds = np.log(10 / 170) - np.log(expected / (1 - expected))
    assert found["CONTACT_LOG_ODDS_LYMPHOCYTE_MACROPHAGE"] == pytest.approx(odds)


def test_nobody_touches():
    found = family("contacts", one_tissue(), cell_table([0, 500], [0, 0], "OTHER"))
    assert found["CONTACT_FRACTION_OTHER_OTHER"] is None
