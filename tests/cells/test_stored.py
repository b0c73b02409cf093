"""What the cells table keeps: few corners, few digits, the same area, the same pixel."""

import numpy as np
import pytest
import shapely

from histome.cells.stored import TOLERANCE_UM, in_steps, placed, rounded, stored_outlines, thin_outlines


def blobs(n, rng, *, radius_um=4.0, mpp=0.5, corners=32):
    """Star-shaped outlines as networks draw them, corners on 1/8 px."""
    angle = np.arange(corners) * 2 * np.pi / corners
    waves = sum(
        rng.normal(0, 0.08, (n, 1)) * np.cos(k * angle + rng.uniform(0, 2 * np.pi, (n, 1))) for k in (2, 3, 4)
    )
    reach = radius_um / mpp * (1 + waves) * rng.uniform(0.7, 1.4, (n, 1))
    center = rng.uniform(0, 40_000, (n, 1, 2))
    outlines = center + np.stack([np.cos(angle) * reach, np.sin(angle) * reach], axis=2)
    return np.round(outlines * 8) / 8


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_outlines_stay_where_they_are_with_half_of_the_corners(rng, mpp):
    outlines = blobs(500, rng, mpp=mpp)
    before, after = shapely.polygons(outlines), thin_outlines(outlines, np.array([mpp, mpp]))
    assert (shapely.get_num_coordinates(after) - 1).mean() < 20
    assert shapely.is_valid(after).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(after)).all()
    # What is cut off, and half a step of the grid of corners.
    assert (shapely.hausdorff_distance(before, after) * mpp).max() < TOLERANCE_UM + 0.1
    off = np.abs(shapely.area(after) / shapely.area(before) - 1)
    assert off.max() < 0.04
    assert abs(shapely.area(after).sum() / shapely.area(before).sum() - 1) < 3e-3
    moved = shapely.distance(shapely.centroid(before), shapely.centroid(after)) * mpp
    assert moved.max() < 0.1


def test_a_sliver_stays_a_polygon():
    """10 um long, 0.1 um wide: less than what may be cut off."""
    x = np.concatenate([np.linspace(0, 20, 16), np.linspace(20, 0, 16)])
    y = np.repeat([0.0, 0.2], 16)
    sliver = np.round((np.stack([x, y], axis=1)[None] + 50) * 8) / 8
    found = thin_outlines(sliver, np.array([0.5, 0.5]))
    assert shapely.is_valid(found).all()
    assert shapely.area(found)[0] == pytest.approx(shapely.area(shapely.polygons(sliver))[0], rel=0.6)


def test_a_circle_of_any_place_is_one_polygon_the_same_size(rng):
    angle = np.arange(64) * 2 * np.pi / 64
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)[None] * 10 + [[[100_000.0, 5.0]]]
    wkb, bounds = stored_outlines(circle.astype(np.float32), np.array([0.5, 0.5]))
    polygon = shapely.from_wkb(wkb[0].as_py())
    assert polygon.area == pytest.approx(np.pi * 100, rel=0.02)
    np.testing.assert_array_equal(bounds[0], polygon.bounds)


def test_no_cells_have_no_outlines():
    wkb, bounds = stored_outlines(np.empty((0, 32, 2), np.float32), np.array([0.5, 0.5]))
    assert len(wkb) == 0
    assert bounds.shape == (0, 4)


def test_no_cell_leaves_its_pixel(rng):
    """The codes of a map are read at the place that was measured; the place that is kept must agree."""
    x_um = np.concatenate([rng.uniform(0, 1e5, 10_000), np.nextafter(np.arange(2.0, 2000, 2), 0)])
    assert np.abs(placed(x_um) - x_um).max() < 1 / 256
    np.testing.assert_array_equal(placed(x_um) // 2, x_um // 2)


def test_digits_are_significant_ones(rng):
    values = rng.lognormal(0, 5, 10_000)
    assert (np.abs(rounded(values) / values - 1) <= 2.0**-11).all()
    assert np.isnan(rounded(np.array([np.nan]))).all()
    assert rounded(np.array([0.0, 1.0, -3.0])).tolist() == [0.0, 1.0, -3.0]
    # Twelve bits less than a float32 has: they compress to nothing.
    assert (rounded(values).astype(np.float32).view(np.uint32) & 0xFFF == 0).all()


def test_the_class_stays_the_class(rng):
    """Probabilities of bfloat16 networks are often alike: rounding must not make another class the first."""
    near = np.float32(0.3) + rng.uniform(-1, 1, (5000, 9)).astype(np.float32) * np.float32(2e-4)
    found = in_steps(near)
    np.testing.assert_array_equal(found.argmax(axis=1), near.argmax(axis=1))
    assert np.abs(found - near).max() < 1.5 / 4096 + 1e-6
    assert (found * 4096 == np.round(found * 4096)).all()
    assert in_steps(np.empty((0, 9), np.float32)).shape == (0, 9)
