"""Nuclear morphology against numpy and scipy."""

import numpy as np
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import by_name, family, measure_maps, one_tissue, patchwork, random_cells
from scipy.stats import skew

from histome.config import MetricsConfig


def test_equal_nuclei_by_hand():
    n = 25
    cells = cell_table(
        np.arange(n), np.ones(n), "LYMPHOCYTE", area_um2=np.full(n, 30.1), roundness=np.arange(n) / n
    )
    found = family("nuclei-per-class", one_tissue(), cells)
    assert found["NUCLEUS_MEAN_AREA_LYMPHOCYTE"] == pytest.approx(30.1)
    assert found["NUCLEUS_SD_AREA_LYMPHOCYTE"] == pytest.approx(0, abs=1e-12)
    assert found["NUCLEUS_SKEW_AREA_LYMPHOCYTE"] is None
    assert found["NUCLEUS_MEDIAN_CIRCULARITY_ALL"] == 12 / 25
    assert found["NUCLEUS_SKEW_CIRCULARITY_ALL"] == pytest.approx(0, abs=1e-12)
    assert found["NUCLEUS_MEAN_AREA_FIBROBLAST"] is None
    assert found["NUCLEUS_MEAN_SOLIDITY_ALL"] is None


def test_equals_scipy(rng):
    n = 600
    area = rng.gamma(4, 10, n)
    cells = random_cells(rng, n, area_um2=area)
    label = np.array([LABEL[name.upper()] for name in cells["class"].to_pylist()])
    found = family("nuclei-per-class", one_tissue(), cells)
    for name, k in LABEL.items():
        sample = area[label == k]
        assert found[f"NUCLEUS_MEAN_AREA_{name}"] == pytest.approx(sample.mean())
        assert found[f"NUCLEUS_SD_AREA_{name}"] == pytest.approx(sample.std(ddof=1))
        assert found[f"NUCLEUS_CV_AREA_{name}"] == pytest.approx(sample.std(ddof=1) / sample.mean())
        assert found[f"NUCLEUS_P10_AREA_{name}"] == pytest.approx(np.percentile(sample, 10))
        assert found[f"NUCLEUS_P90_AREA_{name}"] == pytest.approx(np.percentile(sample, 90))
        assert found[f"NUCLEUS_SKEW_AREA_{name}"] == pytest.approx(skew(sample))


def test_per_tissue_equals_numpy(rng):
    n, tissue = 3000, patchwork(rng)
    od = rng.normal(0.3, 0.1, n)
    cells = random_cells(rng, n, hematoxylin_od_mean=od)
    place = np.array((None, *tissue.classes))[tissue.at(cells["x_um"].to_numpy(), cells["y_um"].to_numpy())]
    label = np.array([name.upper() for name in cells["class"].to_pylist()])
    found = family("nuclei-by-tissue", tissue, cells)
    sample = od[(label == "MACROPHAGE") & (place == "STROMA")]
    assert len(sample) >= 20
    assert found["NUCLEUS_MEAN_HEMATOXYLIN_OD_MEAN_MACROPHAGE_IN_STROMA"] == pytest.approx(sample.mean())
    assert found["NUCLEUS_SD_HEMATOXYLIN_OD_MEAN_MACROPHAGE_IN_STROMA"] == pytest.approx(sample.std(ddof=1))
    assert found["NUCLEUS_MEAN_AREA_MACROPHAGE_IN_STROMA"] is None


@pytest.mark.parametrize(("n", "value"), [(19, None), (20, 5.0)])
def test_twenty_nuclei_are_enough(n, value):
    cells = cell_table(np.arange(n), np.ones(n), "OTHER", perimeter_um=np.full(n, 5.0))
    table = measure_maps(None, one_tissue(), None, cells, MetricsConfig(families=("nuclei-per-class",)))
    assert by_name(table)["NUCLEUS_MEAN_PERIMETER_OTHER"] == value
    assert by_name(table, "n")["NUCLEUS_MEAN_PERIMETER_OTHER"] == n


def test_nuclei_without_a_value_are_left_out():
    area = np.append(np.full(30, 7.0), np.nan)
    found = family(
        "nuclei-per-class", one_tissue(), cell_table(np.arange(31), np.ones(31), "OTHER", area_um2=area)
    )
    assert found["NUCLEUS_MEAN_AREA_OTHER"] == 7
