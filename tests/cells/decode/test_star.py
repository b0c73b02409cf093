"""The rules of StarDist's own package, on polygons known by hand."""

import numpy as np
import pytest

from histome.cells.decode import DecodeSettings, decode
from histome.classes import CELL_CLASSES
from histome.models.card import Thresholds

RAYS = 32
CELLS = ("carcinoma_cell", "lymphocyte")


def star_maps(stars, size=40):
    """Maps of stars at (row, column) of the grid: their probability, radius in px and class."""
    prob = np.zeros((1, size, size), np.float32)
    dist = np.full((RAYS, size, size), 1e-3, np.float32)
    classes = np.zeros((3, size, size), np.float32)
    classes[0] = 1
    for (row, column), p, radius, code in stars:
        prob[0, row, column], dist[:, row, column] = p, radius
        classes[:, row, column] = (0.5, 0.1, 0.1)
        classes[code, row, column] = 0.4
    return {"prob": prob, "dist": dist, "classes": classes}


def found_in(stars, nms=0.3, stride=2):
    settings = DecodeSettings(0.25, Thresholds(prob=0.5, nms=nms), stride, RAYS, CELLS)
    return decode("star", star_maps(stars), settings)


def test_rays_start_at_the_first_pixel_of_a_grid_cell():
    found = found_in([((10, 12), 0.9, 8.3, 1)])
    np.testing.assert_allclose(found.outlines[0].mean(0), [24.5, 20.5], atol=1e-5)
    # The pixel at 20, 24 is the middle of the label map's disc.
    rows, columns = np.nonzero(found.labels == 1)
    assert (rows.mean(), columns.mean()) == pytest.approx((20, 24), abs=1e-6)
    assert abs(len(rows) - np.pi * 8.3**2) < 12


def test_a_nucleus_is_of_the_class_at_its_winning_cell():
    found = found_in([((10, 10), 0.9, 6.0, 1), ((28, 28), 0.8, 6.0, 2)])
    names = [CELL_CLASSES[k] for k in found.logits.argmax(1)]
    assert names == ["carcinoma_cell", "lymphocyte"]
    # Of 0.4 and 0.1 four fifths.
    assert np.exp(found.logits.max(1)) == pytest.approx([0.8, 0.8])


def test_the_overlap_is_a_share_of_the_smaller_one():
    # A large polygon that swallows most of a small likely one, whose center it does not begin in: 90 % of the
    # small one, 10 % of the large one.
    stars = [((20, 20), 0.9, 4.0, 1), ((20, 27), 0.8, 16.0, 1)]
    assert len(found_in(stars).scores) == 1
    assert len(found_in(stars, nms=0.97).scores) == 2


def test_two_that_share_less_stay_and_the_likelier_has_the_pixels():
    found = found_in([((20, 12), 0.8, 8.0, 1), ((20, 19), 0.9, 8.0, 2)])
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    between = found.labels[40, 31]
    assert between == 1
    assert (found.labels == 1).sum() > (found.labels == 2).sum()


def test_no_candidates_are_no_nuclei():
    found = found_in([])
    assert found.outlines.shape == (0, RAYS, 2)
    assert found.logits.shape == (0, 9)
