"""Heterogeneity, colocalization and clustering: by hand, and against full weight matrices."""

import numpy as np
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import by_name, family, lattice, measure_maps, one_tissue, random_cells, two_halves
from scipy.spatial import cKDTree

from histome.config import MetricsConfig
from histome.metrics.families.patterns.clustering import getis_ord, morans_i
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import Specimen, cells_as_arrays
from histome.metrics.tiles import gini, tiles_of


@pytest.fixture
def field(rng):
    """A smooth field on a lattice with holes."""
    values = np.cumsum(np.cumsum(rng.normal(0, 1, (9, 11)), axis=0), axis=1)
    return values, rng.random((9, 11)) > 0.2


def queen_weights(used):
    """Full binary matrix of tiles that share a side or a corner."""
    places = np.argwhere(used)
    apart = np.abs(places[:, None] - places[None]).max(axis=-1)
    return (apart == 1).astype(float)


def test_morans_i_equals_the_definition(field):
    values, used = field
    weights, z = queen_weights(used), values[used] - values[used].mean()
    expected = len(z) / weights.sum() * (z @ weights @ z) / (z @ z)
    assert morans_i(values, used) == pytest.approx(expected)


def test_morans_i_of_a_checkerboard_and_of_halves():
    board = (np.add(*np.indices((8, 8))) % 2).astype(float)
    halves = np.repeat([[0.0] * 4 + [1.0] * 4], 8, axis=0)
    all_used = np.ones((8, 8), bool)
    # Queen neighbors of a checkerboard: 112 side pairs differ, 98 diagonal pairs agree.
    assert morans_i(board, all_used) == pytest.approx((98 - 112) / (98 + 112))
    # Halves: of 56 + 56 side pairs 8 cross the middle, of 98 diagonal pairs 14.
    assert morans_i(halves, all_used) == pytest.approx(1 - 2 * (8 + 14) / 210)
    assert np.isnan(morans_i(board * 0, all_used))


def test_getis_ord_equals_the_definition(field):
    values, used = field
    x, weights = values[used], queen_weights(used) + np.eye(np.count_nonzero(used))
    n, mean, sd = len(x), x.mean(), np.sqrt((x**2).mean() - x.mean() ** 2)
    w = weights.sum(axis=1)
    expected = (weights @ x - mean * w) / (sd * np.sqrt((n * (weights**2).sum(axis=1) - w**2) / (n - 1)))
    assert np.allclose(getis_ord(values, used), expected)


def test_gini_by_hand(rng):
    assert gini(np.array([[1.0], [1.0], [1.0]])) == pytest.approx(0)
    assert gini(np.array([[0.0], [0.0], [0.0], [8.0]])) == pytest.approx(0.75)
    x = rng.gamma(1, 1, (40, 1))
    assert gini(x) == pytest.approx(np.abs(x - x.T).mean() / (2 * x.mean()))
    assert np.isnan(gini(np.zeros((4, 1)))).all()


@pytest.fixture
def spread(rng):
    """2,000 x 1,500 um of stroma with cells that grow denser to the right."""
    x = 2000 * np.sqrt(rng.random(4000))
    return one_tissue((750, 1000)), cell_table(x, rng.uniform(0, 1500, 4000), rng.integers(0, 4, 4000))


def test_heterogeneity_equals_numpy_on_the_tile_densities(spread):
    tissue, cells = spread
    density = (
        tiles_of(Specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue)), 250.0)
        .density[..., 3]
        .ravel()
    )
    found = by_name(
        measure_maps(None, tissue, None, cells, MetricsConfig(families=("heterogeneity", "clustering")))
    )
    assert len(density) == 48
    assert found["HETEROGENEITY_CV_FIBROBLAST_250"] == pytest.approx(density.std(ddof=1) / density.mean())
    assert found["HETEROGENEITY_P90_FIBROBLAST_250"] == pytest.approx(np.percentile(density, 90))
    assert found["HETEROGENEITY_EMPTY_SHARE_FIBROBLAST_250"] == pytest.approx(np.mean(density == 0))
    assert found["GINI_FIBROBLAST"] == found["HETEROGENEITY_GINI_FIBROBLAST_250"]
    assert found["MORANS_I_FIBROBLAST"] > 0.3
    assert 0 < found["HOTSPOT_FRACTION_FIBROBLAST"] < 0.5
    assert found["HETEROGENEITY_CV_FIBROBLAST_1000"] is None
    assert found["HETEROGENEITY_P90_MACROPHAGE_250"] == 0
    assert found["HETEROGENEITY_CV_MACROPHAGE_250"] is None


