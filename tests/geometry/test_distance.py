"""Distance fields against scipy and by hand."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from histome.geometry.distance import distance_to


@pytest.fixture
def mask():
    return np.random.default_rng(3).random((301, 157)) > 0.997


def all_pixels(shape):
    return (axis.ravel() for axis in np.indices(shape))


def test_is_the_euclidean_distance(mask):
    rows, columns = all_pixels(mask.shape)
    found = distance_to(mask).at(rows, columns).reshape(mask.shape)
    assert np.array_equal(found, distance_transform_edt(~mask))


@pytest.mark.parametrize("radius_px", [0.0, 1.0, 5.0, 7.3, 1000.0])
def test_within_is_a_dilation_by_a_disc(mask, radius_px):
    assert np.array_equal(distance_to(mask).within(radius_px), distance_transform_edt(~mask) <= radius_px)


def test_histogram_counts_the_chosen_codes(mask):
    codes = np.random.default_rng(4).integers(0, 4, mask.shape).astype(np.uint8)
    edges = np.array([0.0, 1.0, 4.0, 9.5, 30.0])
    distance = distance_transform_edt(~mask)[np.isin(codes, (1, 3))]
    expected = [np.sum((distance > low) & (distance <= high)) for low, high in pairwise(edges)]
    assert distance_to(mask).histogram(codes, (1, 3), edges).tolist() == expected


@pytest.mark.parametrize("outside", [False, True])
def test_few_points_are_looked_up_one_by_one(mask, outside):
    """A whole row is worked out only where that is cheaper."""
    expected = distance_transform_edt(~np.pad(mask, 1, constant_values=outside))[1:-1, 1:-1]
    rows, columns = (each[::97] for each in all_pixels(mask.shape))
    found = distance_to(mask, outside=outside).at(rows, columns)
    assert np.array_equal(found, expected[rows, columns])
    near = distance_to(mask, outside=outside).at(rows, columns, reach_px=9.0)
    assert np.array_equal(near[near <= 9], expected[rows, columns][expected[rows, columns] <= 9])


def test_a_field_keeps_next_to_nothing_and_copies_no_map(mask):
    part = np.pad(mask, 300)[100:-100, 100:-100]
    field = distance_to(part)
    assert np.shares_memory(field.codes, part)
    assert field.above.nbytes + field.below.nbytes < part.size / 16
    rows, columns = all_pixels(part.shape)
    assert np.array_equal(field.at(rows, columns).reshape(part.shape), distance_transform_edt(~part))


def test_tiles_share_out_the_histogram(mask):
    codes = np.random.default_rng(4).integers(0, 4, mask.shape).astype(np.uint8)
    edges = np.array([0.0, 4.0, 9.5, 30.0])
    places = np.arange(301) // 70, np.arange(157) // 50
    shares = np.full(301, 0.5), np.full(157, 0.5)
    found = distance_to(mask, workers=2).histogram_by_tile(codes, (1, 3), edges, places, shares=shares)
    assert found.shape == (5, 4, 3)
    assert found.sum(axis=(0, 1)).tolist() == (distance_to(mask).histogram(codes, (1, 3), edges) / 4).tolist()
    distance = np.where(np.isin(codes, (1, 3)), distance_transform_edt(~mask), 0)[70:140, 100:150]
    assert found[1, 2].tolist() == [
        np.sum((distance > low) & (distance <= high)) / 4 for low, high in pairwise(edges)
    ]


def test_one_pixel_by_hand():
    mask = np.zeros((4, 5), bool)
    mask[0, 0] = True
    field = distance_to(mask)
    assert field.at(np.array([3, 0, 0]), np.array([4, 0, 3])).tolist() == [5.0, 0.0, 3.0]
    assert field.within(1.0).sum() == 3


def test_an_empty_mask_is_infinitely_far():
    field = distance_to(np.zeros((3, 4), bool))
    assert field.at(np.array([1]), np.array([2])) == np.inf
    assert not field.within(1e9).any()
    assert field.histogram(np.ones((3, 4), np.uint8), (1,), np.array([0.0, 1e9])).tolist() == [0]


def test_workers_and_turns_change_nothing(mask):
    near = distance_to(mask, workers=3).within(6.0)
    assert np.array_equal(near, distance_to(mask).within(6.0))
    assert np.array_equal(np.rot90(near), distance_to(np.rot90(mask)).within(6.0))


def test_outside_belongs_to_the_mask(mask):
    padded = np.pad(mask, 1, constant_values=True)
    expected = distance_transform_edt(~padded)[1:-1, 1:-1]
    field = distance_to(mask, outside=True)
    rows, columns = all_pixels(mask.shape)
    assert np.array_equal(field.at(rows, columns).reshape(mask.shape), expected)
    assert np.array_equal(field.within(4.0), expected <= 4.0)
    empty = distance_to(np.zeros((3, 5), bool), outside=True)
    assert empty.at(np.array([1]), np.array([2])) == 2


def test_tail_counts_what_is_left_after_each_erosion(mask):
    expected = distance_transform_edt(~mask)
    codes = np.ones(mask.shape, np.uint8)
    tail = distance_to(mask).tail(codes, (1,))
    assert tail.tolist() == [np.sum(np.floor(expected) >= k) for k in range(len(tail))]
    assert tail[-1] > 0


def test_nothing_has_nothing():
    field, codes = distance_to(np.zeros((0, 0), bool)), np.zeros((0, 0), np.uint8)
    assert field.histogram(codes, (1,), np.array([0.0, 5.0])).tolist() == [0]
    assert field.tail(codes, (1,)).tolist() == []
    assert field.within(3.0).shape == (0, 0)
