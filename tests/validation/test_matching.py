"""Matching against arrangements known by hand, and against brute force."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from histome.validation.matching import DetectionCounts, detection_counts, instance_scores, match_centers


def _disc(labels, x, y, radius, value):
    yy, xx = np.mgrid[: labels.shape[0], : labels.shape[1]]
    labels[(xx - x) ** 2 + (yy - y) ** 2 < radius**2] = value
    return labels


def test_one_found_cell_serves_one_true_cell():
    true = np.array([[0.0, 0.0], [2.0, 0.0]])
    assert detection_counts(true, np.array([[1.0, 0.0]])) == DetectionCounts(1, 0, 1)


def test_a_pair_at_the_limit_counts_and_beyond_does_not():
    assert detection_counts(np.array([[0.0, 0.0]]), np.array([[3.0, 0.0]])).tp == 1
    assert detection_counts(np.array([[0.0, 0.0]]), np.array([[3.001, 0.0]])).tp == 0


def test_a_pair_at_distance_zero_counts():
    assert detection_counts(np.zeros((1, 2)), np.zeros((1, 2))) == DetectionCounts(1, 0, 0)


def test_more_pairs_win_over_nearer_pairs():
    # Greedy would pair (0, b) at 0.5 um and lose the second; the assignment pairs both.
    true = np.array([[0.0, 0.0], [3.0, 0.0]])
    found = np.array([[-2.0, 0.0], [0.5, 0.0]])
    assert match_centers(true, found).tolist() == [[0, 0], [1, 1]]


def test_nothing_to_find():
    assert detection_counts(np.empty((0, 2)), np.ones((2, 2))) == DetectionCounts(0, 2, 0)
    assert np.isnan(DetectionCounts(0, 0, 0).f1)


def test_assignment_by_groups_equals_one_large_assignment():
    rng = np.random.default_rng(3)
    true, found = rng.uniform(0, 60, (120, 2)), rng.uniform(0, 60, (140, 2))
    distance = np.linalg.norm(true[:, None] - found[None], axis=-1)
    cost = np.where(distance <= 3.0, distance, 1e6)
    rows, cols = linear_sum_assignment(cost)
    real = cost[rows, cols] < 1e6
    pairs = match_centers(true, found)
    assert len(pairs) == real.sum()
    assert distance[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(distance[rows[real], cols[real]].sum())


def test_instance_scores_of_equal_maps_are_one():
    labels = _disc(_disc(np.zeros((80, 80), int), 20, 20, 8, 1), 50, 50, 10, 5)
    assert instance_scores(labels, labels) == (1.0, 1.0, 1.0, 1.0)


def test_instance_scores_of_a_rolled_disc_follow_its_iou():
    labels = _disc(np.zeros((100, 100), int), 40, 40, 20, 1)
    rolled = np.roll(labels, 5, axis=1)
    both = ((labels > 0) & (rolled > 0)).sum()
    iou = both / ((labels > 0) | (rolled > 0)).sum()
    dq, sq, pq, aji = instance_scores(labels, rolled)
    assert (dq, sq) == (1.0, pytest.approx(iou))
    assert pq == pytest.approx(iou)
    assert aji == pytest.approx(iou)


def test_a_missed_and_an_invented_nucleus_lower_aji_and_dq():
    true = _disc(_disc(np.zeros((100, 100), int), 20, 20, 10, 1), 70, 20, 10, 2)
    found = _disc(_disc(np.zeros((100, 100), int), 20, 20, 10, 1), 70, 70, 10, 2)
    area = (true == 1).sum()
    scores = instance_scores(true, found)
    assert scores.dq == pytest.approx(0.5)
    assert scores.aji == pytest.approx(area / (3 * area))


def test_no_true_nuclei_but_found_ones_score_zero():
    found = _disc(np.zeros((40, 40), int), 20, 20, 5, 1)
    assert instance_scores(np.zeros((40, 40), int), found).pq == 0.0
