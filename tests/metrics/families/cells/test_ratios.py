"""Ratios by hand; entropy against scipy's neighbors."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import (
    CODE,
    by_name,
    disc_of_tumor,
    family,
    lattice,
    measure_maps,
    one_tissue,
    random_cells,
    two_halves,
)
from scipy.spatial import cKDTree
from scipy.stats import entropy

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.geometry import grid
from histome.metrics.catalogue import FAMILIES
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.slide.maps import ClassMap

R1 = MetricsConfig(families=("ratios",))


@pytest.fixture
def halves():
    cells = cell_table(
        [100, 110, 120, 130, 600, 610, 620],
        [100] * 7,
        [
            "CARCINOMA_CELL",
            "CARCINOMA_CELL",
            "LYMPHOCYTE",
            "PLASMA_CELL",
            "LYMPHOCYTE",
            "LYMPHOCYTE",
            "FIBROBLAST",
        ],
        area_um2=[100.0, 100.0, 30.0, 30.0, 40.0, 60.0, 50.0],
    )
    return family("ratios", two_halves(), cells)


def test_areas_and_cells_of_two_halves(halves):
    assert halves["TUMOR_STROMA_RATIO"] == 1
    assert halves["STROMAL_TIL_PERCENT"] == pytest.approx(100 * 100 / 5e5)
    assert halves["INTRATUMORAL_TIL"] == 100
    assert halves["TUMOR_PURITY"] == pytest.approx(2 / 7)
    assert halves["NECROSIS_FRACTION_OF_TUMOR"] == 0
    assert halves["LYMPHOCYTE_TO_CARCINOMA_CELL_RATIO"] == 1.5
    assert halves["MACROPHAGE_TO_LYMPHOCYTE_RATIO"] == 0
    assert halves["PLASMA_CELL_TO_LYMPHOCYTE_RATIO"] == pytest.approx(1 / 3)
    assert halves["FIBROBLAST_TO_CARCINOMA_CELL_RATIO"] == 0.5
    assert halves["IMMUNE_CELL_FRACTION"] == pytest.approx(4 / 7)
    assert halves["STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO"] == 2
    assert halves["CELLULARITY"] == pytest.approx(410 / 1e6)
    # A front of 1 mm, 0.5 mm2 of carcinoma.
    assert halves["INVASIVE_FRONT_DENSITY"] == pytest.approx(1.0 / 0.5, rel=0.01)
    assert halves["VESSEL_DENSITY"] is None


def test_front_of_a_disc_is_its_circumference():
    found = family("ratios", disc_of_tumor(), cell_table([], [], []))
    assert found["INVASIVE_FRONT_DENSITY"] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("degrees", [0, 15, 37, 45])
def test_a_turned_front_is_as_long(degrees):
    angle = np.radians(degrees)
    y, x = (np.mgrid[:600, :600] + 0.5) * 2 - 600
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    codes = np.full(x.shape, CODE["STROMA"], np.uint8)
    codes[(abs(along) < 400) & (abs(across) < 200)] = CODE["CARCINOMA"]
    tissue = ClassMap(codes, 2.0, TISSUE_CLASSES)
    found = family("ratios", tissue, cell_table([], [], []))
    assert found["INVASIVE_FRONT_DENSITY"] == pytest.approx(2.4 / 0.32, rel=0.02)


def test_core_to_margin():
    x = [1800] * 6 + [1800 + 700] + [1800 + 1300]
    cells = cell_table(x, [1800 + k for k in range(8)], "LYMPHOCYTE")
    found = family("ratios", disc_of_tumor(), cells)
    core, margins = 0.25, 1.5**2 - 0.25
    assert found["LYMPHOCYTE_CORE_TO_MARGIN_RATIO"] == pytest.approx((6 / core) / (2 / margins), rel=0.02)
    assert found["MACROPHAGE_CORE_TO_MARGIN_RATIO"] is None


def test_vessels_are_counted_from_the_regions():
    regions = pa.table({"class": ["VESSEL", "STROMA", "VESSEL"]})
    found = by_name(measure_maps(None, one_tissue(), regions, cell_table([], [], []), R1))
    assert found["VESSEL_DENSITY"] == 2


def test_immune_phenotypes_of_three_tiles():
    # Three tiles of 250 um, each half carcinoma (left) and half stroma: 250 / mm2 is 7.8 cells a half.
    array = np.full((125, 375), CODE["STROMA"], np.uint8)
    for k in range(3):
        array[:, 125 * k : 125 * k + 62] = CODE["CARCINOMA"]
    y = np.linspace(10, 240, 8)
    x = np.repeat([60.0, 250 + 200.0], 8)  # in the first carcinoma, in the second stroma
    cells = cell_table(x, np.append(y, y), np.repeat(["LYMPHOCYTE", "PLASMA_CELL"], 8))
    found = family("ratios", ClassMap(array, 2.0, TISSUE_CLASSES), cells)
    for name in ("INFLAMED", "EXCLUDED", "DESERT"):
        assert found[f"IMMUNE_{name}_SHARE"] == pytest.approx(1 / 3)
    assert found["IMMUNE_FEW_CELLS_SHARE"] == 0


def test_tiles_whose_phenotype_hangs_on_few_cells_are_told():
    """Of a tile a tenth carcinoma, two lymphocytes make an inflamed one; it takes five from 0.016 mm2 on."""
    array = np.full((125, 500), CODE["STROMA"], np.uint8)
    for k, columns in enumerate((13, 31, 33, 125)):
        array[:, 125 * k : 125 * k + columns] = CODE["CARCINOMA"]
    cells = cell_table([10.0, 12.0], [50.0, 200.0], "LYMPHOCYTE")
    found = family("ratios", ClassMap(array, 2.0, TISSUE_CLASSES), cells)
    assert found["IMMUNE_INFLAMED_SHARE"] == 0.25
    assert found["IMMUNE_FEW_CELLS_SHARE"] == 0.5


def test_spatial_entropy_of_one_class_and_of_seven_cells():
    x, y = lattice(5, 10.0)
    assert family("ratios", one_tissue(), cell_table(x, y, "OTHER"))["MEAN_SPATIAL_ENTROPY"] == 0
    seven = cell_table(range(7), [0] * 7, ["OTHER"] + ["LYMPHOCYTE"] * 6)
    # The lone cell sees six lymphocytes, each lymphocyte five and the lone cell.
    expected = 6 / 7 * entropy([5, 1])
    assert family("ratios", one_tissue(), seven)["MEAN_SPATIAL_ENTROPY"] == pytest.approx(expected)
    six = cell_table(range(6), [0] * 6, "OTHER")
    assert family("ratios", one_tissue(), six)["MEAN_SPATIAL_ENTROPY"] is None


@pytest.mark.parametrize("cells_at_once", [32_768, 100])
def test_spatial_entropy_equals_scipy(rng, monkeypatch, cells_at_once):
    monkeypatch.setattr(grid, "CHUNK_CELLS", cells_at_once)
    cells = random_cells(rng, 800)
    points = np.column_stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()])
    label = np.array([LABEL[name.upper()] for name in cells["class"].to_pylist()])
    nearest = label[cKDTree(points).query(points, k=7)[1][:, 1:]]
    expected = np.mean([entropy(np.bincount(row)) for row in nearest])
    assert family("ratios", one_tissue(), cells)["MEAN_SPATIAL_ENTROPY"] == pytest.approx(expected)


def test_neighbors_of_all_cells_are_not_held_at_once(rng):
    tissue, n = one_tissue((1000, 1000)), 150_000
    cells = cells_as_arrays(random_cells(rng, n, 2000.0), tissue)
    specimen = counted_specimen(make_tissue_maps(tissue), cells)
    tracemalloc.start()
    FAMILIES["ratios"].compute(specimen)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 110 * n  # it was 257: six neighbors of each, and how far they are


def test_zero_denominators_are_null_with_a_reason():
    table = measure_maps(None, one_tissue(name="VESSEL"), None, cell_table([], [], []), R1)
    reasons = by_name(table, "reason")
    assert reasons["TUMOR_STROMA_RATIO"] == "there is no stroma"
    assert reasons["LYMPHOCYTE_TO_CARCINOMA_CELL_RATIO"] == "there are no carcinoma cells"
    assert reasons["LYMPHOCYTE_CORE_TO_MARGIN_RATIO"] == "there is no tumor of at least 0.05 mm2"
    assert reasons["CELLULARITY"] == "the nuclei have no area"
