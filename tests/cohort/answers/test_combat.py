"""ComBat takes planted batches off, leaves planted groups in, and is told everywhere."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.simulated_cohorts import ARM, SCANNER, simulate

pytest.importorskip("combatlearn", reason="the extra harmonize")

from histome.cohort.answers.questions import choose_metrics, compare_groups, find_batch, harmonize
from histome.cohort.answers.tables.writing import wide_table
from histome.errors import DataError


@pytest.fixture(scope="module")
def before():
    return choose_metrics(simulate(200, seed=6, twice=0).measured)


@pytest.fixture(scope="module")
def after(before):
    return harmonize(before, "scanner", keep=["arm"])


def test_the_batch_is_gone_and_the_group_is_left(before, after):
    told = [find_batch(each, "scanner", permutations=19).tables["batch_scanner"] for each in (before, after)]
    sizes = [{row["metric"]: row["epsilon_squared"] for row in table} for table in told]
    for name in SCANNER:
        assert sizes[1][name] < 0.02 < sizes[0][name]
    rows = {row["metric"]: row for row in compare_groups(after, "arm").tables["compare_arm"]}
    assert all(rows[name]["q"] <= 0.05 for name in ARM)


def test_it_is_told_in_every_table(after):
    words = "ComBat over scanner, kept: arm"
    assert set(wide_table(after)["harmonized"].to_pylist()) == {words}
    rows = compare_groups(after, "arm").tables["compare_arm"]
    assert {row["harmonized"] for row in rows} == {words}
    assert np.isnan(after.low).all()


def test_nulls_stay_and_ranges_hold(before):
    value = before.value.copy()
    value[::9, 3] = np.nan
    made = harmonize(replace(before, value=value), "scanner")
    np.testing.assert_array_equal(np.isnan(made.value), np.isnan(value))
    assert np.nanmin(made.value) >= 0


def test_what_cannot_be_made_alike_is_one_line(before):
    def with_column(name, values):
        return replace(before, about={**before.about, name: tuple(values)})

    n = len(before)
    with pytest.raises(DataError, match="holds one batch"):
        harmonize(before, "stain")
    with pytest.raises(DataError, match="scanner and center cannot be told apart"):
        harmonize(with_column("center", before.about["scanner"]), "scanner", keep=["center"])
    with pytest.raises(DataError, match=r"batch 'b' of 'x' has 2 slides: 5 are needed"):
        harmonize(with_column("x", ["b", "b", *["a"] * (n - 2)]), "x")
    with pytest.raises(DataError, match="s000 has no x"):
        harmonize(with_column("x", ["", *["a"] * (n - 1)]), "x")
