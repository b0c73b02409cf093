"""The convex hull in pixels: convex masks are their own, others hold the centers that their hull covers."""

import numpy as np
import pytest
import shapely

from histome.geometry.hull import hull_area_px


def whole(mask):
    return tuple(np.ones(side) for side in mask.shape)


@pytest.mark.parametrize("degrees", [0, 15, 37, 45])
def test_a_turned_rectangle_is_its_own_hull(degrees):
    angle = np.radians(degrees)
    y, x = np.mgrid[:120, :120] - 59.7
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    mask = ((abs(along) < 45) & (abs(across) < 15)).astype(np.uint8)
    assert hull_area_px(mask, whole(mask)) == np.count_nonzero(mask)


@pytest.mark.parametrize("density", [0.02, 0.2])
def test_pixels_whose_centers_the_hull_covers(rng, density):
    mask = (rng.random((23, 31)) < density).astype(np.uint8)
    rows, columns = np.nonzero(mask)
    hull = shapely.MultiPoint(np.stack([columns, rows], axis=1)).convex_hull.buffer(1e-9)
    x, y = np.meshgrid(np.arange(31), np.arange(23))
    covered = shapely.intersects_xy(hull, x, y)
    assert hull_area_px(mask, whole(mask)) == np.count_nonzero(covered)
    shares = (np.append(np.ones(22), 0.25), np.append(np.ones(30), 0.5))
    assert hull_area_px(mask, shares) == pytest.approx(shares[0] @ covered @ shares[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_lines_and_points(shape):
    assert hull_area_px(np.ones(shape, np.uint8), whole(np.ones(shape))) == shape[0] * shape[1]
