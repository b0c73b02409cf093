"""Star-convex decoding against shapes known by hand."""

import numpy as np

from histome.cells.decode import Decoded, DecodeSettings, decode
from histome.cells.decode.sharpen import polygons
from histome.cells.decode.stardist import candidates, star_polygons
from histome.geometry.polygons import centroids
from histome.models.card import Thresholds

RAYS = 32


def _disc_maps(discs, size=64):
    """Perfect maps of discs (x, y, radius in input pixels) on a stride-2 grid of `size` cells."""
    yy, xx = np.mgrid[:size, :size] * 2.0 + 1.0
    prob = np.zeros((size, size), np.float32)
    dist = np.zeros((RAYS, size, size), np.float32)
    angles = 2 * np.pi * np.arange(RAYS) / RAYS
    for x, y, radius in discs:
        dx, dy = xx - x, yy - y
        inside = np.hypot(dx, dy) < radius
        prob[inside] = (1 - np.hypot(dx, dy) / radius)[inside]
        # Distance from an inner point to the circle along each ray.
        for k, angle in enumerate(angles):
            b = dx * np.cos(angle) + dy * np.sin(angle)
            to_circle = -b + np.sqrt(np.maximum(b**2 - dx**2 - dy**2 + radius**2, 0))
            dist[k][inside] = to_circle[inside]
    return prob, dist


def test_discs_come_back_once_with_their_center_and_area():
    discs = [(31.0, 31.0, 8.0), (81.0, 41.0, 12.0), (51.0, 101.0, 5.0)]
    maps = _disc_maps(discs)
    centers, scores, distances, labels = star_polygons(*maps, prob_threshold=0.4, nms_threshold=0.3)
    assert len(centers) == 3
    assert np.all(np.diff(scores) <= 0)
    found = {tuple(c) for c in centers}
    assert found == {(x, y) for x, y, _ in discs}
    for (cx, cy), rays, k in zip(centers, distances, range(1, 4), strict=True):
        radius = next(r for x, y, r in discs if (x, y) == (cx, cy))
        np.testing.assert_allclose(rays, radius, rtol=1e-6)
        assert abs((labels == k).sum() - np.pi * radius**2) < 0.06 * np.pi * radius**2 + 4


def test_touching_discs_stay_two_and_the_overlap_is_painted_once():
    centers, _, _, labels = star_polygons(
        *_disc_maps([(41.0, 41.0, 10.0), (59.0, 41.0, 10.0)]), prob_threshold=0.4, nms_threshold=0.3
    )
    assert len(centers) == 2
    assert set(np.unique(labels)) == {0, 1, 2}


def test_a_polygon_covered_beyond_the_threshold_is_dropped():
    prob = np.zeros((32, 32), np.float32)
    dist = np.full((RAYS, 32, 32), 10.0, np.float32)
    prob[10, 10], prob[10, 16] = 0.9, 0.8  # 12 px apart, radius 10: a lens of 25 % of each disc
    assert len(star_polygons(prob, dist, prob_threshold=0.5, nms_threshold=0.5).scores) == 2
    assert len(star_polygons(prob, dist, prob_threshold=0.5, nms_threshold=0.1).scores) == 1


def test_nothing_over_the_threshold_gives_empty_arrays():
    empty = np.zeros((16, 16), np.float32), np.zeros((RAYS, 16, 16), np.float32)
    centers, scores, distances, labels = star_polygons(*empty, prob_threshold=0.5, nms_threshold=0.3)
    assert centers.shape == (0, 2)
    assert scores.shape == (0,)
    assert distances.shape == (0, RAYS)
    assert labels.shape == (32, 32)
    assert labels.max() == 0


def test_equal_probabilities_are_taken_in_reading_order():
    prob = np.zeros((8, 8), np.float32)
    prob[5, 1] = prob[1, 6] = prob[1, 2] = 0.7
    rows, cols = candidates(prob, 0.5)
    assert list(zip(rows.tolist(), cols.tolist(), strict=True)) == [(1, 2), (1, 6), (5, 1)]


def test_polygons_put_ray_k_at_its_angle_with_y_down():
    outline = polygons(np.array([[10.0, 20.0]]), np.full((1, 4), 2.0, np.float32))[0]
    np.testing.assert_allclose(outline, [[12, 20], [10, 22], [8, 20], [10, 18]], atol=1e-6)


def test_a_nucleus_over_the_edge_is_kept_and_painted_inside_only():
    prob, dist = _disc_maps([(1.0, 31.0, 9.0)])
    centers, _, _, labels = star_polygons(prob, dist, prob_threshold=0.4, nms_threshold=0.3)
    assert len(centers) == 1
    assert 0 < (labels == 1).sum() < np.pi * 81


def test_decoding_gives_outlines_with_the_class_of_their_pixels():
    prob, dist = _disc_maps([(31.0, 31.0, 8.0), (81.0, 41.0, 12.0)])
    logits = np.zeros((9, 64, 64), np.float32)
    logits[2, :, :28], logits[5, :, 28:] = 4.0, 4.0
    maps = {"prob": prob[None], "dist": dist, "logits": logits}
    found = decode("stardist", maps, DecodeSettings(0.5, Thresholds(prob=0.4, nms=0.3), stride=2))
    assert isinstance(found, Decoded)
    by_x = np.argsort(found.outlines[:, 0, 0])
    np.testing.assert_allclose(centroids(found.outlines)[by_x], [(31, 31), (81, 41)], atol=1e-5)
    assert found.logits[by_x].argmax(axis=1).tolist() == [2, 5]
    assert found.labels[31, 31] == by_x[0] + 1
