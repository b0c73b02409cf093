"""Probes of frozen vectors, where the answer is known."""

import numpy as np

from histome.validation.probes import (
    balanced_accuracy,
    knn_probe,
    leave_sources_out,
    linear_probe,
    source_hits,
)


def clouds(rng, n=60):
    """Two labels a distance apart, in six sources; names begin with the label."""
    label = np.repeat(["a", "b"], n)
    x = rng.normal(0, 1, (2 * n, 8)).astype(np.float32)
    x[:, 0] += np.where(label == "a", -3, 3)
    source = np.array([f"{name}{k % 3}" for k, name in enumerate(label)])
    return x, label, source


def test_both_probes_tell_clouds_apart_and_noise_not(rng):
    x, label, source = clouds(rng)
    for probe, least in ((knn_probe, 0.9), (linear_probe, 0.98)):  # neighbors count all values alike
        found = leave_sources_out(x, label, source, probe, rng=np.random.default_rng(0))
        assert (found == label).mean() > least
        noise = leave_sources_out(x[:, 1:], label, source, probe, rng=np.random.default_rng(0))
        assert 0.2 < (noise == label).mean() < 0.7


def test_a_probe_never_sees_the_source_that_it_is_asked_about(rng):
    x, label, source = clouds(rng)
    seen = []

    def probe(known, y, new):
        rows = [tuple(row) for row in known.round(4).tolist()]
        seen.append((set(rows), {tuple(row) for row in new.round(4).tolist()}))
        return np.full(len(new), y[0])

    leave_sources_out(x, label, source, probe, rng=np.random.default_rng(1))
    of = {tuple(row): name for row, name in zip(x.round(4).tolist(), source, strict=True)}
    for known, asked in seen:
        assert not {of[row] for row in known} & {of[row] for row in asked}


def test_the_nearest_neighbor_is_by_angle_and_votes_are_weighed():
    x = np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1], [-1, -0.1]], np.float32)
    y = np.array(["right", "right", "left", "left", "left"])
    assert knn_probe(x, y, np.array([[5, 0.2], [-0.4, 0]], np.float32), k=2).tolist() == ["right", "left"]


def test_balanced_accuracy_and_its_interval_by_hand(rng):
    truth = np.array(["a"] * 8 + ["b"] * 2)
    found = np.array(["a"] * 8 + ["a", "b"])
    score = balanced_accuracy(truth, found, [str(k) for k in range(10)], rng=rng)
    assert score.value == 0.75  # (8/8 + 1/2) / 2
    assert score.low < 0.75 < score.high
    assert score.units == 10
    one = balanced_accuracy(truth, found, ["same"] * 10, rng=rng)
    assert (one.low, one.high, one.units) == (0.75, 0.75, 1)


def test_a_signature_of_the_slide_leaks_and_none_does_not(rng):
    source = np.repeat(list("abcdef"), 20)
    noise = rng.normal(0, 1, (120, 6)).astype(np.float32)
    signed = noise + 8 * np.eye(6, dtype=np.float32)[np.repeat(range(6), 20)]
    assert source_hits(signed, source, np.random.default_rng(0)).mean() > 0.95
    assert source_hits(noise, source, np.random.default_rng(0)).mean() < 0.4
