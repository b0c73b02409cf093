"""p and q: by hand, against the tables of the normal, and what is left where nothing is."""

import numpy as np
import pytest
from helpers.scenes import measure_maps, one_tissue, random_cells, two_compartments

from histome.config import MetricsConfig
from histome.metrics.families.patterns.clustering import morans_i, morans_z
from histome.metrics.uncertainty.significance import benjamini_hochberg, holm, two_sided, z_of_log2


def test_q_by_hand():
    """The example of Benjamini and Hochberg 1995: at 5 % the first four of 15 are discoveries."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    q = benjamini_hochberg(np.array(p))
    assert (q <= 0.05).sum() == 4
    assert q[:4] == pytest.approx([0.0015, 0.003, 0.0095, 0.035625])
    assert (np.diff(q) >= 0).all()
    assert q[-1] == 1


def test_what_is_no_test_counts_nowhere():
    q = benjamini_hochberg(np.array([np.nan, 0.02, np.nan, 0.5]))
    assert q[[1, 3]] == pytest.approx([0.04, 0.5])
    assert np.isnan(q[[0, 2]]).all()
    assert len(benjamini_hochberg(np.array([]))) == 0


def test_holm_by_hand():
    p = holm(np.array([0.04, 0.01, 0.03, 0.005, 0.9]))
    assert p == pytest.approx([0.09, 0.04, 0.09, 0.025, 0.9])  # 0.08 is raised to the 0.09 of a smaller p
    assert len(holm(np.array([]))) == 0


def test_p_and_z():
    assert two_sided(np.array([0.0, 1.959964, -1.959964])) == pytest.approx([1, 0.05, 0.05], rel=1e-5)
    seen, mean, sd = 140.0, 100.0, 16.0
    z = z_of_log2(np.array([np.log2(seen / mean)]), np.array([sd / mean / np.log(2)]))
    assert z == pytest.approx([2.5])


def measured_tests(family, seed):
    tissue, cells = two_compartments(np.random.default_rng(seed), 6000, 2000.0)
    config = MetricsConfig(families=(family,))
    return [
        row for row in measure_maps(None, tissue, None, cells, config).to_pylist() if row["p"] is not None
    ]


@pytest.mark.parametrize("family", ["enrichment-in-tissue", "contacts-in-tissue"])
def test_where_nothing_is_p_is_even_and_no_q_is_small(family):
    """Labels drawn independently within tissues: p below 5 % in a twentieth of the tests."""
    rows = [row for seed in range(6) for row in measured_tests(family, seed)]
    assert len(rows) >= 40
    assert np.mean([row["p"] < 0.05 for row in rows]) < 0.15
    assert 0.3 < np.mean([row["p"] for row in rows]) < 0.7
    assert min(row["q"] for row in rows) > 0.01
    assert all(row["q"] >= row["p"] for row in rows)


def test_contacts_of_one_tissue_are_tested_the_same_within_it_and_over_the_slide(rng):
    cells, families = random_cells(rng, 3000, side_um=1000.0), ("contacts", "contacts-in-tissue")
    table = measure_maps(None, one_tissue((500, 500)), None, cells, MetricsConfig(families=families))
    p = dict(zip(table["name"].to_pylist(), table["p"].to_pylist(), strict=True))
    pairs = [name.removeprefix("CONTACT_LOG_ODDS_") for name in p if name.startswith("CONTACT_LOG_ODDS_")]
    assert len(pairs) == 45
    for pair in pairs:
        assert p[f"CONTACT_LOG_ODDS_{pair}"] == pytest.approx(p[f"CONTACT_IN_TISSUE_LOG2_{pair}"], rel=1e-6)
    assert p["CONTACT_FRACTION_LYMPHOCYTE_LYMPHOCYTE"] is None


def test_morans_i_is_as_far_from_its_mean_as_among_exchanged_tiles(rng):
    used = rng.random((9, 8)) < 0.8
    field = np.where(used, rng.gamma(0.5, 1, (9, 8)) + np.arange(8) * 0.2, 0.0)
    drawn = np.zeros((4000, 9, 8))
    for each in drawn:
        each[used] = rng.permutation(field[used])
    values = [morans_i(each, used) for each in drawn]
    value = morans_i(field, used)
    expected = (value - np.mean(values)) / np.std(values)
    assert morans_z(value, field, used) == pytest.approx(expected, rel=0.05, abs=0.05)
    assert np.isnan(morans_z(np.nan, field, used))


def test_compartments_alone_are_discoveries_of_the_pooled_test_and_mirror_images_are_one_test():
    rows = {row["name"]: row for row in measured_tests("enrichment", 0)}
    there, back = (
        rows[f"ENRICHMENT_Z_{a}_AROUND_{b}"]
        for a, b in (("LYMPHOCYTE", "CARCINOMA_CELL"), ("CARCINOMA_CELL", "LYMPHOCYTE"))
    )
    assert there["q"] == back["q"] < 1e-6
    assert len(rows) == 16
    # Ten tests of four classes: the largest q is the largest p.
    assert max(row["q"] for row in rows.values()) == max(row["p"] for row in rows.values())
