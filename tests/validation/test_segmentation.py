"""Outlines against outlines: equal to a package of others and to figures known by hand."""

from itertools import permutations

import cellseg_metrics
import cv2
import numpy as np
import pytest

from histome.errors import DataError
from histome.validation.image_strata import ImageStrata
from histome.validation.matching import instance_scores
from histome.validation.segmentation import (
    LabelImage,
    aji_plus,
    map_sections,
    score_image,
    segmentation_sections,
)


def nuclei(seed, moved=0.0, n=40, side=256):
    """Discs on a lattice, each moved and resized at random; some are left out, some are added."""
    rng, layout = np.random.default_rng(seed), np.random.default_rng(7)
    labels = np.zeros((side, side), np.int32)
    for k, (x, y) in enumerate(
        layout.permutation([(16 + 32 * i, 16 + 32 * j) for i in range(8) for j in range(8)])[:n]
    ):
        if moved and rng.random() < 0.15:
            continue
        center = np.array([x, y]) + rng.normal(0, moved, 2)
        cv2.circle(labels, tuple(int(v) for v in center), int(9 + rng.integers(0, 5)), k + 1, -1)
    return labels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("moved", [2.0, 5.0])
def test_as_cellseg_metrics(seed, moved):
    true, found = nuclei(100), nuclei(seed, moved)
    ours = instance_scores(true, found)
    theirs = cellseg_metrics.panoptic_quality(true, found, eps=0)
    assert (ours.pq, ours.sq, ours.dq) == pytest.approx((theirs["pq"], theirs["sq"], theirs["dq"]), abs=1e-9)
    assert ours.aji == pytest.approx(cellseg_metrics.aggregated_jaccard_index(true, found, eps=0), abs=1e-9)
    mine = score_image(LabelImage(true, {}), LabelImage(found, {}), 0.25)
    tp, fp, fn = cellseg_metrics.get_stats((true > 0).astype(np.uint8), (found > 0).astype(np.uint8))
    assert mine["iou"] == pytest.approx(cellseg_metrics.iou_score(tp, fp, fn, eps=0), abs=1e-9)
    assert mine["dice"] == pytest.approx(cellseg_metrics.dice_coef(tp, fp, fn, eps=0), abs=1e-9)


def by_hand(true, found):
    """AJI+ by trying every assignment."""
    t, f = ([labels == k for k in np.unique(labels[labels > 0])] for labels in (true, found))
    best = None
    for order in permutations(range(max(len(t), len(f)))):
        pairs = [(t[i], f[j]) for i, j in enumerate(order) if i < len(t) and j < len(f)]
        inter = sum((a & b).sum() for a, b in pairs)
        total = sum((a & b).sum() / (a | b).sum() for a, b in pairs)
        if best is None or total > best[0]:
            best = total, inter / (sum(a.sum() for a in (*t, *f)) - inter)
    return best[1]


@pytest.mark.parametrize("seed", range(5))
def test_aji_plus_is_the_best_of_all_assignments(seed):
    true = nuclei(100, n=5, side=128)
    found = nuclei(seed, 4.0, n=6, side=128)
    found[:, 60:90] = np.where(found[:, 60:90] > 0, 9, 0)  # one that covers several
    assert aji_plus(true, found) == pytest.approx(by_hand(true, found), abs=1e-9)


def test_one_nucleus_cut_in_two_is_known_by_hand():
    true = np.zeros((20, 20), np.int32)
    true[:, :10] = 1
    found = np.zeros_like(true)
    found[:12, :10], found[12:, :10] = 1, 2  # 120 and 80 of 200 px
    scores = score_image(LabelImage(true, {1: "a"}), LabelImage(found, {1: "a", 2: "b"}), 0.5)
    assert (scores["dice"], scores["iou"]) == (1, 1)
    assert (scores["sq"], scores["dq"]) == (pytest.approx(0.6), pytest.approx(1 / 1.5))
    assert scores["aji"] == scores["aji_plus"] == pytest.approx(120 / 280)
    assert scores["pq a"] == pytest.approx(0.6)  # b is no false a
    assert (scores["tp"], scores["fp"], scores["fn"]) == (1, 1, 0)


def test_detection_is_in_um():
    true, found = np.zeros((2, 60, 60), np.int32)
    true[10:20, 10:20], found[10:20, 18:28] = 1, 1  # 8 px apart
    tps = [score_image(LabelImage(true, {}), LabelImage(found, {}), mpp)["tp"] for mpp in (0.25, 0.5)]
    assert tps == [1, 0]