def test_colocalization_of_separate_and_of_proportional_classes():
    x, y = lattice(40, 25.0, 12.0)
    halves = np.where(x < 500, "LYMPHOCYTE", "MACROPHAGE")
    found = family("colocalization", two_halves(), cell_table(x, y, halves))
    assert found["COLOCALIZATION_MORISITA_HORN_LYMPHOCYTE_MACROPHAGE"] == 0
    assert found["COLOCALIZATION_PEARSON_LYMPHOCYTE_MACROPHAGE"] == pytest.approx(-1)
    left = x < 500
    both = cell_table(
        np.append(x, x[left] + 3), np.append(y, y[left]), np.repeat(["OTHER", "FIBROBLAST"], [1600, 800])
    )
    found = family("colocalization", two_halves(), both)
    x0, y0 = np.full(16, 100.0), np.where(np.arange(16) % 4 < 2, 100.0, 0.0)
    expected = 2 * (x0 @ y0) / ((x0 @ x0 / x0.sum() ** 2 + y0 @ y0 / y0.sum() ** 2) * x0.sum() * y0.sum())
    assert found["COLOCALIZATION_MORISITA_HORN_FIBROBLAST_OTHER"] == pytest.approx(expected)


def test_colocalization_equals_numpy(spread):
    tissue, cells = spread
    tiles = tiles_of(Specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue)), 250.0)
    a, b = tiles.counts[..., 0].ravel(), tiles.counts[..., 2].ravel()
    found = family("colocalization", tissue, cells)
    overlap = (
        2 * np.sum(a * b) / ((np.sum(a**2) / a.sum() ** 2 + np.sum(b**2) / b.sum() ** 2) * a.sum() * b.sum())
    )
    assert found["COLOCALIZATION_MORISITA_HORN_CARCINOMA_CELL_EPITHELIAL_CELL"] == pytest.approx(overlap)
    assert found["COLOCALIZATION_PEARSON_CARCINOMA_CELL_EPITHELIAL_CELL"] == pytest.approx(
        np.corrcoef(tiles.density[..., 0].ravel(), tiles.density[..., 2].ravel())[0, 1]
    )


def test_clark_evans_of_a_square_lattice_is_2():
    # The lattice of spacing d has n = A / d^2, so the ratio is d / (d / 2); every distance is the same.
    x, y = lattice(40, 25.0, 12.5)
    found = family("clustering", one_tissue(), cell_table(x, y, "OTHER"))
    assert found["CLARK_EVANS_OTHER"] == pytest.approx(2)


def test_clark_evans_is_about_1_at_random_whatever_the_window(rng):
    tissue = one_tissue((1000, 1000))
    # A comb: much border, so that uncorrected distances would be too long.
    tissue.array[50:, ::60] = 0
    tissue.array[:, 1::60] = 0
    cells = cell_table(*rng.uniform(0, 2000, (2, 15_000)), "OTHER")
    found = family("clustering", tissue, cells)
    assert found["CLARK_EVANS_OTHER"] == pytest.approx(1, abs=0.02)


def test_clark_evans_equals_hanisch_by_brute_force(rng):
    cells = random_cells(rng, 2500)
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    own = np.array([name == "macrophage" for name in cells["class"].to_pylist()])
    points = np.column_stack([x, y])[own]
    distance = cKDTree(points).query(points, k=2)[0][:, 1]
    px = np.floor(points / 2)
    border = 2 * np.minimum(px + 1, 500 - px).min(axis=1)
    sure = distance <= border
    # A square of 500 px eroded by k px, whole px, and linear between.
    steps = np.arange(250)
    area = np.interp(distance / 2, steps, (500.0 - 2 * np.maximum(steps - 1, 0)) ** 2)
    mean = np.average(distance[sure], weights=1 / area[sure])
    expected = mean * 2 * np.sqrt(len(points) / 1e6)
    assert family("clustering", one_tissue(), cells)["CLARK_EVANS_MACROPHAGE"] == pytest.approx(expected)


def test_few_tiles_have_a_reason():
    cells = cell_table([5], [5], "OTHER")
    table = measure_maps(
        None,
        one_tissue(),
        None,
        cells,
        MetricsConfig(families=("heterogeneity", "colocalization", "clustering")),
    )
    reasons = by_name(table, "reason")
    assert reasons["HETEROGENEITY_CV_OTHER_500"].startswith("fewer than 5 tiles")
    assert reasons["MORANS_I_FIBROBLAST"] == "the density is the same everywhere"
    assert reasons["COLOCALIZATION_MORISITA_HORN_LYMPHOCYTE_OTHER"] == "one of the classes is absent"
    assert set(LABEL) <= {name.removeprefix("GINI_") for name in reasons if name.startswith("GINI_")}
