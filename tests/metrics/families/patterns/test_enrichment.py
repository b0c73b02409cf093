"""Enrichment: a lattice by hand, all relabelings of a small graph, many permutations of a larger one."""

from itertools import permutations

import numpy as np
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import family, lattice, one_tissue, random_cells
from scipy.spatial.distance import cdist

from histome.metrics.families.patterns.enrichment import pair_enrichment


def pairs_of(adjacency, label, n_classes):
    one_hot = np.eye(n_classes, dtype=int)[label]
    return one_hot.T @ adjacency @ one_hot


def test_exact_over_all_relabelings_of_six_cells():
    adjacency = np.zeros((6, 6), int)
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (4, 5), (3, 4)):
        adjacency[a, b] = adjacency[b, a] = 1
    label = np.array([0, 0, 0, 1, 1, 2])
    drawn = np.array([pairs_of(adjacency, list(each), 3) for each in permutations(label)])
    observed = pairs_of(adjacency, label, 3)
    found = pair_enrichment(observed, np.bincount(label), adjacency.sum(axis=1))
    mean, sd = drawn.mean(axis=0), drawn.std(axis=0)
    z = found["ENRICHMENT_Z_{neighbor}_AROUND_{center}"].value
    some = sd > 0
    assert np.allclose(z[some], ((observed - mean) / np.where(some, sd, 1))[some])
    assert np.isnan(z[~some]).all()
    fold = found["ENRICHMENT_LOG2FC_{neighbor}_AROUND_{center}"].value
    seen = (observed > 0) & (mean > 0)
    assert np.allclose(fold[seen], np.log2(observed[seen] / mean[seen]))


def test_checkerboard_by_hand():
    # Spacing 30 um: within 40 um lie the 4 side neighbors, all of the other class; the diagonal is 42.4 um.
    x, y = lattice(20, 30.0, 10.0)
    board = (np.add(*np.indices((20, 20))) % 2).ravel()
    cells = cell_table(x, y, np.where(board, "LYMPHOCYTE", "MACROPHAGE"))
    found = family("enrichment", one_tissue(), cells)
    expected = 2 * 200 * 200 / (400 * 399)  # share of the edges that join different classes at random
    assert found["ENRICHMENT_LOG2FC_LYMPHOCYTE_AROUND_MACROPHAGE"] == pytest.approx(np.log2(1 / expected))
    assert found["ENRICHMENT_LOG2FC_LYMPHOCYTE_AROUND_LYMPHOCYTE"] is None
    assert found["ENRICHMENT_Z_LYMPHOCYTE_AROUND_LYMPHOCYTE"] < -15


@pytest.mark.slow
def test_equals_many_permutations(rng):
    cells = random_cells(rng, 400, side_um=300)
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    label = np.array([LABEL[name.upper()] for name in cells["class"].to_pylist()])
    points = np.column_stack([x, y])
    adjacency = (cdist(points, points) <= 40).astype(int) - np.eye(400, dtype=int)
    drawn = np.array([pairs_of(adjacency, rng.permutation(label), 9) for _ in range(1500)])
    observed = pairs_of(adjacency, label, 9)
    z = (observed - drawn.mean(axis=0)) / drawn.std(axis=0)
    found = family("enrichment", one_tissue(), cells)
    for center, a in LABEL.items():
        for neighbor, b in LABEL.items():
            assert found[f"ENRICHMENT_Z_{neighbor}_AROUND_{center}"] == pytest.approx(z[a, b], abs=0.25)


def test_one_class_cannot_be_relabeled():
    found = family("enrichment", one_tissue(), cell_table([0, 10], [0, 0], "OTHER"))
    assert found["ENRICHMENT_Z_OTHER_AROUND_OTHER"] is None
    assert found["ENRICHMENT_LOG2FC_OTHER_AROUND_OTHER"] == 0
