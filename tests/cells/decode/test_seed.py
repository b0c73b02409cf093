"""The rules of InstanSeg, with a perceptron that is known by hand."""

import numpy as np
import pytest

from histome.cells.decode import DecodeSettings, decode
from histome.models.card import PixelVotes, Thresholds

SIDE, RADIUS, UNIT = 96, 9, 4
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
# A logit of 4 - 4 (|dx| + |dy|): half at one unit, four pixels, from where the seed points.
LAYERS = (
    ((1.0, 0, 0, 0, 0), (-1.0, 0, 0, 0, 0), (0, 1.0, 0, 0, 0), (0, -1.0, 0, 0, 0)),
    ((-4.0, -4.0, -4.0, -4.0, 4.0),),
)
VOTES = PixelVotes(seed=0.7, apart_px=5, reach_px=16, layers=LAYERS)


def disc_maps(discs):
    """Each pixel of a disc points to its middle, all others far away; seeds are the middles."""
    offset = np.full((2, SIDE, SIDE), 1e3, np.float32)
    seed = np.zeros((1, SIDE, SIDE), np.float32)
    for row, column in discs:
        inside = np.hypot(ROWS - row, COLUMNS - column) <= RADIUS
        offset[:, inside] = np.stack([column - COLUMNS, row - ROWS])[:, inside] / UNIT
        seed[0, row, column] = 1
    return {"seed": seed, "offset": offset, "spread": np.zeros_like(offset)}


def found_in(maps, nms=0.3, prob=0.53):
    cuts = Thresholds(prob=prob, nms=nms, min_area_um2=0.5)
    return decode("seed", maps, DecodeSettings(0.5, cuts, cell_classes=("lymphocyte",), votes=VOTES))


def test_each_disc_has_its_pixels_and_no_others():
    found = found_in(disc_maps([(40, 30), (40, 60)]))
    for label, middle in ((1, 30), (2, 60)):
        wanted = np.hypot(ROWS - 40, COLUMNS - middle) <= RADIUS
        assert ((found.labels == label) != wanted).sum() <= 4  # outlines have 32 corners
    assert found.scores.tolist() == pytest.approx([1 / (1 + np.exp(-4))] * 2, abs=0.01)


def test_two_seeds_of_one_nucleus_are_one_nucleus():
    maps = disc_maps([(40, 30)])
    maps["seed"][0, 46, 30] = 0.9  # six pixels away, one more than a seed keeps clear
    assert len(found_in(maps).scores) == 1
    maps["seed"][0, 40, 30] = 0
    assert len(found_in(maps).scores) == 1


def test_seeds_keep_clear_of_larger_ones_and_of_equal_ones_that_come_before():
    maps = disc_maps([(40, 30)])
    maps["seed"][0] = 0
    maps["seed"][0, 38:43, 28:33] = 0.8
    assert len(found_in(maps, nms=1.0).scores) == 1
    maps["seed"][0] = np.where(maps["seed"][0] > 0, 0.7, 0)  # not more than 0.7
    assert len(found_in(maps).scores) == 0


def test_what_does_not_hang_together_with_the_seed_is_not_its_own():
    maps = disc_maps([(40, 30)])
    maps["offset"][:, 40, 42:45] = np.stack([30 - COLUMNS, 40 - ROWS])[:, 40, 42:45] / UNIT
    assert (found_in(maps).labels[40, 42:45] == 0).all()


def test_a_hole_is_filled():
    maps = disc_maps([(40, 30)])
    maps["offset"][:, 43:46, 31:34] = 1e3
    assert (found_in(maps).labels[43:46, 31:34] == 1).all()


def test_a_pixel_that_two_want_goes_to_the_likeliest():
    maps = disc_maps([(40, 30), (40, 40)])  # they overlap; the later disc's pixels point to it
    found = found_in(maps)
    assert found.labels[40, 36] == found.labels[40, 40] == 2
    assert (found.labels == 2).sum() > (found.labels == 1).sum()


def test_no_seeds_are_no_nuclei():
    found = found_in(disc_maps([]))
    assert found.outlines.shape == (0, 32, 2)


def test_layers_that_do_not_follow_each_other_are_refused():
    with pytest.raises(ValueError, match="3 weights and a bias"):
        PixelVotes(seed=0.7, apart_px=5, reach_px=16, layers=(LAYERS[0][:3], LAYERS[1]))
    with pytest.raises(ValueError, match="the last has one unit"):
        PixelVotes(seed=0.7, apart_px=5, reach_px=16, layers=LAYERS[:1])
