"""NuclearShapes of polygons whose measures are known by hand, and of any polygon against shapely."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histome.cells.shape import NuclearShapes, measure_shapes

ANGLES = 2 * np.pi * np.arange(32) / 32


def ellipse(a, b, *, x=0.0, y=0.0, turn=0.0, corners=32):
    angles = 2 * np.pi * np.arange(corners) / corners
    along, across = a * np.cos(angles), b * np.sin(angles)
    xs = x + along * np.cos(turn) - across * np.sin(turn)
    ys = y + along * np.sin(turn) + across * np.cos(turn)
    return np.stack([xs, ys], axis=1)


def one(outline):
    return NuclearShapes(*(float(column[0]) for column in measure_shapes(np.asarray(outline, float)[None])))


def test_a_square():
    shape = one([(10, 20), (14, 20), (14, 24), (10, 24)])
    assert (shape.x_um, shape.y_um) == (12, 22)
    assert (shape.area_um2, shape.perimeter_um, shape.solidity) == (16, 16, 1)
    assert shape.roundness == pytest.approx(np.pi / 4)
    # Second moments of a square of side s are s^2 / 12: the ellipse has axes 4 s / sqrt(12).
    assert shape.major_axis_um == pytest.approx(16 / np.sqrt(12))
    assert shape.minor_axis_um == pytest.approx(16 / np.sqrt(12))
    assert shape.eccentricity == pytest.approx(0, abs=1e-6)


def test_a_rectangle():
    shape = one([(0, 0), (6, 0), (6, 2), (0, 2)])
    assert shape.major_axis_um == pytest.approx(4 * 6 / np.sqrt(12))
    assert shape.minor_axis_um == pytest.approx(4 * 2 / np.sqrt(12))
    assert shape.eccentricity == pytest.approx(np.sqrt(1 - 1 / 9))


def test_a_disc():
    """A polygon of 32 corners on a circle: area sin(2 pi / 32) * 32 / 2 r^2, perimeter 64 r sin(pi / 32)."""
    shape = one(ellipse(5, 5, x=100, y=200))
    assert shape.x_um == pytest.approx(100)
    assert shape.y_um == pytest.approx(200)
    assert shape.area_um2 == pytest.approx(16 * 25 * np.sin(np.pi / 16))
    assert shape.perimeter_um == pytest.approx(64 * 5 * np.sin(np.pi / 32))
    assert shape.roundness == pytest.approx(np.pi / 32 / np.tan(np.pi / 32))
    assert shape.solidity == pytest.approx(1)


@pytest.mark.parametrize("turn", [0.0, 0.4, np.pi / 2, 2.5])
def test_a_fine_ellipse_has_its_own_axes_however_it_is_turned(turn):
    shape = one(ellipse(8, 3, x=1e5, y=2e5, turn=turn, corners=720))
    assert shape.area_um2 == pytest.approx(np.pi * 24, rel=1e-4)
    assert shape.major_axis_um == pytest.approx(16, rel=1e-4)
    assert shape.minor_axis_um == pytest.approx(6, rel=1e-4)
    assert shape.eccentricity == pytest.approx(np.sqrt(1 - 9 / 64), rel=1e-4)


def test_a_notched_square_is_less_solid():
    """A square of side 4 without a triangle of base 4 and height 2."""
    shape = one([(0, 0), (4, 0), (4, 4), (2, 2), (0, 4)])
    assert shape.solidity == pytest.approx(12 / 16)


def test_the_way_round_does_not_matter():
    outline = ellipse(6, 4, x=3, y=5, turn=0.3)
    np.testing.assert_allclose(one(outline), one(outline[::-1]), rtol=1e-9)


def test_a_line_and_a_point_have_no_area_and_no_ratio():
    for outline in ([(0, 0), (1, 1), (2, 2), (1, 1)], [(3, 4)] * 5):
        shape = one(outline)
        assert (shape.area_um2, shape.roundness, shape.eccentricity, shape.solidity) == (0, 0, 0, 0)
        assert np.isfinite(shape).all()


def test_no_nucleus_is_no_row():
    assert {len(column) for column in measure_shapes(np.empty((0, 32, 2)))} == {0}


radii = st.lists(st.integers(4, 80), min_size=32, max_size=32)


@given(radii, st.floats(0, 1e5), st.sampled_from([0.0, 0.125, 0.5]))
def test_star_shapes_agree_with_shapely(lengths, place, step):
    rays = np.array(lengths, float)[:, None] / 4
    outline = rays * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    outline = np.round(outline / step) * step if step else outline
    polygon = shapely.Polygon(outline)
    if not polygon.is_valid or polygon.area == 0:
        return
    shape = one(outline + place)
    center = polygon.centroid
    assert shape.area_um2 == pytest.approx(polygon.area, rel=1e-6)
    assert shape.perimeter_um == pytest.approx(polygon.length, rel=1e-6)
    assert (shape.x_um - place, shape.y_um - place) == pytest.approx((center.x, center.y), abs=1e-4)
    assert shape.solidity == pytest.approx(polygon.area / polygon.convex_hull.area, rel=1e-5)
