"""The rules of HoVer-NeXt on drawn parts of nuclei."""

import numpy as np
import pytest

from histome.cells.decode import DecodeSettings, decode
from histome.models.card import Basins, Thresholds

SIDE, MPP = 96, 0.5
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
CELLS = ("carcinoma_cell", "lymphocyte")


def away(row, column):
    return np.hypot(ROWS - row, COLUMNS - column)


def maps_of(*discs, types=()):
    """Discs of radius 10, inside 1 at the middle and 0.2 at the rim; `types`: 0 or 1 of each."""
    parts, classes = np.zeros((3, SIDE, SIDE), np.float32), np.zeros((3, SIDE, SIDE), np.float32)
    parts[0], classes[0] = 1, 1
    for disc, kind in zip(discs, types or [0] * len(discs), strict=True):
        inside = away(*disc) <= 10
        parts[1] = np.maximum(parts[1], np.where(inside, 1 - 0.08 * away(*disc), 0))
        parts[0][inside] = 0.1
        classes[1 + kind][inside] = 0.8
    parts[2] = np.maximum(1 - parts[0] - parts[1], 0)
    return {"classes": classes, "parts": parts}


def found_in(maps, *, foreground=(0.5, 0.5), seed=(0.6, 0.6), least=(5.0, 5.0), most=(500.0, 500.0)):
    basins = Basins(foreground=foreground, seed=seed, least_um2=least, most_um2=most)
    return decode("basin", maps, DecodeSettings(MPP, Thresholds(), cell_classes=CELLS, basins=basins))


def test_discs_that_touch_are_parted_where_they_are_least_inside():
    found = found_in(maps_of((40, 30), (40, 48)))
    for label, disc, other in ((1, (40, 30), (40, 48)), (2, (40, 48), (40, 30))):
        wanted = (away(*disc) <= 10) & (away(*disc) < away(*other))
        assert ((found.labels == label) ^ wanted).sum() <= 12  # the line between them, corners of outlines
    np.testing.assert_allclose(found.scores, 0.9, atol=0.02)


def test_what_touches_at_a_corner_alone_is_reached_and_the_largest_piece_is_the_nucleus():
    maps = maps_of()
    for square in (np.s_[20:24, 20:24], np.s_[24:32, 24:32]):
        maps["parts"][0][square], maps["parts"][1][square] = 0.1, 0.5
    maps["parts"][1, 21, 21] = 0.9  # the seed is in the small one
    maps["classes"][1][maps["parts"][1] > 0] = 1
    found = found_in(maps, least=(0.1, 0.1))
    assert found.labels.max() == 1
    assert found.labels[28, 28] == 1


def test_each_type_has_thresholds_of_its_own():
    maps = maps_of((30, 30), (60, 60), types=(0, 1))
    assert [len(found_in(maps, seed=(0.6, cut)).scores) for cut in (0.6, 1.0)] == [2, 1]
    assert [len(found_in(maps, foreground=(cut, 0.5)).scores) for cut in (0.85, 0.95)] == [2, 1]
    area_um2 = np.pi * 100 * MPP**2
    assert [len(found_in(maps, least=(5.0, cut * area_um2)).scores) for cut in (0.9, 1.1)] == [2, 1]
    assert [len(found_in(maps, most=(cut * area_um2, 500.0)).scores) for cut in (0.9, 1.1)] == [1, 2]


def test_a_nucleus_is_of_the_type_of_most_of_its_pixels():
    maps = maps_of((40, 40))
    left = (away(40, 40) <= 10) & (COLUMNS < 38)
    maps["classes"][2][left] = 0.9
    shares = np.exp(found_in(maps).logits[0])
    assert shares[0] == pytest.approx((COLUMNS[away(40, 40) <= 10] >= 38).mean(), abs=0.01)
    assert shares[5] == pytest.approx(1 - shares[0])


def test_without_nuclei_there_are_none():
    found = found_in(maps_of())
    assert (len(found.scores), found.logits.shape, found.labels.max()) == (0, (0, 9), 0)
