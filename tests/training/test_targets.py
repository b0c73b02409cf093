"""Targets sampled from label maps against a disc known by hand."""

import numpy as np
import pytest

from histome.training.augment import similarity, warp
from histome.training.targets import sample_targets


def _disc(size=200, x=100.0, y=100.0, radius=20.0):
    yy, xx = np.mgrid[:size, :size] + 0.5
    depth = np.maximum(radius - np.hypot(xx - x, yy - y), 0)
    labels = (depth > 0).astype(np.int32)
    return labels, (255 * depth / depth.max()).astype(np.uint8)


@pytest.mark.parametrize("turn", [0.0, 0.4, np.pi / 2])
@pytest.mark.parametrize("zoom", [1.0, 2.0])
@pytest.mark.parametrize("flip", [1, -1])
def test_rays_of_a_disc_have_its_radius_whatever_the_turn_and_scale(turn, zoom, flip):
    labels, depth = _disc()
    linear = zoom * np.array([[flip * np.cos(turn), -np.sin(turn)], [flip * np.sin(turn), np.cos(turn)]])
    size = 64
    # The disc's center falls on the grid cell (16, 16), whose center is crop pixel (33, 33).
    matrix = np.hstack([linear, (np.array([100.0, 100.0]) - linear @ np.array([33.0, 33.0]))[:, None]])
    sets = np.array([0, 8], np.uint16)
    prob, weight, dist, masks = sample_targets(
        labels, depth, np.full(labels.shape, 255, np.uint8), sets, matrix=matrix, size=size
    )
    assert prob[16, 16] > 0.95
    np.testing.assert_allclose(dist[:, 16, 16], 20 / zoom, atol=1.0 / zoom)
    assert masks[16, 16] == 8
    assert (prob > 0).sum() == pytest.approx(np.pi * (20 / zoom) ** 2 / 4, rel=0.15)
    assert weight.min() == 1.0


def test_ray_angles_run_from_x_to_y():
    labels, depth = _disc()
    matrix = np.array([[1.0, 0, 68], [0, 1, 68]])  # crop pixel p is label pixel p + 68: the center is at 32
    _, _, dist, _ = sample_targets(
        labels,
        depth,
        np.full(labels.shape, 255, np.uint8),
        np.array([0, 1], np.uint16),
        matrix=matrix,
        size=64,
    )
    # The grid cell centered at crop (41, 33) lies 9 px right of the disc's center.
    right, down = dist[0, 16, 20], dist[8, 16, 20]
    assert right == pytest.approx(20 - 9, abs=1.0)
    assert down == pytest.approx(np.sqrt(400 - 81), abs=1.5)


def test_unknown_pixels_have_no_weight_and_no_labels_outside_the_field():
    labels = np.zeros((40, 40), np.int32)
    unknown = np.zeros((40, 40), np.uint8)
    matrix = np.array([[1.0, 0, 20], [0, 1, 20]])
    prob, weight, _, _ = sample_targets(
        labels, unknown, unknown, np.zeros(1, np.uint16), matrix=matrix, size=40
    )
    assert prob.max() == 0
    assert weight[:10, :10].max() == 0
    assert weight[11:, 11:].min() == 1  # white outside the field is surely background


def test_image_and_targets_are_cut_by_the_same_matrix():
    labels, depth = _disc()
    image = np.repeat(np.where(labels > 0, 0, 255).astype(np.uint8)[..., None], 3, 2)
    rng = np.random.default_rng(5)
    matrix = similarity(np.array([104.0, 97.0]), 96, rng)
    crop = warp(image, matrix, 96)[..., 0]
    prob, *_ = sample_targets(
        labels, depth, np.full(labels.shape, 255, np.uint8), np.zeros(2, np.uint16), matrix=matrix, size=96
    )
    dark = crop.reshape(48, 2, 48, 2).mean((1, 3)) < 128
    assert ((prob > 0) != dark).mean() < 0.01
