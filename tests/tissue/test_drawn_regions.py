"""Regions of polygons: the truth of what was drawn, however it lies, and not what pixels make of it."""

import numpy as np
import pytest
import shapely
import shapely.affinity

from histome.classes import TISSUE_CLASSES
from histome.tissue import drawn_regions
from histome.tissue.drawn import are_staircases

CARCINOMA, STROMA = (np.uint8(TISSUE_CLASSES.index(name) + 1) for name in ("CARCINOMA", "STROMA"))
CIRCLE = shapely.Point(0, 0).buffer(1, quad_segs=100)


def regions_of(*drawn, **more):
    polygons, codes = zip(*drawn, strict=True)
    return drawn_regions(np.array(polygons, object), np.array(codes, np.uint8), **more).to_pylist()


@pytest.mark.parametrize("degrees", [0, 15, 37, 45])
def test_a_square_of_40_um_keeps_its_shape_when_turned(degrees):
    """On pixels of 2 um its outline is 4 % short: what a raster loses at corners."""
    hole = shapely.box(1010, 1010, 1014, 1014)
    square = shapely.affinity.rotate(shapely.box(1000, 1000, 1040, 1040) - hole, degrees)
    (row,) = regions_of((square, CARCINOMA))
    truth = {
        "area_um2": 1600 - 16,
        "filled_area_um2": 1600,
        "convex_area_um2": 1600,
        "perimeter_um": 160 + 16,
        "outer_perimeter_um": 160,
        "roundness": np.pi / 4,
        "solidity": 1584 / 1600,
    }
    for name, expected in truth.items():
        assert row[name] == pytest.approx(expected, rel=1e-6), name


@pytest.mark.parametrize("degrees", [0, 15, 37, 45])
def test_an_ellipse_has_its_axes(degrees):
    ellipse = shapely.affinity.translate(shapely.affinity.scale(CIRCLE, 400, 200), 5000, -300)
    (row,) = regions_of((shapely.affinity.rotate(ellipse, degrees), STROMA))
    assert row["class"] == "STROMA"
    assert (row["x_um"], row["y_um"]) == pytest.approx((5000, -300))
    assert (row["major_axis_um"], row["minor_axis_um"]) == pytest.approx((800, 400), rel=1e-3)
    assert row["eccentricity"] == pytest.approx(np.sqrt(3) / 2, rel=1e-3)


def test_later_polygons_lie_on_top_and_neighbors_of_one_class_are_one_region():
    stroma = (shapely.box(0, 0, 300, 100), STROMA)
    nest = (shapely.box(100, 0, 200, 100), CARCINOMA)
    core = (shapely.box(140, 40, 160, 60), STROMA)
    rows = regions_of(stroma, nest, core)
    assert sorted((row["class"], row["area_um2"]) for row in rows) == [
        ("CARCINOMA", 9600),
        ("STROMA", 400),
        ("STROMA", 10_000),
        ("STROMA", 10_000),
    ]
    halves = regions_of((shapely.box(0, 0, 50, 50), STROMA), (shapely.box(50, 0, 100, 50), STROMA))
    assert [row["area_um2"] for row in halves] == [5000]


def test_specks_and_crossing_outlines():
    assert regions_of((shapely.box(0, 0, 19, 19), STROMA)) == []
    bow = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])
    assert [row["area_um2"] for row in regions_of((bow, STROMA))] == pytest.approx([2500, 2500])


def test_outlines_of_pixels_are_told_from_drawn_ones():
    steps = shapely.union_all([shapely.box(k, k, k + 2, k + 2) for k in range(6)])
    assert are_staircases(np.array([steps], object))
    assert not are_staircases(np.array([shapely.box(0, 0, 100, 50)], object))
    assert not are_staircases(np.array([steps, CIRCLE], object))
