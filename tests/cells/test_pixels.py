"""Stains and class evidence are those of the pixels inside, no others."""

import numpy as np
import pytest

from histome.cells.pixels import class_probabilities, mean_logits, measure_stains
from histome.slide.stain import hematoxylin_eosin_od


@pytest.fixture
def labels():
    labels = np.zeros((40, 60), np.int32)
    labels[3:9, 4:11] = 1
    labels[20:33, 30:41] = 3  # 2 covers nothing
    return labels


def test_stains_are_the_mean_over_the_pixels_inside(labels):
    rgb = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    stains = measure_stains(rgb, labels, 3)
    density = hematoxylin_eosin_od(rgb).astype(np.float64)
    for row, number in ((0, 1), (2, 3)):
        inside = density[labels == number]
        assert stains.hematoxylin_od_mean[row] == pytest.approx(inside[:, 0].mean(), abs=1e-6)
        assert stains.hematoxylin_od_sd[row] == pytest.approx(inside[:, 0].std(), abs=1e-6)
        assert stains.eosin_od_mean[row] == pytest.approx(inside[:, 1].mean(), abs=1e-6)
    assert np.isnan([column[1] for column in stains]).all()


def test_one_color_has_no_spread_and_white_no_stain(labels):
    rgb = np.full((40, 60, 3), 255, np.uint8)
    rgb[labels == 1] = (80, 40, 160)
    stains = measure_stains(rgb, labels, 3)
    assert stains.hematoxylin_od_sd[0] == pytest.approx(0, abs=1e-6)
    assert stains.hematoxylin_od_mean[0] > 0.3
    assert stains.hematoxylin_od_mean[2] == pytest.approx(0, abs=1e-7)
    assert stains.eosin_od_mean[2] == pytest.approx(0, abs=1e-7)


def test_logits_are_averaged_over_the_grid_cells_inside():
    labels = np.zeros((16, 16), np.int32)
    labels[4:12, 4:8] = 1  # grid cells rows 2-5, columns 2-3
    logits = np.zeros((2, 8, 8), np.float32)
    logits[0, 2:6, 2:4] = 3.0
    logits[1, 2:4, 2:4] = 1.0
    logits[:, 0, 0] = 100.0
    np.testing.assert_allclose(mean_logits(logits, labels, np.array([[6.0, 8.0]])), [[3.0, 0.5]])


def test_a_nucleus_that_covers_nothing_takes_its_center():
    logits = np.arange(2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8)
    labels = np.zeros((16, 16), np.int32)
    got = mean_logits(logits, labels, np.array([[7.0, 3.0], [99.0, 99.0]]))
    np.testing.assert_array_equal(got, [logits[:, 1, 3], logits[:, 7, 7]])


def test_probabilities_are_a_softmax_at_the_temperature():
    logits = np.log([[1.0, 3.0]])
    np.testing.assert_allclose(class_probabilities(logits, 1.0), [[0.25, 0.75]])
    # A temperature of 2 takes the square root of the odds.
    np.testing.assert_allclose(class_probabilities(logits, 2.0), [[1 / (1 + 3**0.5), 3**0.5 / (1 + 3**0.5)]])
    np.testing.assert_allclose(class_probabilities(np.array([[1e4, 0.0]]), 1.0), [[1.0, 0.0]])
    assert class_probabilities(np.empty((0, 9)), 1.0).shape == (0, 9)
