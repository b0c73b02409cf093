"""The seam rule on nuclei placed by hand: no double, no gap, whatever the order."""

import numpy as np
import pytest
import shapely

from histome.cells.stitch import settle_seams
from histome.cells.windows import Nuclei

ANGLES = 2 * np.pi * np.arange(32) / 32


def nuclei(*rows):
    """Rows of (x, y, radius, window, owner, score), all in px and all at a seam."""
    x, y, radius, window, owner, score = (np.array(column) for column in zip(*rows, strict=True))
    rays = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    n = len(x)
    return Nuclei(
        (np.stack([x, y], axis=1)[:, None] + radius[:, None, None] * rays).astype(np.float32),
        np.zeros((n, 9)),
        np.zeros((n, 3)),
        np.zeros((n, 9), np.float32),
        np.zeros(n, np.float32),
        score.astype(np.float32),
        np.ones(n, np.uint8),
        window.astype(np.int32),
        owner.astype(np.int32),
        np.ones(n, bool),
    )


def kept(*rows, overlap=0.3):
    return settle_seams(nuclei(*rows), overlap=overlap).tolist()


def test_a_nucleus_seen_by_both_is_its_owners():
    assert kept((98, 0, 8, 0, 0, 0.6), (98.5, 0, 8, 1, 0, 0.9)) == [True, False]


def test_both_think_it_is_their_own():
    assert kept((99, 0, 8, 0, 0, 0.6), (101, 0, 8, 1, 1, 0.9)) == [False, True]


def test_each_thinks_it_is_the_others():
    assert kept((101, 0, 8, 0, 1, 0.9), (99, 0, 8, 1, 0, 0.6)) == [True, False]


def test_only_the_one_that_does_not_own_the_place_sees_it():
    """Below the owner's threshold is below the threshold."""
    assert kept((101, 0, 8, 0, 1, 0.9)) == [False]


def test_four_windows_at_a_corner_keep_one():
    seen = [
        (99, 99, 8, 0, 3, 0.7),
        (101, 99, 8, 1, 2, 0.8),
        (99, 101, 8, 2, 1, 0.6),
        (101, 101, 8, 3, 0, 0.5),
    ]
    assert sum(kept(*seen)) == 1
    assert sum(kept(*[(x, y, r, w, w, s) for x, y, r, w, _, s in seen])) == 1


def test_touching_neighbors_stay_two():
    assert kept((94, 0, 8, 0, 0, 0.9), (108, 0, 8, 1, 1, 0.6)) == [True, True]


def test_nuclei_of_one_window_are_not_judged_again():
    assert kept((94, 0, 8, 0, 0, 0.9), (96, 0, 8, 0, 0, 0.6)) == [True, True]


def test_a_small_nucleus_inside_a_large_one_of_the_other_window_goes():
    assert kept((97, 0, 20, 0, 0, 0.9), (105, 0, 4, 1, 1, 0.6)) == [True, False]


def test_what_lies_away_from_seams_is_kept_by_its_owner():
    two = nuclei((98, 0, 8, 0, 0, 0.6), (99, 0, 8, 1, 1, 0.9))._replace(at_seam=np.zeros(2, bool))
    assert settle_seams(two, overlap=0.3).tolist() == [True, True]


def test_no_nucleus():
    assert settle_seams(nuclei((0, 0, 1, 0, 0, 0.5)).select(np.zeros(1, bool)), overlap=0.3).tolist() == []


def test_outlines_folded_by_rounding_are_no_error():
    folded = nuclei((98, 0, 8, 0, 0, 0.6), (99, 0, 8, 1, 1, 0.9))
    folded.outline_px[0, ::2] = folded.outline_px[0, 1::2][::-1]
    assert settle_seams(folded, overlap=0.3).shape == (2,)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_rows_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    n = 60
    x, y = rng.uniform(80, 120, n), rng.uniform(0, 200, n)
    window, owner = rng.integers(0, 2, n), (x > 100).astype(int)
    score = rng.choice([0.5, 0.6, 0.7], n)  # many ties
    crowd = nuclei(*zip(x, y, rng.uniform(3, 9, n), window, owner, score, strict=True))
    keep = settle_seams(crowd, overlap=0.3)
    order = rng.permutation(n)
    np.testing.assert_array_equal(settle_seams(crowd.select(order), overlap=0.3), keep[order])
    assert 0 < keep.sum() < n


def test_seams_are_settled_in_strips_of_few_polygons(monkeypatch):
    """What is kept is the same, and polygons are made of a strip at a time, and of what reaches into it."""
    rng = np.random.default_rng(6)
    rows = []
    for y in np.arange(0, 4000, 20.0):
        true = 100 + rng.uniform(-12, 12)
        for window in (0, 1):
            x = true + rng.uniform(-3, 3)
            rows.append((x, y + rng.uniform(-2, 2), rng.uniform(7, 12), window, int(x > 100), rng.random()))
    rows = [rows[k] for k in rng.permutation(len(rows))]
    whole, made, polygons = kept(*rows), [], shapely.polygons
    monkeypatch.setattr("histome.cells.stitch._AT_ONCE", 8)
    monkeypatch.setattr(shapely, "polygons", lambda rings: made.append(len(rings)) or polygons(rings))
    assert kept(*rows) == whole
    assert 150 < sum(whole) < 250
    assert max(made) < 20
