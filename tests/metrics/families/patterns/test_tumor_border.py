"""Bands and distances at a straight border."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import (
    CODE,
    by_name,
    family,
    in_nucleated_tissue,
    measure_maps,
    one_tissue,
    patchwork,
    random_cells,
    two_halves,
)
from scipy.ndimage import distance_transform_edt

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.slide.maps import ClassMap


def test_two_half_planes_by_hand():
    # The border is at x = 500 um; pixels of 2 um: the k-th column from it is 2 k um away.
    cells = cell_table([499, 481, 479, 501, 561, 900], [100] * 6, "LYMPHOCYTE")
    found = family("tumor-border", two_halves(), cells)
    band_mm2 = {20: 0.02, 30: 0.03, 50: 0.05, 100: 0.1}
    assert found["CELL_DENSITY_LYMPHOCYTE_AT_BORDER_IN_0_20"] == pytest.approx(2 / band_mm2[20])
    assert found["CELL_DENSITY_LYMPHOCYTE_AT_BORDER_IN_20_50"] == pytest.approx(1 / band_mm2[30])
    assert found["CELL_DENSITY_LYMPHOCYTE_AT_BORDER_OUT_0_20"] == pytest.approx(1 / band_mm2[20])
    assert found["CELL_DENSITY_LYMPHOCYTE_AT_BORDER_OUT_50_100"] == pytest.approx(1 / band_mm2[50])
    assert found["CELL_DENSITY_LYMPHOCYTE_AT_BORDER_OUT_100_200"] == 0
    assert found["CELL_DENSITY_LYMPHOCYTE_AT_BORDER_OUT_200_500"] == pytest.approx(1 / 0.3)


def test_distance_to_a_half_plane_by_hand():
    cells = cell_table([100, 501, 541, 641], [50] * 4, "MACROPHAGE")
    found = family("distance-to-carcinoma", two_halves(), cells)
    assert found["DISTANCE_TO_CARCINOMA_MEAN_MACROPHAGE"] == (0 + 2 + 42 + 142) / 4
    assert found["DISTANCE_TO_CARCINOMA_MEDIAN_MACROPHAGE"] == 22
    assert found["DISTANCE_TO_CARCINOMA_SHARE_WITHIN_50_MACROPHAGE"] == 0.75
    assert found["DISTANCE_TO_CARCINOMA_MEAN_OTHER"] is None


@pytest.mark.parametrize("degrees", [0, 45])
def test_distances_do_not_depend_on_the_frame(degrees):
    """Cells beside a band of tissue lie in the rectangle round it once it is turned, and count in none."""
    angle = np.radians(degrees)
    y, x = (np.mgrid[:700, :700] + 0.5) * 2 - 700
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    band = (abs(along) < 400) & (abs(across) < 100)
    codes = np.where(band, np.where(along < 0, CODE["CARCINOMA"], CODE["STROMA"]), 0).astype(np.uint8)
    along, across = np.array([[10, 20, 30, 390, 395, 380], [0, 50, -50, 150, -180, 250]], float)
    x, y = (
        along * np.cos(angle) - across * np.sin(angle) + 700,
        along * np.sin(angle) + across * np.cos(angle) + 700,
    )
    cells = cell_table(x, y, ["FIBROBLAST"] * 4 + ["MACROPHAGE"] * 2)
    tissue = ClassMap(codes, 2.0, TISSUE_CLASSES)
    table = measure_maps(None, tissue, None, cells, MetricsConfig(families=("distance-to-carcinoma",)))
    assert by_name(table)["DISTANCE_TO_CARCINOMA_MEDIAN_FIBROBLAST"] == pytest.approx(20, abs=2)
    assert by_name(table, "n")["DISTANCE_TO_CARCINOMA_MEDIAN_FIBROBLAST"] == 3
    assert by_name(table, "reason")["DISTANCE_TO_CARCINOMA_MEDIAN_MACROPHAGE"] == "there are no macrophages"


def test_equals_scipy(rng):
    tissue = patchwork(rng, patch_px=25)
    cells = random_cells(rng, 2500)
    cells = cells.filter(in_nucleated_tissue(cells, tissue))
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    rows, columns = (y / 2).astype(int), (x / 2).astype(int)
    label = np.array([name.upper() for name in cells["class"].to_pylist()])
    carcinoma, stroma = (tissue.array == CODE[name] for name in ("CARCINOMA", "STROMA"))
    found = by_name(
        measure_maps(
            None, tissue, None, cells, MetricsConfig(families=("tumor-border", "distance-to-carcinoma"))
        )
    )
    outside = distance_transform_edt(~carcinoma) * 2
    mine = outside[rows, columns][label == "FIBROBLAST"]
    assert found["DISTANCE_TO_CARCINOMA_MEAN_FIBROBLAST"] == pytest.approx(mine.mean())
    assert found["DISTANCE_TO_CARCINOMA_P90_FIBROBLAST"] == pytest.approx(np.percentile(mine, 90))
    for side, here, distance in (
        ("IN", carcinoma, distance_transform_edt(~stroma) * 2),
        ("OUT", stroma, outside),
    ):
        for low, high in ((0, 20), (20, 50), (50, 100)):
            band = here & (distance > low) & (distance <= high)
            count = np.sum(band[rows, columns] & (label == "OTHER"))
            name = f"CELL_DENSITY_OTHER_AT_BORDER_{side}_{low}_{high}"
            assert found[name] == pytest.approx(count / (band.sum() * 4e-6)), name


def test_reasons():
    table = measure_maps(
        None,
        one_tissue(),
        None,
        cell_table([5], [5], "OTHER"),
        MetricsConfig(families=("tumor-border", "distance-to-carcinoma")),
    )
    assert set(table["reason"].to_pylist()) == {"there is no carcinoma"}
    table = measure_maps(
        None,
        one_tissue(name="CARCINOMA"),
        None,
        cell_table([5], [5], "OTHER"),
        MetricsConfig(families=("tumor-border",)),
    )
    assert set(table["reason"].to_pylist()) == {"there is no stroma"}
