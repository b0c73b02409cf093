"""Outlines from a mask and votes, on drawn nuclei whose outlines are known."""

import numpy as np
import pytest

from histome.cells.decode.sharpen import polygons, sharpen
from histome.geometry.polygons import polygon_areas
from histome.geometry.raster import paint_outlines
from histome.validation.matching import instance_scores

SIDE = 96


def _ellipse(x, y, a, b, turn=0.0):
    """Whether each pixel's center lies in the ellipse, (SIDE, SIDE)."""
    yy, xx = np.mgrid[:SIDE, :SIDE] + 0.5
    u = (xx - x) * np.cos(turn) + (yy - y) * np.sin(turn)
    v = (yy - y) * np.cos(turn) - (xx - x) * np.sin(turn)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def _seen(labels, centers):
    """The mask and offsets (stride 2) of a perfect network."""
    cells = labels[::2, ::2]
    rows, cols = np.mgrid[: SIDE // 2, : SIDE // 2]
    places = np.concatenate([[[0.0, 0.0]], centers])[cells]
    offset = np.stack([places[..., 0] - (2 * cols + 1), places[..., 1] - (2 * rows + 1)])
    return (labels > 0).astype(np.float32), (offset * (cells > 0)).astype(np.float32)


def _circles(centers, radius):
    return polygons(np.asarray(centers, float), np.full((len(centers), 32), radius, np.float32))


@pytest.mark.parametrize("turn", [0.0, 0.5, np.pi / 4])
def test_a_spindle_found_as_a_circle_gets_its_shape_back(turn):
    true = _ellipse(48, 48, 22, 7, turn).astype(np.int32)
    circle = _circles([(48, 48)], 12)
    outlines, labels = sharpen(circle, *_seen(true, [(48, 48)]))
    assert instance_scores(true, paint_outlines(circle, true.shape)).aji < 0.6
    assert instance_scores(true, labels).aji > 0.88
    assert polygon_areas(outlines)[0] == pytest.approx(true.sum(), rel=0.1)


def test_touching_nuclei_are_parted_where_their_votes_part():
    true = np.where(_ellipse(38, 48, 10, 10), 1, 0) + np.where(_ellipse(58, 48, 10, 10), 2, 0)
    true = np.minimum(true, 2).astype(np.int32)
    # Both circles are too large and off their centers: they overlap, and paint would give one a slice.
    outlines, labels = sharpen(_circles([(40, 48), (57, 47)], 13), *_seen(true, [(38, 48), (58, 48)]))
    assert instance_scores(true, labels).pq > 0.9
    assert len(outlines) == 2


def test_a_nucleus_without_mask_keeps_its_polygon():
    true = _ellipse(30, 30, 8, 8).astype(np.int32)
    found = _circles([(30, 30), (70, 70)], 8)
    outlines, labels = sharpen(found, *_seen(true, [(30, 30)]))
    np.testing.assert_array_equal(outlines[1], found[1])
    assert labels[70, 70] == 2


def test_a_crumb_of_mask_does_not_shrink_a_nucleus():
    true = _ellipse(48, 48, 3, 3).astype(np.int32)
    found = _circles([(48, 48)], 10)
    outlines, _ = sharpen(found, *_seen(true, [(48, 48)]))
    np.testing.assert_array_equal(outlines, found)


def test_the_order_of_nuclei_does_not_matter():
    centers = [(30, 40), (45, 44), (60, 50)]
    true = np.zeros((SIDE, SIDE), np.int32)
    for k, (x, y) in enumerate(centers, start=1):
        true[_ellipse(x, y, 7, 6)] = k
    seen = _seen(true, centers)
    there, _ = sharpen(_circles(centers, 8), *seen)
    back, _ = sharpen(_circles(centers[::-1], 8), *seen)
    np.testing.assert_array_equal(there, back[::-1])


def test_no_nuclei():
    outlines, labels = sharpen(
        np.empty((0, 32, 2)), *_seen(np.zeros((SIDE, SIDE), np.int32), np.empty((0, 2)))
    )
    assert outlines.shape == (0, 32, 2)
    assert labels.max() == 0
