"""Outlines by votes and mask, on drawn nuclei whose outlines are known."""

import numpy as np
import pytest

from histome.cells.decode.sharpen import PixelMaps, polygons, sharpen
from histome.geometry.polygons import polygon_areas
from histome.geometry.raster import paint_outlines
from histome.validation.matching import instance_scores

SIDE, RAYS = 96, 32


def _ellipse(x, y, a, b, turn=0.0):
    """Whether each pixel's center lies in the ellipse, (SIDE, SIDE)."""
    yy, xx = np.mgrid[:SIDE, :SIDE] + 0.5
    u = (xx - x) * np.cos(turn) + (yy - y) * np.sin(turn)
    v = (yy - y) * np.cos(turn) - (xx - x) * np.sin(turn)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def _seen(labels, centers):
    """What a perfect network says (stride 2)."""
    cells = labels[1::2, 1::2]
    y, x = np.mgrid[: SIDE // 2, : SIDE // 2] * 2 + 1.0
    places = np.concatenate([[[0.0, 0.0]], centers])[cells]
    offset = np.stack([places[..., 0] - x, places[..., 1] - y]) * (cells > 0)
    dist = np.zeros((RAYS, *cells.shape))
    for ray, angle in enumerate(2 * np.pi * np.arange(RAYS) / RAYS):
        inside = cells > 0
        for step in np.arange(0.5, 48, 0.5):
            cols, rows = (np.clip(v, 0, SIDE - 1).astype(int) for v in _along(x, y, angle, step))
            inside &= labels[rows, cols] == cells
            dist[ray][inside] = step
    prob = (cells > 0).astype(np.float32)
    return PixelMaps(prob, *(v.astype(np.float32) for v in (dist, labels > 0, offset)))


def _along(x, y, angle, step):
    return x + step * np.cos(angle), y + step * np.sin(angle)


def _circles(centers, radius):
    return polygons(np.asarray(centers, float), np.full((len(centers), RAYS), radius, np.float32))


@pytest.mark.parametrize("turn", [0.0, 0.5, np.pi / 4])
def test_a_spindle_found_as_a_circle_gets_its_shape_back(turn):
    true = _ellipse(48, 48, 22, 7, turn).astype(np.int32)
    circle = _circles([(48, 48)], 12)
    outlines, labels = sharpen(circle, _seen(true, [(48, 48)]))
    assert instance_scores(true, paint_outlines(circle, true.shape)).aji < 0.6
    assert instance_scores(true, labels).aji > 0.88
    assert polygon_areas(outlines)[0] == pytest.approx(true.sum(), rel=0.1)


def test_the_cells_outvote_one_that_sees_half_of_the_nucleus():
    true = _ellipse(48, 48, 14, 12).astype(np.int32)
    half = _circles([(42, 48)], 6)
    outlines, labels = sharpen(half, _seen(true, [(48, 48)]))
    assert instance_scores(true, paint_outlines(half, true.shape)).aji < 0.3
    assert instance_scores(true, labels).aji > 0.9
    np.testing.assert_allclose(outlines[0].mean(0), [48, 48], atol=0.5)


def test_votes_keep_a_pale_nucleus_whole_where_the_mask_doubts():
    true = _ellipse(48, 48, 12, 10).astype(np.int32)
    seen = _seen(true, [(48, 48)])
    seen.mask[:, 48:] *= 0.4
    _, labels = sharpen(_circles([(48, 48)], 11), seen)
    assert instance_scores(true, labels).aji > 0.9


def test_mask_that_no_cell_votes_for_belongs_to_no_nucleus():
    true = _ellipse(30, 48, 8, 8).astype(np.int32)
    seen = _seen(true, [(30, 48)])
    # A fold beside the nucleus, dark as one; its offsets point at the nucleus.
    seen.mask[40:56, 38:60] = 1
    seen.offset[0, 20:28, 19:30] = -10
    _, labels = sharpen(_circles([(30, 48)], 8), seen)
    assert instance_scores(true, labels).aji > 0.85


@pytest.mark.parametrize("radius", [4.3, 5.0, 5.7])
def test_an_outline_lies_between_pixels_where_the_mask_says_so(radius):
    yy, xx = np.mgrid[:SIDE, :SIDE] + 0.5
    seen = _seen(_ellipse(48, 48, 9, 9).astype(np.int32), [(48, 48)])
    # All votes, 0.4 of the sum, reach to 9 px: half is where the mask falls to a sixth, at `radius`.
    seen.mask[:] = np.clip((1 + radius - np.hypot(xx - 48, yy - 48)) / 6, 0, 1)
    outlines, _ = sharpen(_circles([(48, 48)], 6), seen)
    np.testing.assert_allclose(np.hypot(*(outlines[0] - 48).T), radius, atol=0.1)


def test_touching_nuclei_are_parted_where_their_votes_part():
    true = np.where(_ellipse(38, 48, 10, 10), 1, 0) + np.where(_ellipse(58, 48, 10, 10), 2, 0)
    true = np.minimum(true, 2).astype(np.int32)
    # Both circles are too large and off their centers: they overlap, and paint would give one a slice.
    outlines, labels = sharpen(_circles([(40, 48), (57, 47)], 13), _seen(true, [(38, 48), (58, 48)]))
    assert instance_scores(true, labels).pq > 0.9
    assert len(outlines) == 2


def test_a_nucleus_without_mask_keeps_its_polygon():
    true = _ellipse(30, 30, 8, 8).astype(np.int32)
    found = _circles([(30, 30), (70, 70)], 8)
    outlines, labels = sharpen(found, _seen(true, [(30, 30)]))
    np.testing.assert_array_equal(outlines[1], found[1])
    assert labels[70, 70] == 2


def test_a_crumb_does_not_shrink_a_nucleus():
    true = _ellipse(48, 48, 3, 3).astype(np.int32)
    found = _circles([(48, 48)], 10)
    outlines, _ = sharpen(found, _seen(true, [(48, 48)]))
    np.testing.assert_array_equal(outlines, found)


def test_the_order_of_nuclei_does_not_matter():
    centers = [(30, 40), (45, 44), (60, 50)]
    true = np.zeros((SIDE, SIDE), np.int32)
    for k, (x, y) in enumerate(centers, start=1):
        true[_ellipse(x, y, 7, 6)] = k
    seen = _seen(true, centers)
    there, _ = sharpen(_circles(centers, 7), seen)
    back, _ = sharpen(_circles(centers[::-1], 7), seen)
    np.testing.assert_array_equal(there, back[::-1])


def test_another_window_gives_the_same_outline():
    true = _ellipse(40, 44, 11, 7, 0.4).astype(np.int32)
    seen = _seen(true, [(40, 44)])
    here, _ = sharpen(_circles([(40, 44)], 9), seen)
    moved = PixelMaps(*(np.roll(v, (10, 14) if v is seen.mask else (5, 7), (-2, -1)) for v in seen))
    there, _ = sharpen(_circles([(54, 54)], 9), moved)
    np.testing.assert_allclose(there - [14, 10], here, atol=1e-4)


def test_a_nucleus_cut_by_the_window_ends_there():
    true = _ellipse(2, 48, 9, 9).astype(np.int32)
    outlines, labels = sharpen(_circles([(3, 48)], 8), _seen(true, [(2, 48)]))
    assert instance_scores(true, labels).aji > 0.85
    assert outlines[..., 0].min() > -1


def test_no_nuclei():
    nothing = _seen(np.zeros((SIDE, SIDE), np.int32), np.empty((0, 2)))
    outlines, labels = sharpen(np.empty((0, RAYS, 2)), nothing)
    assert outlines.shape == (0, RAYS, 2)
    assert labels.max() == 0
