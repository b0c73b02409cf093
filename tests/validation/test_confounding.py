"""Robustness indices on vectors whose neighbors are known, against croma's own examples and by hand."""

import numpy as np
import pytest

pytest.importorskip("croma", reason="needs histome[encoders]")

from histome.errors import DataError
from histome.validation import confounding
from histome.validation.confounding import (
    Manifest,
    _sweep,
    adjusted_rand,
    clustering_score,
    measure_confounding,
)


@pytest.fixture(autouse=True)
def _few_repeats(monkeypatch):
    monkeypatch.setattr(confounding, "_REPEATS", 3)


def made(follows, rng, groups=20):
    """Vectors that point where the label or the confounder does; groups of two rows in four cells."""
    cells = [(y, c, g) for y in (0, 1) for c in (0, 1) for g in range(groups) for _ in range(2)]
    axis = {"label": 0, "confounder": 1}[follows]
    vectors = np.array([np.eye(2)[cell[axis]] for cell in cells]) + rng.normal(0, 0.01, (len(cells), 2))
    label, confounder = (np.array([f"{name}{cell[k]}" for cell in cells]) for k, name in enumerate("yc"))
    group = np.array(["-".join(map(str, cell)) for cell in cells])
    return vectors, Manifest(label, confounder, group)


def squares(blocks=8):
    """Blocks of four rows, each with its SO and its OS neighbor equally near and the OO one farther away."""
    rows, label, confounder = [], [], []
    for block in range(blocks):
        for y in (0, 1):
            for c in (0, 1):
                vector = np.zeros(2 * blocks + 2)
                vector[2 * block], vector[2 * block + 1] = (1.0, 1.0)
                vector[-2], vector[-1] = 0.2 * (2 * y - 1), 0.2 * (2 * c - 1)
                rows.append(vector)
                label.append(f"y{y}")
                confounder.append(f"c{c}")
    group = [f"g{k}" for k in range(len(rows))]
    return np.array(rows), Manifest(np.array(label), np.array(confounder), np.array(group))


def test_vectors_that_follow_biology_are_robust(rng):
    found = measure_confounding(*made("label", rng))
    assert (found.ri, found.mari) == (1.0, 1.0)
    assert found.croma > 0.9
    assert found.clustering == pytest.approx(1.0, abs=0.05)
    assert found.apd == pytest.approx(0.0, abs=0.02)
    assert found.missing == {}


def test_vectors_that_follow_the_center_are_not(rng):
    found = measure_confounding(*made("confounder", rng))
    assert (found.ri, found.mari) == (0.0, 0.0)
    assert found.croma < -0.9
    assert found.clustering == pytest.approx(-1.0, abs=0.05)


def test_equal_neighbors_of_both_kinds_are_a_half():
    vectors, manifest = squares()
    found = measure_confounding(vectors, manifest)
    assert found.ri == pytest.approx(0.5)
    assert found.mari == pytest.approx(0.5)
    assert found.croma == pytest.approx(0.0, abs=1e-9)


def test_the_index_by_hand():
    """Six rows on a circle, k = 1: which neighbor is nearest is seen in the angles."""
    angle = np.radians([0, 10, 25, 90, 102, 117])
    label = np.array(["a", "a", "b", "b", "b", "a"])
    confounder = np.array(["x", "y", "y", "x", "y", "y"])
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1)
    # Nearest: 0->1 SO, 1->0 SO, 2->1 OS, 3->4 SO, 4->3 SO, 5->4 OS: four of six.
    manifest = Manifest(label, confounder, np.array(list("uvwxyz")))
    found = measure_confounding(vectors, manifest, k_candidates=(1,))
    assert found.ri == pytest.approx(4 / 6)
    assert (found.k, found.support) == (1, 1.0)


