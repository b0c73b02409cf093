"""Pair correlation, L and rings up to 500 um: random, clustered and divided slides."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import by_name, family, measure_maps, one_tissue, two_compartments

from histome.config import MetricsConfig
from histome.metrics.axes import FAR_RADII_UM, RINGS_UM

NAME = "pairs-by-distance"
RINGS = [f"{low}_{high}" for low, high in RINGS_UM]


def g_of(found, pair="LYMPHOCYTE_LYMPHOCYTE"):
    return np.array([found[f"PAIR_CORRELATION_IN_TISSUE_{pair}_{ring}"] for ring in RINGS], float)


def test_compartments_alone_leave_nothing(rng):
    tissue, cells = two_compartments(rng)
    pooled = family("cross-l", tissue, cells)
    assert pooled["CROSS_L_LYMPHOCYTE_FIBROBLAST_100"] > 18
    found = family(NAME, tissue, cells)
    for pair in ("CARCINOMA_CELL_LYMPHOCYTE", "FIBROBLAST_LYMPHOCYTE", "LYMPHOCYTE_LYMPHOCYTE"):
        assert g_of(found, pair)[1:] == pytest.approx(np.ones(5), abs=0.05)
        rings = [found[f"RING_ENRICHMENT_IN_TISSUE_LOG2_{pair}_{ring}"] for ring in RINGS[1:]]
        assert rings == pytest.approx([0] * 5, abs=0.06)
        l_values = [found[f"L_IN_TISSUE_{pair}_{radius}"] for radius in FAR_RADII_UM]
        assert np.all(np.abs(l_values) < 0.03 * np.array(FAR_RADII_UM))


def test_unbiased_at_random_in_a_ragged_window(rng):
    tissue = one_tissue((700, 700))
    tissue.array[50:, ::120] = 0
    tissue.array[300:420, 100:500] = 0
    draws = []
    for _ in range(60):
        x, y = rng.uniform(0, 1400, (2, 1500))
        found = family(NAME, tissue, cell_table(x, y, rng.choice(["LYMPHOCYTE", "FIBROBLAST"], 1500)))
        draws.append(
            [
                *g_of(found),
                *g_of(found, "FIBROBLAST_LYMPHOCYTE"),
                found["L_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_500"],
            ]
        )
    off = np.mean(draws, axis=0) - np.array([1.0] * 12 + [0.0])
    assert np.all(np.abs(off) < 4 * np.std(draws, axis=0) / 60**0.5 + 1e-3)
    assert np.std(draws, axis=0)[[3, 4, 5]].max() < 0.05


def test_clusters_have_their_known_pair_correlation(rng):
    # Thomas process: g(r) = 1 + exp(-r^2 / 4 s^2) / (4 pi s^2 k), k parents per area, s the SD of a cluster.
    side, sd, parents = 6000.0, 40.0, 600
    at = rng.uniform(-300, side + 300, (2, round(parents * ((side + 600) / side) ** 2)))
    own = np.repeat(at, rng.poisson(12, at.shape[1]), axis=1)
    x, y = own + rng.normal(0, sd, own.shape)
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    found = family(NAME, one_tissue((3000, 3000)), cell_table(x[inside], y[inside], "LYMPHOCYTE"))
    edges = np.array([0, *FAR_RADII_UM], float)
    extra = -np.diff(np.exp(-(edges**2) / (4 * sd**2))) * side**2 / parents
    expected = 1 + extra / (np.pi * np.diff(edges**2))
    assert expected[0] > 3.5
    assert g_of(found) == pytest.approx(expected, rel=0.12)
    # With one class there is nothing to exchange: clusters of cells are no enrichment of a class.
    rings = [found[f"RING_ENRICHMENT_IN_TISSUE_LOG2_LYMPHOCYTE_LYMPHOCYTE_{ring}"] for ring in RINGS]
    assert rings == pytest.approx([0] * 6, abs=1e-9)


def test_l_follows_from_the_pairs_of_a_lattice():
    # 50 um apart, so no pair within 20 um, four neighbors within 50 um but on the border.
    place = np.arange(25.0, 2000, 50)
    x, y = (each.ravel() for each in np.meshgrid(place, place))
    found = family(NAME, one_tissue((1000, 1000)), cell_table(x, y, "LYMPHOCYTE"))
    assert found["L_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_20"] == pytest.approx(-20)
    pairs, area = 2 * 40 * 39, np.pi * 50**2 * 2000**2 - 8 / 3 * 50**3 * 2000 + 50**4 / 2
    expected = 50 * (np.sqrt(2 * pairs * 2000**4 / (1600 * 1599 * area)) - 1)
    assert found["L_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_50"] == pytest.approx(expected, abs=0.05)


def test_few_cells_and_few_pairs_have_a_reason(rng):
    x, y = rng.uniform(0, 1000, (2, 119))
    cells = cell_table(x, y, ["LYMPHOCYTE"] * 100 + ["MACROPHAGE"] * 19)
    table = measure_maps(None, one_tissue(), None, cells, MetricsConfig(families=(NAME,)))
    reasons, n = by_name(table, "reason"), by_name(table, "n")
    few_cells = "there are fewer than 20 cells of one of the classes in nucleated tissue"
    assert reasons["L_IN_TISSUE_LYMPHOCYTE_MACROPHAGE_500"] == few_cells
    first = "PAIR_CORRELATION_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_0_20"
    assert reasons[first] == "fewer than 25 such pairs are expected"
    assert n[first] == 6  # 100 x 99 / 2 pairs, pi 20^2 of 1e6 um2, less the border
    assert reasons["L_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_500"] is None
