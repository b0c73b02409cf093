"""Areas by hand."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.cells import cell_table
from helpers.scenes import CODE, by_name, measure_maps, one_tissue

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.families.patterns.tumor_border import bands_per_square
from histome.metrics.maps import make_tissue_maps
from histome.metrics.tiles import lattice_over, tissue_mm2_per_tile
from histome.slide import ClassMap, Frame
from histome.tissue import find_regions

AREAS = MetricsConfig(families=("total-area", "qc-areas", "tissue-areas", "tissue-regions"))
VALID = QC_CLASSES.index("VALID_TISSUE") + 1
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


def field_of(size_px, tissue):
    """Maps of a field of that size in px of 0.5 um, all of one tissue and valid, as its stages make them."""
    frame = Frame("field", size_px, (0.5, 0.5))
    maps = []
    for mpp, classes, code in ((2.0, TISSUE_CLASSES, CODE[tissue]), (8.0, QC_CLASSES, VALID)):
        shape = [int(np.ceil(side * 0.5 / mpp)) for side in size_px[::-1]]
        maps.append(ClassMap(np.full(shape, code, np.uint8), mpp, classes, frame=frame))
    return maps


@pytest.mark.parametrize("size_px", [(211, 163), (2001, 1603), (16, 16), (15, 17), (1, 1), (4000, 30)])
def test_no_area_exceeds_the_picture(size_px):
    """And of a field that is all tissue every sum of areas is that of the field."""
    tissue, quality = field_of(size_px, "CARCINOMA")
    exact_um2 = size_px[0] * size_px[1] * 0.25
    config = MetricsConfig(families=("total-area", "qc-areas", "tissue-areas", "tissues-in-zones", "scan"))
    facts = {"scan_area": exact_um2 / 1e6}
    table = measure_maps(quality, tissue, find_regions(tissue), NO_CELLS, config, facts=facts)
    found = by_name(table)
    for name in ("ABSOLUTE_AREA", "ABSOLUTE_AREA_CARCINOMA", "ABSOLUTE_AREA_VALID_TISSUE"):
        assert found[name] == pytest.approx(exact_um2, rel=1e-9), name
    assert found["VALID_AREA"] <= found["SCAN_AREA"] * (1 + 1e-12)
    if found["ABSOLUTE_AREA_CARCINOMA_IN_WHOLE_TUMOR_REGION"] is not None:
        tumor = found["ABSOLUTE_AREA_CARCINOMA_IN_WHOLE_TUMOR_REGION"]
        assert tumor * 1e6 == pytest.approx(exact_um2, rel=1e-9)


def test_bands_tiles_and_eroded_windows_share_the_border_out_too():
    tissue, _ = field_of((2001, 1603), "STROMA")
    tissue.array[:, :200] = CODE["CARCINOMA"]
    maps = make_tissue_maps(tissue)
    exact_um2 = 2001 * 1603 * 0.25
    tiles = tissue_mm2_per_tile(maps, lattice_over(maps, 250.0))
    assert tiles.sum() * 1e6 == pytest.approx(exact_um2, rel=1e-9)
    # Within 500 um of the front at 400 um lies all of the carcinoma and 500 um of the stroma.
    assert maps.once(bands_per_square).sum(axis=(0, 1, 3)) * 4 == pytest.approx(
        [400 * 801.5, 500 * 801.5], rel=1e-9
    )
    everywhere = maps.distance_to_border().tail(tissue.array, maps.nucleated_codes, shares=tissue.shares)
    assert everywhere[0] * 4 == pytest.approx(exact_um2, rel=1e-9)
    assert (np.diff(everywhere) <= 0).all()


def test_a_profile_and_its_map_tell_one_area_to_the_last_digit(rng):
    tissue, _ = field_of((2001, 1603), "STROMA")
    tissue.array[:] = rng.integers(0, 8, tissue.array.shape)
    tissue.array[:37], tissue.array[:, :11] = 0, 0  # what is cropped off
    found = by_name(measure_maps(None, tissue, None, NO_CELLS, AREAS))
    for name in TISSUE_CLASSES:
        assert found[f"ABSOLUTE_AREA_{name}"] == tissue.area_um2(name)
