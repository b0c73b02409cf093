"""The columns low, high and method of the metrics table."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import by_name, measure_maps, one_tissue, random_cells, two_compartments, two_halves

from histome.config import MetricsConfig
from histome.errors import HistomeError
from histome.metrics.catalogue import FAMILIES, find_metric, list_metrics
from histome.metrics.format import MetricTable
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.metrics.uncertainty.blocks import blocks_of
from histome.metrics.uncertainty.bootstrap import block_interval, draw_blocks


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    return measure_maps(None, one_tissue((1000, 1000), mpp=4.0), None, random_cells(rng, 20_000, 4000.0))


def metric_names(families):
    return [metric.name for metric in list_metrics(families)]


def test_every_metric_has_an_interval_or_says_why_not(table):
    with_interval = bands = 0
    for row in table.to_pylist():
        none = row["method"].startswith("none: ")
        assert none == (row["low"] is None) == (row["high"] is None), row["name"]
        if not none:
            with_interval += 1
            assert row["method"] == "block bootstrap, 64 blocks of 500 um"
            lowest, highest = find_metric(row["name"]).template.range
            assert row["low"] < row["high"], row["name"]
            assert lowest is None or row["low"] >= lowest - 1e-9, row["name"]
            assert highest is None or row["high"] <= highest + 1e-9, row["name"]
            if row["band_low"] is not None:
                assert row["band_low"] <= row["low"] + 1e-9, row["name"]
                assert row["band_high"] >= row["high"] - 1e-9, row["name"]
                bands += 1
    assert with_interval > 800
    assert bands > 400


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ABSOLUTE_AREA", "measured on the whole slide, not sampled"),
        ("AREA_AROUND_LYMPHOCYTE_IN_STROMA_20", "areas of unions of discs are no sums over blocks of tissue"),
        ("NN_DISTANCE_MEDIAN_OF_LYMPHOCYTE_FROM_OTHER", "quantiles are no function of sums"),
        ("ENRICHMENT_Z_LYMPHOCYTE_AROUND_OTHER", "z tests one slide"),
        ("CELL_DENSITY_LYMPHOCYTE_CARCINOMA", "there is no value"),
        ("CELL_COUNT_LYMPHOCYTE_CARCINOMA", "no block differs"),
        ("RELATIVE_AREA_STROMA", "no block differs"),
        ("MPP_USED", "a fact of the slide"),
    ],
)
def test_the_reason_is_said(table, name, why):
    assert by_name(table, "method")[name].startswith(f"none: {why}")


def test_a_density_of_random_cells_has_the_width_of_poisson(table):
    row = MetricTable(table)["CELL_COUNT_LYMPHOCYTE"]
    width = (row.high - row.low) / (2 * 1.96 * np.sqrt(row.value))
    assert 0.8 < width < 1.4
    assert row.low < row.value < row.high


def test_a_density_is_as_uncertain_as_its_count(table):
    metrics = MetricTable(table)
    count, density = metrics["CELL_COUNT_LYMPHOCYTE_STROMA"], metrics["CELL_DENSITY_LYMPHOCYTE_STROMA"]
    assert density.low == pytest.approx(count.low / 16e6)
    assert density.high == pytest.approx(count.high / 16e6)


def test_random_labels_are_neither_near_nor_far(table):
    names = [
        metric.name
        for metric in list_metrics(("enrichment", "contacts"))
        if "_LOG2FC_" in metric.name or "_LOG_ODDS_" in metric.name
    ]
    metrics = MetricTable(table)
    held = [metrics[name].low <= 0 <= metrics[name].high for name in names]
    assert np.mean(held) > 0.85


def test_a_field_is_too_small(rng):
    table = measure_maps(None, one_tissue(), None, random_cells(rng, 500))
    assert table["low"].null_count == len(table)
    why = by_name(table, "method")["CELL_COUNT_LYMPHOCYTE"]
    assert why == "none: fewer than 8 blocks of tissue"
    smaller = measure_maps(None, one_tissue(), None, random_cells(rng, 500), MetricsConfig(block_um=250))
    assert by_name(smaller, "low")["CELL_COUNT_LYMPHOCYTE"] is not None


def test_settings_decide_and_leave_the_values_alone(rng):
    cells = random_cells(rng, 5000, 4000.0)
    tissue = one_tissue((1000, 1000), mpp=4.0)
    families = ("cells-per-class",)
    first, again, other, wider = (
        measure_maps(None, tissue, None, cells, MetricsConfig(families=families, **more))
        for more in ({}, {}, {"seed": 1}, {"block_um": 1000})
    )
    assert first.equals(again)
    for table in (other, wider):
        assert table["value"].equals(first["value"])
        assert not table["low"].equals(first["low"])
    assert "16 blocks of 1000 um" in by_name(wider, "method")["CELL_COUNT_LYMPHOCYTE"]


def test_numbers_within_tissues_hold_their_null_where_tissue_is_all_there_is(rng):
    """Two compartments, classes independent inside each: the pooled L says +18 um, these say nothing."""
    tissue, cells = two_compartments(rng)
    within = ("enrichment-in-tissue", "contacts-in-tissue", "pairs-by-distance")
    config = MetricsConfig(families=("cross-l", *within))
    metrics = MetricTable(measure_maps(None, tissue, None, cells, config))
    assert metrics["CROSS_L_LYMPHOCYTE_FIBROBLAST_100"].low > 0
    rows = [row for row in map(metrics.__getitem__, metric_names(within)) if row.low is not None]
    null = [1.0 if row.name.startswith("PAIR_CORRELATION") else 0.0 for row in rows]
    held = [row.low <= expected <= row.high for row, expected in zip(rows, null, strict=True)]
    assert len(held) > 100
    assert np.mean(held) > 0.9


@pytest.mark.parametrize(("block_um", "sizes"), [(250, set()), (500, {250}), (1000, {250, 500})])
def test_moved_tiles_have_an_interval_where_two_fit_into_a_block(block_um, sizes):
    """Tiles of 500 um on blocks of 500 um held the truth in 89 % of 300 slides."""
    config = MetricsConfig(families=("tile-dispersion", "tile-overlap"), block_um=block_um)
    cells = random_cells(np.random.default_rng(5), 20_000, 4000.0)
    table = measure_maps(None, one_tissue((1000, 1000), mpp=4.0), None, cells, config)
    low, why = by_name(table, "low"), by_name(table, "method")
    for name in ("HETEROGENEITY_MORISITA_LYMPHOCYTE", "HETEROGENEITY_CV2_EXCESS_LYMPHOCYTE"):
        assert {size for size in (250, 500, 1000) if low[f"{name}_{size}"] is not None} == sizes
        assert "tiles larger than half a block" in why[f"{name}_1000"]
    overlap = "COLOCALIZATION_MORISITA_CARCINOMA_CELL_LYMPHOCYTE"
    assert (low[overlap] is None) == (block_um == 250)
    assert ("too small for tiles of 250 um" in why[overlap]) == (block_um == 250)


def test_an_interval_is_shown_in_the_unit_of_its_number(table):
    shown = MetricTable(table).formatted("CELL_DENSITY_LYMPHOCYTE_STROMA")
    assert (shown.unit, shown.interval.count(" to ")) == ("/mm²", 1)
    low, high = (float(end) for end in shown.interval.split(" to "))
    assert low < float(shown.text) < high
    assert MetricTable(table).formatted("ABSOLUTE_AREA").interval == ""


@pytest.mark.parametrize("wrong", ["block_um = 300", "draws = 10", "seed = -1"])
def test_settings_are_checked(tmp_path, wrong):
    from histome.config import Config

    path = tmp_path / "settings.toml"
    path.write_text(f"[metrics]\n{wrong}\n")
    with pytest.raises(HistomeError, match=wrong.split()[0]):
        Config.from_toml(path)


def test_far_pairs_depend_on_second_cells_where_first_ones_are_expected(rng):
    """At random, cells within 350 um go with the cells of several blocks, which no block alone shows."""
    tissue = two_halves((250, 250), 10.0)
    cells = random_cells(rng, 12_000, 2500.0)
    specimen = counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))
    blocks = blocks_of(specimen, 500)
    name = "L_IN_TISSUE_{read_pair}_{far_radius}"
    given = FAMILIES["pairs-by-distance"].block_sums(specimen, blocks)[name]
    seen, tissues, points, by_place, by_cell, *rest = given.sums
    np.testing.assert_allclose(by_place.sum(axis=0), by_cell.sum(axis=0), rtol=1e-9)
    drawn = draw_blocks(blocks, 1000, 0)
    moved = block_interval(given, drawn)
    left = block_interval(given._replace(sums=(seen, tissues, points, by_cell, by_cell, *rest)), drawn)
    narrower = (moved.high - moved.low) / (left.high - left.low)
    assert (narrower[:, 0] == 1).all()  # of 20 um
    assert np.median(narrower[:, 4]) < 0.7  # of 350 um


@pytest.mark.parametrize(("side_um", "told"), [(2500.0, False), (3000.0, True)])
def test_far_neighbors_need_more_blocks(rng, side_um, told):
    """25 blocks and 36: carcinoma cells 24 um apart, lymphocytes 85 um from the next."""
    x, y = rng.uniform(0, side_um, (2, int(500 * (side_um / 1000) ** 2)))
    names = np.where(np.arange(len(x)) % 15 == 0, "LYMPHOCYTE", "CARCINOMA_CELL")
    px = int(side_um / 10)
    config = MetricsConfig(families=("nearest-distances",))
    found = measure_maps(None, one_tissue((px, px), 10.0), None, cell_table(x, y, names.tolist()), config)
    low, method = by_name(found, "low"), by_name(found, "method")
    far = "NN_DISTANCE_MEAN_OF_LYMPHOCYTE_FROM_CARCINOMA_CELL"
    assert (low[far] is not None) == told
    assert ("on fewer than 36" in method[far]) != told
    assert low["NN_DISTANCE_MEAN_OF_CARCINOMA_CELL_FROM_LYMPHOCYTE"] is not None
