"""Union of discs: by hand, and against shapely's polygons."""

import numpy as np
import pytest
import shapely

from histome.geometry.discs import union_area


def lens(radius, distance):
    """Area that two discs share."""
    return 2 * radius**2 * np.arccos(distance / (2 * radius)) - distance / 2 * np.sqrt(
        4 * radius**2 - distance**2
    )


@pytest.mark.parametrize("distance", [1e-9, 1.0, 20.0, 39.999])
def test_two_discs_overlap_in_a_lens(distance):
    area = union_area(np.array([7.0, 7.0]), np.array([0.0, distance]), 20.0)
    assert area == pytest.approx(2 * np.pi * 400 - lens(20.0, distance), rel=1e-9)


@pytest.mark.parametrize("distance", [40.0, 50.0, 5000.0])
def test_discs_apart_add_up(distance):
    assert union_area(np.array([0.0, distance]), np.zeros(2), 20.0) == pytest.approx(2 * np.pi * 400)


def test_one_disc_many_times_and_none():
    assert union_area(np.full(9, 3.0), np.full(9, -8.0), 20.0) == pytest.approx(np.pi * 400)
    assert union_area(np.empty(0), np.empty(0), 20.0) == 0


def test_a_ring_keeps_its_hole():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x, y = 200 * np.cos(angle), 200 * np.sin(angle)
    polygons = shapely.union_all(shapely.buffer(shapely.points(x, y), 20.0, quad_segs=200))
    assert len(polygons.interiors) == 1
    assert union_area(x, y, 20.0) == pytest.approx(polygons.area, rel=1e-4)


@pytest.mark.parametrize("n", [3, 40, 900])
def test_equals_the_union_of_polygons(rng, n):
    x, y = rng.uniform(0, 600, (2, n))
    polygons = shapely.union_all(shapely.buffer(shapely.points(x, y), 20.0, quad_segs=300))
    assert union_area(x, y, 20.0) == pytest.approx(polygons.area, rel=1e-5)


def test_many_small_arcs_on_one_circle():
    # 400 discs that each bite a sliver off the first one's border.
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    x, y = np.append(0, 39.9999 * np.cos(angle)), np.append(0, 39.9999 * np.sin(angle))
    polygons = shapely.union_all(shapely.buffer(shapely.points(x, y), 20.0, quad_segs=300))
    assert union_area(x, y, 20.0) == pytest.approx(polygons.area, rel=1e-4)


def test_place_turn_and_workers_change_nothing(rng):
    x, y = rng.uniform(0, 3000, (2, 40_000))
    area = union_area(x, y, 20.0)
    assert union_area(x, y, 20.0, workers=3) == area
    assert union_area(-y, x, 20.0) == pytest.approx(area, rel=1e-12)
    assert union_area(x + 1e5, y - 1e5, 20.0) == pytest.approx(area, rel=1e-9)
