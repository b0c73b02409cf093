"""Areas by hand."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.cells import cell_table
from helpers.scenes import CODE, by_name, measure_maps, one_tissue

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.slide.maps import ClassMap

AREAS = MetricsConfig(families=("total-area", "qc-areas", "tissue-areas", "tissue-regions"))
NO_CELLS = cell_table([], [], [])


def test_tissue_areas_of_two_half_planes():
    array = np.full((100, 200), CODE["STROMA"], np.uint8)
    array[:, :50] = CODE["CARCINOMA"]
    array[:, 150:] = 0
    found = by_name(measure_maps(None, ClassMap(array, 2.0, TISSUE_CLASSES), None, NO_CELLS, AREAS))
    assert found["ABSOLUTE_AREA"] == 150 * 100 * 4
    assert found["ABSOLUTE_AREA_CARCINOMA"] == 50 * 100 * 4
    assert found["RELATIVE_AREA_STROMA"] == pytest.approx(100 * 2 / 3)
    assert found["ABSOLUTE_AREA_BLOOD"] == 0
    assert found["RELATIVE_AREA_BLOOD"] == 0


def test_quality_areas_leave_the_glass_out():
    codes = np.repeat(
        [QC_CLASSES.index(name) + 1 for name in ("VALID_TISSUE", "MARKER", "NO_TISSUE")], [6, 2, 8]
    )
    quality = ClassMap(codes.astype(np.uint8).reshape(4, 4), 8.0, QC_CLASSES)
    found = by_name(measure_maps(quality, one_tissue(), None, NO_CELLS, AREAS))
    assert found["ABSOLUTE_AREA_NO_TISSUE"] == 8 * 64
    assert found["RELATIVE_AREA_NO_TISSUE"] is None
    assert found["RELATIVE_AREA_VALID_TISSUE"] == 75.0
    assert found["RELATIVE_AREA_MARKER"] == 25.0


def test_nulls_say_why():
    nothing = ClassMap(np.zeros((5, 5), np.uint8), 2.0, TISSUE_CLASSES)
    reasons = by_name(measure_maps(None, nothing, None, NO_CELLS, AREAS), "reason")
    assert reasons["RELATIVE_AREA_STROMA"] == "there is no analyzed tissue"
    assert reasons["ABSOLUTE_AREA_MARKER"] == "no quality map was given"
    assert reasons["REGION_COUNT_STROMA"] == "no regions were given"
    assert reasons["ABSOLUTE_AREA"] is None


def test_regions_are_averaged_and_the_largest_is_described():
    regions = pa.table(
        {
            "class": ["STROMA", "STROMA", "CARCINOMA"],
            "area_um2": [10.0, 40.0, 5.0],
            "bbox_area_um2": [20.0, 60.0, 5.0],
            "convex_area_um2": [12.0, 50.0, 5.0],
            "filled_area_um2": [10.0, 44.0, 5.0],
            "perimeter_um": [14.0, 30.0, 9.0],
            "major_axis_um": [5.0, 9.0, 3.0],
            "minor_axis_um": [3.0, 6.0, 2.0],
            "solidity": [10 / 12, 40 / 50, 1.0],
            "roundness": [0.5, 0.7, 0.9],
        }
    )
    found = by_name(measure_maps(None, one_tissue(), regions, NO_CELLS, AREAS))
    assert found["REGION_COUNT_STROMA"] == 2
    assert found["REGION_COUNT_BLOOD"] == 0
    assert found["AVG_EXTENT_STROMA"] == 40
    assert found["AVG_ECCENTRICITY_STROMA"] == pytest.approx(0.4)
    assert found["LARGEST_CONVEX_AREA_STROMA"] == 50
    assert found["LARGEST_ECCENTRICITY_STROMA"] == pytest.approx(0.3)
    assert found["LARGEST_MAJ_AXIS_CARCINOMA"] == 3
    assert found["LARGEST_PERIMETER_BLOOD"] is None
