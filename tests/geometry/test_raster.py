"""Painted polygons: by hand, against shapely, and turned."""

import numpy as np
import pytest
import shapely

from histome.geometry.raster import paint_outlines, paint_polygons


def painted(shapes, shape=(60, 80), unit_px=1.0):
    array = np.zeros(shape, np.uint8)
    paint_polygons(
        array, np.array(shapes, object), np.arange(1, len(shapes) + 1, dtype=np.uint8), unit_px=unit_px
    )
    return array


def centers_inside(polygon, shape=(60, 80)):
    rows, columns = np.indices(shape)
    return shapely.contains_xy(polygon, columns + 0.5, rows + 0.5)


def test_a_box_covers_the_pixels_whose_centers_it_holds():
    array = painted([shapely.box(2.4, 3.6, 7.5, 9)])
    assert array.sum() == 5 * 5
    assert array[4, 2] == 1
    assert array[3, 2] == 0


def test_box_edges_through_centers_count_on_one_side_only():
    left, right = shapely.box(0.5, 0.5, 10.5, 10.5), shapely.box(10.5, 0.5, 20.5, 10.5)
    assert painted([left]).sum() == painted([right]).sum() == 100


def test_holes_and_later_polygons():
    ring = shapely.box(0, 0, 20, 20).difference(shapely.box(5, 5, 15, 15))
    array = painted([ring, shapely.box(8, 8, 12, 12)])
    assert np.bincount(array.ravel())[1:].tolist() == [300, 16]


@pytest.mark.parametrize("seed", range(5))
def test_equals_shapely_on_random_polygons(seed):
    rng = np.random.default_rng(seed)
    blobs = shapely.buffer(shapely.points(rng.uniform(0, 70, (12, 2))), rng.uniform(2, 12, 12))
    shape = shapely.union_all(blobs).difference(shapely.Point(35, 30).buffer(9))
    assert np.array_equal(painted([shape]) > 0, centers_inside(shape))


def test_self_crossing_outline_follows_the_even_odd_rule():
    bow = shapely.Polygon([(0, 0), (40, 40), (40, 0), (0, 40)])
    assert not bow.is_valid
    halves = [shapely.Polygon([(0, 0), (20, 20), (0, 40)]), shapely.Polygon([(40, 40), (40, 0), (20, 20)])]
    expected = sum(centers_inside(half) for half in halves)
    assert abs(int(painted([bow]).sum()) - int(expected.sum())) <= 40  # centers on the edges


def test_beyond_the_array_scale_and_nothing():
    assert painted([shapely.box(-50, -50, 500, 5)]).sum() == 5 * 80
    assert painted([shapely.box(0, 0, 40, 40)], unit_px=0.25).sum() == 100
    assert painted([shapely.Polygon(), shapely.box(900, 900, 999, 999)]).sum() == 0


def test_a_painted_square_covers_the_pixels_whose_centers_it_holds():
    square = np.array([[[3.0, 4.0], [7.0, 4.0], [7.0, 9.0], [3.0, 9.0]]])
    rows, cols = np.nonzero(paint_outlines(square, (12, 12)))
    assert (rows.min(), rows.max(), cols.min(), cols.max(), len(rows)) == (4, 8, 3, 6, 20)


def test_both_ways_to_paint_fill_by_one_rule():
    """Quarter and half pixels too: a center on an outline belongs to one side only, the same in both."""
    rng = np.random.default_rng(4)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (40, 9)), axis=1)
    radii = rng.uniform(1, 9, (40, 9, 1))
    places = rng.uniform(0, 60, (40, 1, 2))
    outlines = np.round(4 * (places + radii * np.stack([np.cos(angles), np.sin(angles)], axis=-1))) / 4
    for outline in outlines:
        alone = paint_outlines(outline[None], (60, 80))
        np.testing.assert_array_equal(alone, painted([shapely.Polygon(outline)]))


def test_the_first_of_overlapping_outlines_keeps_its_pixels():
    squares = np.array([[[x, 2.0], [x + 6, 2.0], [x + 6, 8.0], [x, 8.0]] for x in (1.0, 4.0)])
    labels = paint_outlines(squares, (10, 12))
    assert (labels[5] == [0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0]).all()
