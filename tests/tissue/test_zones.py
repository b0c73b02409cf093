"""Zones of tumors whose geometry is known by hand."""

import numpy as np
import pytest
from scipy import ndimage

from histome.classes import TISSUE_CLASSES
from histome.config import TissueConfig
from histome.slide.maps import ClassMap
from histome.tissue.zones import ZONE_CLASSES, ZoneRule, find_zones, zone_rule

CARCINOMA, STROMA = (TISSUE_CLASSES.index(name) + 1 for name in ("CARCINOMA", "STROMA"))
MPP = 10.0
LARGER_HOLES = ZoneRule(largest_hole_um2=2e6)


def disc(shape, center, radius_px):
    rows, columns = np.indices(shape)
    return (rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius_px**2


def tissue_of(carcinoma, mpp=MPP):
    return ClassMap(np.where(carcinoma, CARCINOMA, STROMA).astype(np.uint8), mpp, TISSUE_CLASSES)


def test_bands_of_a_disc_have_the_areas_of_rings():
    # A tumor of radius 1 mm in 3.6 x 3.6 mm of stroma.
    zones = find_zones(tissue_of(disc((360, 360), (179.5, 179.5), 100)))
    area_mm2 = {name: zones.area_um2(name) / 1e6 for name in ZONE_CLASSES}
    assert area_mm2["TUMOR_CORE"] == pytest.approx(np.pi * 0.5**2, rel=0.01)
    assert area_mm2["INNER_INVASIVE_MARGIN"] == pytest.approx(np.pi * (1 - 0.5**2), rel=0.01)
    assert area_mm2["OUTER_INVASIVE_MARGIN"] == pytest.approx(np.pi * (1.5**2 - 1), rel=0.01)
    assert sum(area_mm2.values()) == pytest.approx(3.6**2)


def test_half_planes_give_straight_bands():
    carcinoma = np.zeros((200, 400), bool)
    carcinoma[:, :200] = True
    row = find_zones(tissue_of(carcinoma)).array[100]
    # Beyond the map is not tumor, so the core ends 50 px from the left edge as well.
    assert row.tolist() == [2] * 50 + [1] * 100 + [2] * 50 + [3] * 50 + [4] * 150


def test_gaps_close_holes_fill_and_specks_go():
    carcinoma = disc((300, 300), (150, 150), 90)
    carcinoma[150, :] = False  # a gap of 10 um
    carcinoma[disc((300, 300), (120, 120), 30)] = False  # a hole of 600 um
    carcinoma[5:15, 5:15] = True  # 0.01 mm2
    zones = find_zones(tissue_of(carcinoma)).array
    assert zones[150, 150] == 1
    assert zones[120, 120] in (1, 2)
    assert zones[10, 10] == 4


def test_a_large_hole_is_filled_only_where_it_holds_no_other_living_tissue():
    tumor, hole = disc((400, 400), (200, 200), 180), disc((400, 400), (200, 200), 60)
    island = disc((400, 400), (200, 200), 20)
    tissue = tissue_of(tumor & ~hole)  # 1.13 mm2 of stroma
    assert find_zones(tissue).array[200, 200] == 4
    assert find_zones(tissue).array[200, 255] == 3
    assert find_zones(tissue, LARGER_HOLES).array[200, 200] == 1
    for name in ("NECROSIS", "BLOOD", None):
        tissue.array[hole] = 0 if name is None else TISSUE_CLASSES.index(name) + 1
        assert np.isin(find_zones(tissue).array[hole], (0, 1)).all()
    inside = find_zones(tissue_of(tumor & ~hole | island)).array
    assert set(np.unique(inside[island])) == {2}
    between = disc((400, 400), (200, 200), 57) & ~disc((400, 400), (200, 200), 23)
    assert set(np.unique(inside[between])) == {3}


def test_no_hole_of_living_tissue_is_filled_at_0():
    tumor, hole = disc((400, 400), (200, 200), 180), disc((400, 400), (200, 200), 15)
    rule = zone_rule(TissueConfig(largest_hole_mm2=0.0))
    assert (find_zones(tissue_of(tumor & ~hole)).array[hole] == 1).all()
    middle = disc((400, 400), (200, 200), 12)
    assert (find_zones(tissue_of(tumor & ~hole), rule).array[middle] == 3).all()


def test_holes_that_are_kept_are_no_part_of_a_small_tumor():
    rule = ZoneRule(closing_um=0.0, smallest_um2=200 * MPP**2, margin_um=20.0, largest_hole_um2=0)
    ring = np.zeros((60, 60), bool)
    ring[20:40, 20:40] = True
    ring[25:35, 25:35] = False  # 300 px, of a filled area of 400
    assert np.isin(find_zones(tissue_of(ring), rule).array[ring], (1, 2)).all()
    large = rule._replace(smallest_um2=350 * MPP**2)
    assert (find_zones(tissue_of(ring), large).array == 4).all()


def test_smallest_tumor_is_counted_in_pixels():
    square = np.zeros((100, 100), bool)
    square[40:50, 40:50] = True
    rule = ZoneRule(closing_um=0.0, smallest_um2=100 * MPP**2, margin_um=20.0)
    assert np.isin(find_zones(tissue_of(square), rule).array[square], (1, 2)).all()
    assert (find_zones(tissue_of(square), rule._replace(smallest_um2=101 * MPP**2)).array == 4).all()


def test_no_carcinoma_no_tissue():
    assert (find_zones(tissue_of(np.zeros((20, 30), bool))).array == 4).all()
    empty = ClassMap(np.zeros((0, 0), np.uint8), MPP, TISSUE_CLASSES)
    assert find_zones(empty).array.shape == (0, 0)


def test_pixels_that_are_not_analyzed_are_in_no_zone():
    tissue = tissue_of(disc((360, 360), (179.5, 179.5), 100))
    tissue.array[170:190, 170:190] = 0
    zones = find_zones(tissue).array
    assert np.array_equal(zones == 0, tissue.array == 0)
    assert zones[160, 160] == 1


@pytest.fixture
def blobs():
    field = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((260, 340)), 14)
    return field > 0.005


@pytest.mark.parametrize("hole_px", [0, 60, np.inf])
def test_equals_scipy(hole_px):
    field = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((260, 340)), 6)
    padded = np.pad(field > -0.01, 70)
    closed = ndimage.distance_transform_edt(ndimage.distance_transform_edt(~padded) <= 3) > 3
    holes, n = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
    small = np.bincount(holes.ravel())[1:] <= hole_px
    assert n > 8
    filled = closed | np.isin(holes, 1 + np.flatnonzero(small))
    labels, _ = ndimage.label(filled, np.ones((3, 3)))
    tumor = np.isin(labels, 1 + np.flatnonzero(np.bincount(labels.ravel())[1:] >= 500))
    inside, outside = (ndimage.distance_transform_edt(mask) for mask in (tumor, ~tumor))
    expected = np.where(tumor, np.where(inside > 15, 1, 2), np.where(outside <= 15, 3, 4))
    rule = ZoneRule(30.0, 500 * MPP**2, 150.0, hole_px * MPP**2)
    found = find_zones(tissue_of(padded[70:-70, 70:-70]), rule).array
    assert np.array_equal(found, expected[70:-70, 70:-70])
    assert set(np.unique(found)) >= {1, 2, 3}


@pytest.mark.parametrize("turn", [np.rot90, np.fliplr, np.flipud])
def test_turning_the_tissue_turns_the_zones(blobs, turn):
    zones = find_zones(tissue_of(blobs)).array
    assert np.array_equal(turn(zones), find_zones(tissue_of(turn(blobs).copy()), workers=2).array)
