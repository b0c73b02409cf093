"""Distances, cross G and cross L: lattices and pairs by hand, brute force as the reference."""

import numpy as np
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import CODE, by_name, family, lattice, measure_maps, one_tissue, random_cells
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import cdist

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.slide.maps import ClassMap


def positions(cells):
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    label = np.array([LABEL[name.upper()] for name in cells["class"].to_pylist()])
    distance = cdist(np.column_stack([x, y]), np.column_stack([x, y]))
    np.fill_diagonal(distance, np.inf)
    return x, y, label, distance


def test_a_lattice_at_100_um_has_its_neighbors_at_100_um():
    x, y = lattice(8, 100.0, 50.0)
    found = family("nearest-distances", one_tissue(), cell_table(x, y, "MACROPHAGE"))
    assert found["NN_DISTANCE_MEAN_OF_MACROPHAGE_FROM_MACROPHAGE"] == 100
    assert found["NN_DISTANCE_MEDIAN_OF_MACROPHAGE_FROM_MACROPHAGE"] == 100
    assert found["NN_DISTANCE_SD_OF_MACROPHAGE_FROM_MACROPHAGE"] == 0
    assert found["NN_DISTANCE_MEAN_OF_OTHER_FROM_MACROPHAGE"] is None


def test_directions_differ():
    cells = cell_table([0, 10, 200], [0, 0, 0], ["OTHER", "LYMPHOCYTE", "LYMPHOCYTE"])
    found = by_name(
        measure_maps(
            None, one_tissue(), None, cells, MetricsConfig(families=("nearest-distances", "cross-g"))
        )
    )
    assert found["NN_DISTANCE_MEAN_OF_LYMPHOCYTE_FROM_OTHER"] == 10
    assert found["NN_DISTANCE_MEAN_OF_OTHER_FROM_LYMPHOCYTE"] == 105
    assert found["NN_DISTANCE_SD_OF_LYMPHOCYTE_FROM_OTHER"] is None
    assert found["CROSS_G_OTHER_FROM_LYMPHOCYTE_20"] == 0.5
    assert found["CROSS_G_LYMPHOCYTE_FROM_OTHER_20"] == 1
    assert found["CROSS_G_LYMPHOCYTE_FROM_LYMPHOCYTE_40"] == 0
    assert found["CROSS_G_OTHER_FROM_MACROPHAGE_20"] is None


def test_distances_and_cross_g_equal_brute_force(rng):
    cells = random_cells(rng, 700)
    _, _, label, distance = positions(cells)
    found = by_name(
        measure_maps(
            None, one_tissue(), None, cells, MetricsConfig(families=("nearest-distances", "cross-g"))
        )
    )
    for center, c in LABEL.items():
        for neighbor, k in LABEL.items():
            nearest = distance[label == c][:, label == k].min(axis=1)
            pair = f"OF_{neighbor}_FROM_{center}"
            assert found[f"NN_DISTANCE_MEAN_{pair}"] == pytest.approx(nearest.mean())
            assert found[f"NN_DISTANCE_MEDIAN_{pair}"] == pytest.approx(np.median(nearest))
            assert found[f"NN_DISTANCE_SD_{pair}"] == pytest.approx(nearest.std(ddof=1))
            assert found[f"CROSS_G_{neighbor}_FROM_{center}_40"] == pytest.approx(np.mean(nearest <= 40))


def test_lonely_pairs_by_hand():
    # 25 lymphocytes 180 um apart, each with a macrophage 10 um to its right: K is area / 25 up to 100 um.
    x, y = lattice(5, 180.0, 140.0)
    cells = cell_table(np.append(x, x + 10), np.append(y, y), np.repeat(["LYMPHOCYTE", "MACROPHAGE"], 25))
    found = family("cross-l", one_tissue(), cells)
    for radius in (20, 60, 100):
        expected = np.sqrt(1e6 / 25 / np.pi) - radius
        assert found[f"CROSS_L_MACROPHAGE_LYMPHOCYTE_{radius}"] == pytest.approx(expected)
        assert found[f"CROSS_L_LYMPHOCYTE_LYMPHOCYTE_{radius}"] == -radius


def holed_tissue():
    array = np.full((400, 500), CODE["STROMA"], np.uint8)
    array[100:180, 200:300] = 0
    array[:, 450:] = CODE["BLOOD"]
    return ClassMap(array, 2.0, TISSUE_CLASSES)


def test_cross_l_equals_brute_force_in_a_window_with_a_hole(rng):
    tissue, cells = holed_tissue(), random_cells(rng, 3000)
    x, y, label, distance = positions(cells)
    window = np.isin(tissue.array, [CODE["STROMA"]])
    border = distance_transform_edt(np.pad(window, 1))[1:-1, 1:-1] * 2
    inside = y < 800
    own = np.zeros(len(x))
    own[inside] = border[(y[inside] / 2).astype(int), (x[inside] / 2).astype(int)]
    inside = own > 0
    found = family("cross-l", tissue, cells)
    for center, neighbor in (("LYMPHOCYTE", "MACROPHAGE"), ("OTHER", "OTHER"), ("FIBROBLAST", "PLASMA_CELL")):
        for radius in (20, 60, 100):
            from_ = (label == LABEL[center]) & (own >= radius)
            to = (label == LABEL[neighbor]) & inside
            pairs = (distance[from_][:, to] <= radius).sum()
            k = window.sum() * 4 * pairs / (from_.sum() * (to.sum() - (center == neighbor)))
            name = f"CROSS_L_{neighbor}_{center}_{radius}"
            assert found[name] == pytest.approx(np.sqrt(k / np.pi) - radius), name


def test_cross_l_is_about_0_at_random(rng):
    cells = cell_table(*rng.uniform(0, 2000, (2, 20_000)), rng.integers(0, 2, 20_000))
    found = family("cross-l", one_tissue((1000, 1000)), cells)
    for radius in (20, 60, 100):
        assert found[f"CROSS_L_CARCINOMA_CELL_ENDOTHELIAL_CELL_{radius}"] == pytest.approx(0, abs=0.5)


def test_reasons():
    cells = cell_table(*lattice(6, 100.0, 50.0), "OTHER")
    table = measure_maps(None, one_tissue((300, 300)), None, cells, MetricsConfig(families=("cross-l",)))
    reasons = by_name(table, "reason")
    assert reasons["CROSS_L_OTHER_OTHER_100"].startswith("fewer than 20 other cells lie at least 100 um")
    assert reasons["CROSS_L_MACROPHAGE_OTHER_20"] == "there are no other macrophages in nucleated tissue"
    assert reasons["CROSS_L_OTHER_OTHER_20"] is None
