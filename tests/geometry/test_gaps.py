"""Gaps between shapes: against shapely's distances, and how the search ends."""

import numpy as np
import shapely

from histome.geometry.gaps import gaps_between


def test_gaps_are_the_distances_of_the_nearest_borders(rng):
    centers = rng.uniform(0, 3000, (60, 2))
    shapes = shapely.buffer(shapely.points(centers), rng.uniform(5, 40, 60), quad_segs=3)
    borders = shapely.get_exterior_ring(shapes)
    apart = shapely.distance(borders[:, None], borders[None])
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(gaps_between(shapes), apart.min(axis=1), atol=0.8)


def test_long_edges_count_where_they_are_near():
    """The middle of a side of 2 mm, far from its corners."""
    bar, dot = shapely.box(0, 0, 2000, 10), shapely.box(1000, 30, 1001, 31)
    assert abs(gaps_between(np.array([bar, dot], object)) - 20).max() < 0.2


def test_one_shape_is_alone():
    assert gaps_between(np.array([shapely.box(0, 0, 1, 1)], object)).tolist() == [np.inf]
    assert len(gaps_between(np.array([], object))) == 0