def neighbors_by_hand(vectors, manifest, k):
    """SO and OS counts of all rows and the balanced accuracy of a vote, by the definition, row by row."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    same_other = other_same = 0
    right = {label: [] for label in np.unique(manifest.label)}
    for row, vector in enumerate(unit):
        others = np.flatnonzero(manifest.group != manifest.group[row])
        nearest = others[np.argsort(1 - unit[others] @ vector, kind="stable")[:k]]
        alike = manifest.label[nearest] == manifest.label[row]
        near = manifest.confounder[nearest] == manifest.confounder[row]
        same_other += np.sum(alike & ~near)
        other_same += np.sum(~alike & near)
        right[manifest.label[row]].append(alike.mean() > 0.5)
    return same_other / (same_other + other_same), np.mean([np.mean(hits) for hits in right.values()])


def test_the_index_is_its_definition_on_vectors_that_follow_both(rng, monkeypatch):
    monkeypatch.setattr(confounding, "_REPEATS", 1)
    vectors, manifest = made("label", rng)
    vectors = vectors + 0.9 * made("confounder", rng)[0] + rng.normal(0, 0.3, vectors.shape)
    vectors = np.concatenate([vectors, rng.normal(0, 0.3, (len(vectors), 4))], axis=1)
    found = measure_confounding(vectors, manifest, k_candidates=(3, 9, 15))
    by_hand = {k: neighbors_by_hand(vectors, manifest, k) for k in (3, 9, 15)}
    assert 0.3 < found.ri < 0.8
    assert found.k == max(by_hand, key=lambda k: by_hand[k][1])
    assert found.by_k == pytest.approx({k: ri for k, (ri, _) in by_hand.items()})
    assert found.ri == pytest.approx(by_hand[found.k][0])


def test_the_indices_are_those_of_croma_as_its_quickstart_asks_for_them(rng, monkeypatch):
    import croma

    monkeypatch.setattr(confounding, "_REPEATS", 1)
    vectors, manifest = made("label", rng)
    vectors = vectors + rng.normal(0, 0.8, vectors.shape)
    options = {"manifest": confounding._frame(manifest), "confounder_column": "confounder"}
    found = measure_confounding(vectors, manifest, k_candidates=(5, 11, 21))
    assert found.ri == croma.RI.compute(vectors, k_candidates=[5, 11, 21], **options).value
    assert found.mari == croma.MaRI.compute(vectors, k_candidates=[found.k], **options).value
    assert found.croma == croma.CRoMa.compute(vectors, **options).value


# The matrices of croma's own tests of apd: strengths in rows, repeats in columns.
@pytest.mark.parametrize(
    ("accuracies", "apd"),
    [
        ([[0.8, 0.8], [0.8, 0.8], [0.8, 0.8]], 0.0),
        ([[0.9, 0.9], [0.72, 0.72], [0.72, 0.72]], -0.2),
        ([[0.2, 0.9], [0.3, 0.75]], 1 / 6),
    ],
)
def test_apd_is_that_of_cromas_examples(rng, monkeypatch, accuracies, apd):
    strengths = np.linspace(0, 1, len(accuracies))
    monkeypatch.setattr(confounding, "_STRENGTHS", tuple(strengths))
    monkeypatch.setattr(confounding, "_sweep", lambda vectors, manifest: np.array(accuracies))
    found = measure_confounding(*made("label", rng))
    assert found.apd == pytest.approx(apd)
    base = np.mean(accuracies[0])
    lost = [(np.mean(row) - base) / (base - 0.5) for row in accuracies]
    assert found.nipd == pytest.approx(np.trapezoid(lost, strengths))
    assert found.by_strength == pytest.approx(dict(zip(strengths, np.mean(accuracies, axis=1), strict=True)))


def test_a_probe_that_may_cheat_does_when_it_can(rng):
    vectors, manifest = made("label", rng)
    cheat = np.concatenate([0.4 * vectors, 3 * made("confounder", rng)[0]], axis=1) + rng.normal(
        0, 0.5, (160, 4)
    )
    honest, cheating = measure_confounding(vectors, manifest), measure_confounding(cheat, manifest)
    assert cheating.apd < honest.apd - 0.1
    assert cheating.nipd < honest.nipd - 0.1
    sweep = _sweep(cheat, manifest)
    assert sweep.shape == (5, 3)
    by_hand = np.mean([np.mean(sweep[1:, k] / sweep[0, k]) - 1 for k in range(3)])
    assert cheating.apd == pytest.approx(by_hand)


def test_too_few_groups_are_told_and_one_label_is_refused(rng):
    vectors, manifest = made("label", rng, groups=3)
    found = measure_confounding(vectors, manifest)
    assert found.apd is None
    assert "too few groups" in found.missing["apd"]
    assert found.ri is not None
    with pytest.raises(DataError, match="two labels at least"):
        measure_confounding(vectors, manifest._replace(label=np.full(len(vectors), "y0")))


def test_the_adjusted_rand_index_is_that_of_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    for _ in range(5):
        truth, found = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
        assert adjusted_rand(truth, found) == pytest.approx(metrics.adjusted_rand_score(truth, found))
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == 1.0


def test_the_clustering_score_is_a_difference_of_two(rng):
    vectors, manifest = made("label", rng)
    same = Manifest(manifest.label, manifest.label, manifest.group)
    assert clustering_score(vectors, same) == pytest.approx(0.0)
