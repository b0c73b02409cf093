import numpy as np
import pytest

from histome.geometry import morphology


def disc(radius, size=101):
    y, x = np.mgrid[:size, :size] - size // 2
    return x**2 + y**2 <= radius**2


def test_dilation_and_erosion_move_the_border_by_the_radius():
    assert np.array_equal(morphology.dilate(disc(0), 20), disc(20))
    grown = morphology.dilate(disc(20), 10)
    assert not (disc(29) & ~grown).any()
    assert not (grown & ~disc(31)).any()
    shrunk = morphology.erode(disc(30), 10)
    assert not (shrunk & ~disc(20)).any()
    assert not (disc(19) & ~shrunk).any()


def test_closing_fills_narrow_gaps_only():
    mask = np.ones((100, 100), bool)
    mask[:, 20:28] = False
    mask[:, 60:80] = False
    closed = morphology.close_gaps(mask, 6)
    assert closed[10:90, 20:28].all()
    assert not closed[:, 64:76].any()


def test_no_gap_closes_against_the_border():
    mask = np.ones((60, 60), bool)
    mask[:, :3] = False
    assert not morphology.close_gaps(mask, 10)[:, :3].any()


def test_small_holes_fill_and_at_the_border_smaller_ones():
    mask = np.ones((50, 50), bool)
    mask[10:13, 10:13] = False
    mask[20:30, 20:30] = False
    mask[40:43, 47:] = False
    filled = morphology.fill_small_holes(mask, 9)
    assert filled[10:13, 10:13].all()
    assert not filled[20:30, 20:30].any()
    assert not filled[40:43, 47:].any()
    assert morphology.fill_small_holes(mask, 18)[40:43, 47:].all()


def test_components_by_size_and_by_seed():
    mask = np.zeros((30, 30), bool)
    mask[2:5, 2:5] = mask[10:20, 10:20] = True
    assert morphology.keep_large(mask, 10).sum() == 100
    seeds = np.zeros_like(mask)
    seeds[3, 3] = True
    assert morphology.reach_from(seeds, mask).sum() == 9


def test_empty_masks_stay_empty():
    empty = np.zeros((10, 10), bool)
    for result in (
        morphology.dilate(empty, 3),
        morphology.close_gaps(empty, 3),
        morphology.keep_large(empty, 1),
    ):
        assert not result.any()
    assert (morphology.share_around(~empty, 3) == 255).all()


@pytest.mark.parametrize("radius", [2.0, 5.5, 6.4, 6.6, 9.0])
def test_kernel_and_distance_give_the_same_discs(radius, monkeypatch):
    mask = np.random.default_rng(0).random((60, 70)) < 0.01
    by_default = morphology.dilate(mask, radius)
    monkeypatch.setattr(morphology, "_KERNEL_RADIUS_PX", 0.0 if radius < 6.5 else 20.0)
    assert np.array_equal(morphology.dilate(mask, radius), by_default)


def test_components_know_their_extent():
    mask = np.zeros((20, 30), bool)
    mask[2:5, 3:7] = True
    found = morphology.components(mask)
    assert found.areas_px.tolist() == [0, 12]
    assert found.lengths_px.tolist() == [0, 5]