def test_classes_average_over_the_images_that_have_them():
    a, b = nuclei(100), nuclei(3, 4.0)
    types = {k: "xy"[k % 2] for k in range(1, 41)}
    images = {
        "one": (LabelImage(a, types), LabelImage(a, types)),
        "two": (LabelImage(a, dict.fromkeys(types, "x")), LabelImage(b, dict.fromkeys(types, "x"))),
    }
    whole, each = segmentation_sections(images, 0.25, seed=0, draws=50)
    rows = {(row["measure"], row["label"]): row for row in whole.rows}
    second = instance_scores(a, b).pq
    assert rows["pq", "x"]["value"] == pytest.approx((1 + second) / 2)
    assert (rows["pq", "y"]["value"], rows["pq", "y"]["n"]) == (1, 1)
    assert rows["mPQ", "all"]["value"] == pytest.approx((1 + (1 + second) / 2) / 2)
    assert rows["pq", "all"]["low"] == pytest.approx(second)
    assert rows["pq", "all"]["high"] == pytest.approx(1)
    assert [row["image"] for row in each.rows] == ["one", "two"]


def test_nothing_to_find_has_no_score_and_something_found_there_has_none_either():
    nothing, some = LabelImage(np.zeros((9, 9), int), {}), LabelImage(np.eye(9, dtype=int), {})
    assert np.isnan(score_image(nothing, nothing, 1.0)["pq"])
    assert np.isnan(score_image(nothing, nothing, 1.0)["aji_plus"])
    assert [score_image(nothing, some, 1.0)[name] for name in ("pq", "aji", "aji_plus", "dice")] == [
        0,
        0,
        0,
        0,
    ]


def test_class_maps_as_cellseg_metrics():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, (64, 64))
    found = np.where(rng.random(true.shape) < 0.7, true, rng.integers(0, 4, true.shape))
    (section,) = map_sections({"a": (true, found)}, ["x", "y", "z"], seed=0, draws=10)
    known = true > 0
    for name, theirs in (
        ("Dice", cellseg_metrics.dice_multiclass(true[known], found[known], 4, eps=0)),
        ("IoU", cellseg_metrics.iou_multiclass(true[known], found[known], 4, eps=0)),
    ):
        ours = [row["value"] for row in section.rows if row["measure"] == name]
        assert ours == pytest.approx(theirs[1:].tolist(), abs=1e-9)


def test_sizes_that_differ_are_refused():
    with pytest.raises(DataError, match="sizes differ"):
        score_image(LabelImage(np.zeros((4, 4), int), {}), LabelImage(np.zeros((8, 8), int), {}), 0.5)


def squares(side, *corners):
    """A label image with squares of 6 px; class a of the first, b of the others."""
    labels = np.zeros((side, side), np.int32)
    for k, (y, x) in enumerate(corners, start=1):
        labels[y : y + 6, x : x + 6] = k
    return LabelImage(labels, {k: "a" if k == 1 else "b" for k in range(1, len(corners) + 1)})


def test_mpq_of_tissues_is_pannukes():
    """Of an image the mean over its classes, of a tissue over its images, of all over the tissues."""
    both, first = squares(40, (2, 2), (20, 20)), squares(40, (2, 2))
    images = {"1": (both, both), "2": (both, first), "3": (first, first)}
    rows = [
        {"image": "1", "tissue": "colon"},
        {"image": "2", "tissue": "colon"},
        {"image": "3", "tissue": "lung"},
    ]
    strata = ImageStrata.from_rows(rows, list(images), ("tissue",))
    sections = segmentation_sections(images, 0.5, seed=0, draws=10, strata=strata)
    found = next(section for section in sections if section.name == "strata")
    # Image 2 has all of class a and none of class b: 0.5.
    assert {row["stratum"]: row["value"] for row in found.rows} == {"colon": 0.75, "lung": 1.0}
    assert {row["n"] for row in found.rows} == {1, 2}
    assert all(row["too_small"] for row in found.rows)
    assert "0.875" in found.text
    with pytest.raises(DataError, match="no row of 3"):
        ImageStrata.from_rows(rows[:2], list(images), ("tissue",))
    with pytest.raises(DataError, match="no column scanner"):
        ImageStrata.from_rows(rows, list(images), ("scanner",))


def test_maps_are_told_by_stratum_too():
    true = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    maps = {str(k): (true, true if k < 6 else np.full_like(true, 1)) for k in range(12)}
    rows = [{"image": str(k), "scanner": "x" if k < 6 else "y", "site": "s"} for k in range(12)]
    strata = ImageStrata.from_rows(rows, list(maps), ("scanner", "site"))
    sections = {s.name: s for s in map_sections(maps, ("A", "B"), seed=0, draws=10, strata=strata)}
    worst, best = sections["strata"].rows
    assert (worst["stratum"], best["stratum"], best["value"]) == ("y / s", "x / s", 1.0)
    assert worst["value"] == pytest.approx((2 / 3 + 0) / 2)
    assert [(r["row"], r["column"]) for r in sections["heat_map"].rows] == [("x", "s"), ("y", "s")]
