"""Dispersion and overlap of tiles: nothing at random however few cells, known values, thinning, reasons."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import by_name, family, measure_maps, one_tissue, random_cells, two_compartments

from histome.config import MetricsConfig
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.metrics.tiles import four_tilings, tiles_of

FAMILIES = ("heterogeneity", "tile-dispersion", "colocalization", "tile-overlap")


def measured(tissue, cells, column="value"):
    return by_name(measure_maps(None, tissue, None, cells, MetricsConfig(families=FAMILIES)), column)


@pytest.fixture
def ragged():
    """2,300 x 2,300 um of stroma with holes: tiles of many areas."""
    tissue = one_tissue((1150, 1150))
    tissue.array[300:420, 100:900] = 0
    tissue.array[700:, ::90] = 0
    return tissue


def test_nothing_but_counting_at_random_however_few_cells(rng, ragged):
    draws = []
    for _ in range(40):
        x, y = rng.uniform(0, 2300, (2, 4000))
        kinds = rng.choice(["LYMPHOCYTE", "MACROPHAGE"], 4000, p=[0.9, 0.1])
        draws.append(measured(ragged, cell_table(x, y, kinds)))
    mean = {k: np.mean([draw[k] for draw in draws]) for k, v in draws[0].items() if v is not None}
    for kind in ("LYMPHOCYTE", "MACROPHAGE"):
        assert mean[f"HETEROGENEITY_MORISITA_{kind}_250"] == pytest.approx(1, abs=0.01)
        assert mean[f"HETEROGENEITY_CV2_EXCESS_{kind}_250"] == pytest.approx(0, abs=0.015)
        for what in ("CV", "GINI"):
            at_random = mean[f"HETEROGENEITY_{what}_AT_RANDOM_{kind}_250"]
            assert at_random == pytest.approx(mean[f"HETEROGENEITY_{what}_{kind}_250"], rel=0.03)
    assert mean["HETEROGENEITY_CV_MACROPHAGE_250"] > 2 * mean["HETEROGENEITY_CV_LYMPHOCYTE_250"]
    pair = "LYMPHOCYTE_MACROPHAGE"
    assert mean[f"COLOCALIZATION_MORISITA_{pair}"] == pytest.approx(1, abs=0.01)
    horn = mean[f"COLOCALIZATION_MORISITA_HORN_{pair}"]
    assert horn < 0.95
    assert mean[f"COLOCALIZATION_MORISITA_HORN_AT_RANDOM_{pair}"] == pytest.approx(horn, rel=0.01)


def test_thinning_changes_what_counts_cells_and_not_what_is_freed_of_it(rng):
    tissue, cells = two_compartments(rng, 20_000)
    thin = cells.filter(rng.random(len(cells)) < 0.1)
    whole, tenth = measured(tissue, cells), measured(tissue, thin)
    for name, moves in (
        ("HETEROGENEITY_GINI_LYMPHOCYTE_250", 0.04),
        ("HETEROGENEITY_CV_LYMPHOCYTE_250", 0.1),
    ):
        assert tenth[name] - whole[name] > moves
    assert tenth["HETEROGENEITY_MORISITA_LYMPHOCYTE_250"] == pytest.approx(
        whole["HETEROGENEITY_MORISITA_LYMPHOCYTE_250"], rel=0.04
    )
    name = "COLOCALIZATION_MORISITA_FIBROBLAST_LYMPHOCYTE"
    assert tenth[name] == pytest.approx(whole[name], rel=0.03)
    assert tenth["COLOCALIZATION_MORISITA_HORN_FIBROBLAST_LYMPHOCYTE"] < 0.97 * whole[name]


def test_tiles_of_unequal_intensity_have_their_known_excess(rng):
    # Squares of 500 um at 50 and 150 cells on a checkerboard: the CV^2 of the intensity is 1/4 in tiles of
    # 500 um that are not moved.
    board = 100 + 50 * (-1) ** np.add(*np.indices((8, 8)))
    counts = rng.poisson(board)
    rows, columns = (np.repeat(each.ravel(), counts.ravel()) for each in np.indices((8, 8)))
    x, y = 500 * (columns + rng.random(len(rows))), 500 * (rows + rng.random(len(rows)))
    tissue = one_tissue((2000, 2000))
    found = family("tile-dispersion", tissue, cell_table(x, y, "LYMPHOCYTE"))
    assert found["HETEROGENEITY_MORISITA_LYMPHOCYTE_250"] > 1.1
    first = four_tilings(
        counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cell_table(x, y, "LYMPHOCYTE"), tissue)),
        500.0,
    )[0].counts[:, 5]
    assert np.array_equal(np.sort(first), np.sort(counts.ravel()))
    assert first.var(ddof=1) / first.mean() ** 2 - 1 / first.mean() == pytest.approx(0.25, abs=0.06)


def test_excess_and_index_equal_their_formulas_over_four_origins(rng, ragged):
    cells = random_cells(rng, 3000, side_um=2300.0)
    specimen = counted_specimen(make_tissue_maps(ragged), cells_as_arrays(cells, ragged))
    x, y = specimen.cells.x_um, specimen.cells.y_um
    excess, index = [], []
    for dx, dy in ((0, 0), (125, 0), (0, 125), (125, 125)):
        # The tissue is 2,300 um wide: ten centered tiles of 250 um begin at -100 um.
        edges_x, edges_y = (np.arange(-100 - moved, 2700, 250) for moved in (dx, dy))
        pixels = np.argwhere(ragged.array > 0)[:, ::-1] * 2 + 1.0
        # Pixels of 2 um are parted where 125 um fall into one: their corners count by quarters.
        corners = np.concatenate([pixels + np.array([a, b]) for a in (-0.5, 0.5) for b in (-0.5, 0.5)])
        area = np.histogram2d(corners[:, 0], corners[:, 1], (edges_x, edges_y))[0].ravel() / 1e6
        lymphocytes = specimen.cells.label == 5
        k = np.histogram2d(x[lymphocytes], y[lymphocytes], (edges_x, edges_y))[0].ravel()
        used = area >= 0.25 * 0.0625 - 1e-12
        k, area = k[used], area[used]
        density, share = k / area, area / area.sum()
        excess.append(density.var(ddof=1) / density.mean() ** 2 - np.mean(1 / area) / density.mean())
        index.append(np.sum(k * (k - 1)) / (k.sum() * (k.sum() - 1) * np.sum(share**2)))
    found = family("tile-dispersion", ragged, cells)
    assert found["HETEROGENEITY_CV2_EXCESS_LYMPHOCYTE_250"] == pytest.approx(np.mean(excess))
    assert found["HETEROGENEITY_MORISITA_LYMPHOCYTE_250"] == pytest.approx(np.mean(index))


@pytest.mark.parametrize("size_um", [250.0, 500.0, 1000.0])
def test_the_first_tiling_is_that_of_the_old_tiles(rng, ragged, size_um):
    cells = random_cells(rng, 2000, side_um=2300.0)
    specimen = counted_specimen(make_tissue_maps(ragged), cells_as_arrays(cells, ragged))
    tiles, tilings = tiles_of(specimen, size_um), four_tilings(specimen, size_um)
    assert np.array_equal(tilings[0].counts, tiles.counts[tiles.used])
    density = tilings[0].counts / tilings[0].mm2[:, None]
    assert np.allclose(density, tiles.density[tiles.used], rtol=1e-9)
    assert len({tuple(tiling.mm2) for tiling in tilings}) == 4


def test_few_cells_in_the_tiles_have_a_reason(rng):
    x, y = rng.uniform(0, 2000, (2, 1030))
    cells = cell_table(x, y, ["LYMPHOCYTE"] * 1000 + ["MACROPHAGE"] * 30)
    reasons, n = (measured(one_tissue((1000, 1000)), cells, what) for what in ("reason", "n"))
    few = "the tiles of 250 um hold too few macrophages: fewer than 25 pairs would share a tile at random"
    assert reasons["HETEROGENEITY_MORISITA_MACROPHAGE_250"] == few
    assert n["HETEROGENEITY_MORISITA_MACROPHAGE_250"] < 30 * 29 / 2 / 64 + 1
    assert reasons["HETEROGENEITY_CV2_EXCESS_LYMPHOCYTE_250"] is None
    assert reasons["COLOCALIZATION_MORISITA_LYMPHOCYTE_MACROPHAGE"].startswith("the tiles hold too few cells")
    assert reasons["COLOCALIZATION_MORISITA_HORN_AT_RANDOM_LYMPHOCYTE_MACROPHAGE"] is None
    assert reasons["HETEROGENEITY_MORISITA_LYMPHOCYTE_1000"].startswith("fewer than 5 tiles")
