"""Glands: rings and nests of known size, distance and content."""

import numpy as np
import pytest
import shapely
from helpers.cells import cell_table
from helpers.scenes import CODE, by_name

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.maps import make_tissue_maps
from histome.metrics.measuring import measure_specimen
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.slide.maps import ClassMap
from histome.tissue import DrawnGlands, find_regions

MPP = 2.0


def discs(array, center_um, radius_um, code):
    rows, columns = (np.indices(array.shape) + 0.5) * MPP
    array[np.hypot(rows - center_um[1], columns - center_um[0]) <= radius_um] = code


def measured(array, column="value", **more):
    tissue = ClassMap(array, MPP, TISSUE_CLASSES)
    more = {"regions": find_regions(tissue)} | more
    cells = cell_table([], [], [])
    specimen = counted_specimen(make_tissue_maps(tissue, **more), cells_as_arrays(cells, tissue))
    return by_name(measure_specimen(specimen, MetricsConfig(families=("glands",))), column)


@pytest.fixture
def two_rings():
    """Two rings of epithelium of 100 um, the lumen of one white and of one blood, 300 um apart in stroma."""
    array = np.full((600, 700), CODE["STROMA"], np.uint8)
    for x, lumen in ((300.0, 0), (800.0, CODE["BLOOD"])):
        discs(array, (x, 600.0), 100.0, CODE["EPITHELIAL_TISSUE"])
        discs(array, (x, 600.0), 40.0, lumen)
    return array


def test_rings_have_the_size_form_and_distance_that_they_were_drawn_with(two_rings):
    found = measured(two_rings)
    assert found["GLAND_COUNT_EPITHELIAL_TISSUE"] == 2
    assert found["GLAND_AREA_MEAN_EPITHELIAL_TISSUE"] == pytest.approx(np.pi * 100**2, rel=0.01)
    assert found["GLAND_AREA_MEDIAN_EPITHELIAL_TISSUE"] == pytest.approx(np.pi * 100**2, rel=0.01)
    assert found["GLAND_PERIMETER_MEAN_EPITHELIAL_TISSUE"] == pytest.approx(2 * np.pi * 100, rel=0.02)
    assert found["GLAND_ROUNDNESS_MEAN_EPITHELIAL_TISSUE"] == pytest.approx(1, abs=0.03)
    assert found["GLAND_EPITHELIUM_SHARE_EPITHELIAL_TISSUE"] == pytest.approx(1 - 0.4**2, rel=0.01)
    assert found["GLAND_WITH_LUMEN_SHARE_EPITHELIAL_TISSUE"] == 1
    assert found["GLAND_LARGEST_SHARE_EPITHELIAL_TISSUE"] == pytest.approx(0.5, rel=0.01)
    assert found["GLAND_DISTANCE_MEAN_EPITHELIAL_TISSUE"] == pytest.approx(300, abs=4)
    lumina_mm2 = 2 * np.pi * 40**2 / 1e6
    nucleated_mm2 = 1.2 * 1.4 - lumina_mm2
    assert found["GLAND_DENSITY_EPITHELIAL_TISSUE"] == pytest.approx(2 / nucleated_mm2, rel=1e-3)


def test_stroma_inside_is_no_lumen_and_specks_are_no_glands(two_rings):
    discs(two_rings, (300.0, 600.0), 40.0, CODE["STROMA"])
    two_rings[:10, :10] = CODE["EPITHELIAL_TISSUE"]  # 400 um2
    found = measured(two_rings)
    assert found["GLAND_COUNT_EPITHELIAL_TISSUE"] == 2
    ring, disc = np.pi * (100**2 - 40**2), np.pi * 100**2
    assert found["GLAND_AREA_MEAN_EPITHELIAL_TISSUE"] == pytest.approx((ring + disc) / 2, rel=0.01)
    assert found["GLAND_WITH_LUMEN_SHARE_EPITHELIAL_TISSUE"] == 0.5


def test_what_cannot_be_measured_says_why(two_rings):
    found, reason = measured(two_rings), measured(two_rings, "reason")
    assert found["GLAND_COUNT_CARCINOMA"] == 0
    assert reason["GLAND_AREA_MEAN_CARCINOMA"] == "there is no gland of carcinoma"
    assert reason["GLAND_DISTANCE_MEAN_CARCINOMA"] == "there are fewer than two glands of carcinoma"
    unknown = measured(two_rings, "reason", regions=None)
    assert set(unknown.values()) == {"no regions were given"}
    assert set(measured(np.zeros_like(two_rings), "reason").values()) == {"there is no analyzed tissue"}


def test_glands_that_were_drawn_are_taken_as_they_are(two_rings):
    """Two drawn halves of one ring: the map cannot part what touches."""
    ring = shapely.Point(300, 600).buffer(100, quad_segs=64)
    left, right = (ring & shapely.box(*box) for box in ((0, 0, 300, 1200), (300, 0, 1200, 1200)))
    drawn = DrawnGlands(np.array([left, right], object), np.array(["EPITHELIAL_TISSUE"] * 2, object))
    found = measured(two_rings, glands=drawn)
    assert found["GLAND_COUNT_EPITHELIAL_TISSUE"] == 2
    assert found["GLAND_AREA_MEAN_EPITHELIAL_TISSUE"] == pytest.approx(np.pi * 100**2 / 2, rel=1e-3)
    assert found["GLAND_PERIMETER_MEAN_EPITHELIAL_TISSUE"] == pytest.approx(100 * np.pi + 200, rel=1e-3)
    assert found["GLAND_EPITHELIUM_SHARE_EPITHELIAL_TISSUE"] == pytest.approx(1 - 0.4**2, rel=0.02)
    assert found["GLAND_DISTANCE_MEAN_EPITHELIAL_TISSUE"] == 0


def test_many_glands_have_intervals(rng):
    array = np.full((2000, 2000), CODE["STROMA"], np.uint8)
    for center in rng.uniform(100, 3900, (150, 2)):
        discs(array, center, rng.uniform(25, 60), CODE["CARCINOMA"])
    found = {column: measured(array, column) for column in ("low", "value", "high", "method")}
    for name in ("COUNT", "DENSITY", "AREA_MEAN", "PERIMETER_MEAN", "DISTANCE_MEAN"):
        low, value, high = (found[column][f"GLAND_{name}_CARCINOMA"] for column in ("low", "value", "high"))
        assert low < value < high
    assert found["method"]["GLAND_AREA_MEDIAN_CARCINOMA"].startswith("none: medians")


def test_a_slide_without_glands_has_none():
    array = np.full((1000, 1000), CODE["STROMA"], np.uint8)
    found = measured(array)
    assert found["GLAND_COUNT_CARCINOMA"] == found["GLAND_DENSITY_EPITHELIAL_TISSUE"] == 0
    assert measured(array, "method")["GLAND_COUNT_CARCINOMA"] == "none: no block differs"
