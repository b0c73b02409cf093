"""Areas and centers of outlines."""

import numpy as np

from histome.geometry.polygons import centroids, polygon_areas


def test_the_centroid_of_an_outline_is_its_area_center():
    triangle = np.array([[[0.0, 0.0], [6.0, 0.0], [0.0, 3.0]]])
    np.testing.assert_allclose(centroids(triangle), [[2.0, 1.0]])
    np.testing.assert_allclose(centroids(triangle[:, ::-1] + 5), [[7.0, 6.0]])


def test_the_area_of_an_outline_does_not_depend_on_its_turn_or_place():
    triangle = np.array([[[0.0, 0.0], [6.0, 0.0], [0.0, 3.0]]])
    both = np.concatenate([triangle, triangle[:, ::-1] + 1e4])
    np.testing.assert_allclose(polygon_areas(both), [9.0, 9.0])
