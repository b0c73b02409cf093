"""Targets sampled from label maps against a disc known by hand."""

import numpy as np
import pytest

from histome.datasets.fields import Field
from histome.training.augment import similarity, warp
from histome.training.nuclei.targets import sample_targets


def _field(labels, depth, weight, sets, points_px=((100.0, 100.0),)):
    return Field(
        *("made", "a", "p", np.zeros((1, 1, 3), np.uint8), labels, depth, weight, 0.25, sets, True),
        np.array(points_px, np.float32),
    )


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
    known = np.full(labels.shape, 255, np.uint8)
    targets = sample_targets(_field(labels, depth, known, sets), matrix=matrix, size=size)
    assert targets.prob[16, 16] > 0.95
    np.testing.assert_allclose(targets.dist[:, 16, 16], 20 / zoom, atol=1.0 / zoom)
    assert targets.sets[16, 16] == 8
    assert (targets.prob > 0).sum() == pytest.approx(np.pi * (20 / zoom) ** 2 / 4, rel=0.15)
    assert targets.prob_weight.min() == 1.0
    assert targets.mask.sum() == pytest.approx(np.pi * (20 / zoom) ** 2, rel=0.08)
    # Every cell of the disc points at its center, which lies at crop pixel (33, 33).
    rows, cols = np.nonzero(targets.prob)
    ends = np.stack([2 * cols + 1, 2 * rows + 1]) + targets.offset[:, rows, cols]
    np.testing.assert_allclose(ends, 33, atol=1e-3)


def test_ray_angles_run_from_x_to_y():
    labels, depth = _disc()
    matrix = np.array([[1.0, 0, 68], [0, 1, 68]])  # crop pixel p is label pixel p + 68: the center is at 32
    known = np.full(labels.shape, 255, np.uint8)
    field = _field(labels, depth, known, np.array([0, 1], np.uint16))
    dist = sample_targets(field, matrix=matrix, size=64).dist
    # The grid cell centered at crop (41, 33) lies 9 px right of the disc's center.
    right, down = dist[0, 16, 20], dist[8, 16, 20]
    assert right == pytest.approx(20 - 9, abs=1.0)
    assert down == pytest.approx(np.sqrt(400 - 81), abs=1.5)


def test_unknown_pixels_have_no_weight_and_no_labels_outside_the_field():
    labels = np.zeros((40, 40), np.int32)
    unknown = np.zeros((40, 40), np.uint8)
    matrix = np.array([[1.0, 0, 20], [0, 1, 20]])
    field = _field(labels, unknown, unknown, np.zeros(1, np.uint16), points_px=np.empty((0, 2)))
    prob, weight, *_ = sample_targets(field, matrix=matrix, size=40)
    assert prob.max() == 0
    assert weight[:10, :10].max() == 0
    assert weight[11:, 11:].min() == 1  # white outside the field is surely background


def test_image_and_targets_are_cut_by_the_same_matrix():
    labels, depth = _disc()
    image = np.repeat(np.where(labels > 0, 0, 255).astype(np.uint8)[..., None], 3, 2)
    rng = np.random.default_rng(5)
    matrix = similarity(np.array([104.0, 97.0]), 96, rng)
    crop = warp(image, matrix, 96)[..., 0]
    known = np.full(labels.shape, 255, np.uint8)
    targets = sample_targets(_field(labels, depth, known, np.zeros(2, np.uint16)), matrix=matrix, size=96)
    dark = crop.reshape(48, 2, 48, 2).mean((1, 3)) < 128
    assert ((targets.prob > 0) != dark).mean() < 0.01
    assert (targets.mask != (crop < 128)).mean() < 0.01
