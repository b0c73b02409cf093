"""Relabeling within tissues: every relabeling of a small graph, and one tissue as the pooled closed form."""

from itertools import combinations_with_replacement, permutations, product

import numpy as np
import pytest

from histome.metrics.families.patterns.enrichment import pair_enrichment
from histome.metrics.randomness.relabeling import graph_of, log2_results, relabeled

PAIRS = tuple(combinations_with_replacement(range(3), 2))


def pairs_of(adjacency, label):
    one_hot = np.eye(3, dtype=int)[list(label)]
    table = one_hot.T @ adjacency @ one_hot
    return [table[pair] for pair in PAIRS]


def degrees(adjacency, tissue, tissues):
    return adjacency @ np.eye(tissues, dtype=int)[tissue]


def by_tissue(label, tissue, tissues):
    counts = np.zeros((3, tissues), int)
    np.add.at(counts, (label, tissue), 1)
    return counts


def test_exact_over_all_relabelings_within_two_tissues(rng):
    upper = np.triu(rng.random((8, 8)) < 0.5, 1).astype(int)
    adjacency = upper + upper.T
    tissue, label = np.array([0] * 5 + [2] * 3), np.array([0, 0, 1, 1, 2, 0, 1, 2])
    drawn = np.array(
        [
            pairs_of(adjacency, (*first, *second))
            for first, second in product(permutations(label[:5]), permutations(label[5:]))
        ]
    )
    # The tissue in between is empty.
    graph = graph_of(degrees(adjacency, tissue, 3), tissue)
    mean, sd = relabeled(graph, by_tissue(label, tissue, 3), PAIRS)
    assert np.allclose(mean, drawn.mean(axis=0), rtol=1e-12)
    assert np.allclose(sd, drawn.std(axis=0), rtol=1e-9)
    assert len(set(sd.tolist())) > 3


def test_one_tissue_is_the_pooled_closed_form(rng):
    upper = np.triu(rng.random((40, 40)) < 0.2, 1).astype(int)
    adjacency, label, tissue = upper + upper.T, rng.integers(0, 3, 40), np.zeros(40, int)
    mean, sd = relabeled(graph_of(degrees(adjacency, tissue, 1), tissue), by_tissue(label, tissue, 1), PAIRS)
    observed = np.array(pairs_of(adjacency, label))
    square = np.zeros((3, 3), int)
    for (a, b), seen in zip(PAIRS, observed, strict=True):
        square[a, b] = square[b, a] = seen
    pooled = pair_enrichment(square, np.bincount(label), adjacency.sum(axis=1))
    z = pooled["ENRICHMENT_Z_{neighbor}_AROUND_{center}"].value
    assert np.allclose((observed - mean) / sd, [z[pair] for pair in PAIRS])


def test_what_cannot_change_has_no_spread():
    # One class in each tissue: 10 cells in a ring, 5 and 5.
    ring = np.roll(np.eye(10, dtype=int), 1, axis=1)
    adjacency, tissue = ring + ring.T, np.repeat([0, 1], 5)
    mean, sd = relabeled(graph_of(degrees(adjacency, tissue, 2), tissue), by_tissue(tissue, tissue, 2), PAIRS)
    assert mean.tolist() == [8, 2, 0, 8, 0, 0]
    assert sd.tolist() == [0] * 6


def test_log2_by_hand():
    fold, spread = log2_results(
        np.array([20, 0, 9, 4]), np.array([10.0, 8, 9, 4.9]), np.array([2.0, 2, 0, 1])
    )
    assert fold.value[0] == 1
    assert spread.value[0] == pytest.approx(0.2 / np.log(2))
    assert fold.n.tolist() == [10, 8, 9, 4]
    assert fold.reason.tolist() == [
        "",
        "no such pair is seen",
        "relabeling within the tissues cannot change the number of pairs",
        "fewer than 5 such pairs are expected",
    ]
    assert spread.reason.tolist() == ["", "", *fold.reason[2:]]
