"""Simulated cohorts: planted effects come out, other findings are as rare as is stated."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.simulated_cohorts import ARM, SCANNER, simulate
from scipy import stats

from histome.cohort.answers.page.answer import listed
from histome.cohort.answers.page.figures import ratio_ticks
from histome.cohort.answers.questions import (
    choose_metrics,
    compare_groups,
    find_batch,
    find_clusters,
    find_outliers,
    immune_phenotypes,
    model_groups,
)
from histome.cohort.answers.questions.batch import ridge_classifier
from histome.cohort.answers.questions.choose import in_words, normal_scores
from histome.cohort.answers.questions.compare import family_rows
from histome.cohort.answers.questions.effects import explained, shift, superiority
from histome.cohort.answers.questions.intercepts import fit_means
from histome.cohort.answers.questions.power import (
    power_note,
    smallest_hazard_ratio,
    smallest_shift_sd,
    superiority_of,
)
from histome.cohort.answers.tables import pool_patients
from histome.errors import DataError, UsageError
from histome.exports.workbook import CORE_NUMBERS
from histome.metrics.catalogue import find_metric


@pytest.fixture(scope="module")
def cohort():
    return simulate(300)


@pytest.fixture(scope="module")
def patients(cohort):
    return choose_metrics(pool_patients(cohort.measured))


@pytest.fixture(scope="module")
def compared(patients):
    return compare_groups(patients, "arm")


def by_metric(answer, name=None):
    rows = answer.tables[name or next(iter(answer.tables))]
    return {row["metric"]: row for row in rows}


def test_planted_differences_lie_within_their_intervals(compared):
    rows = by_metric(compared)
    assert set(ARM) <= {name for name, row in rows.items() if row["q"] <= 0.05}
    for name, sd in ARM.items():
        row = rows[name]
        # Of normal values that lie so many SD apart, a monotone turn of which these are.
        planted = stats.norm.cdf(np.sqrt(0.85 + 0.15) * sd / np.sqrt(2))
        assert row["superiority_low"] < planted < row["superiority_high"]
        assert row["n control"] + row["n treated"] == 300
    assert compared.said[0].startswith(
        f"{sum(row['q'] <= 0.05 for row in rows.values())} of 30 metrics differ"
    )
    assert "could have shown" in compared.said[-1]
    assert "<svg" in compared.figure


def test_tests_are_those_of_scipy(patients, compared):
    arm = patients.column("arm")
    for name, row in by_metric(compared).items():
        values = patients.metric(name)
        first, second = values[arm == "control"], values[arm == "treated"]
        test = stats.mannwhitneyu(second, first, alternative="two-sided")
        assert row["p"] == test.pvalue
        assert row["superiority"] == pytest.approx(test.statistic / (len(first) * len(second)))
    p = np.array([row["p"] for row in by_metric(compared).values()])
    q = np.array([row["q"] for row in by_metric(compared).values()])
    np.testing.assert_allclose(q, stats.false_discovery_control(p))


def test_false_discoveries_come_at_the_stated_rate():
    """Where nothing is planted any finding is false: in at most one cohort of twenty, but for chance."""
    found = 0
    for seed in range(100):
        null = choose_metrics(simulate(40, seed=seed, planted=False, twice=0.0).measured)
        scores, arm = null.value, null.column("arm") == "treated"
        p = stats.mannwhitneyu(scores[arm], scores[~arm]).pvalue
        answered = stats.false_discovery_control(p).min() <= 0.05
        if seed < 3:
            rows = compare_groups(null, "arm").tables["compare_arm"]
            assert answered == any(row["q"] <= 0.05 for row in rows)
        found += answered
    assert found <= stats.binom.ppf(0.999, 100, 0.05)


def test_of_findings_beside_planted_ones_one_in_twenty_is_false():
    false = []
    for seed in range(60):
        some = choose_metrics(simulate(150, seed=seed, twice=0.0).measured)
        arm = some.column("arm") == "treated"
        q = stats.false_discovery_control(stats.mannwhitneyu(some.value[arm], some.value[~arm]).pvalue)
        found = {name for name, each in zip(some.names, q, strict=True) if each <= 0.05}
        false.append(len(found - set(ARM)) / max(1, len(found)))
    assert np.mean(np.array(false) < 1) > 0.9  # the planted ones are among them
    assert np.mean(false) <= 0.05 + 3 * np.std(false) / np.sqrt(len(false))


def test_families_by_hand():
    rows = [
        {"family": "a", "p": 0.01, "q": 0.04},
        {"family": "a", "p": 0.5, "q": 0.5},
        {"family": "b", "p": 0.04, "q": 0.08},
    ]
    made = {row["family"]: row for row in family_rows(rows)}
    assert made["a"]["p"] == pytest.approx(0.02)  # min(0.01 x 2 / 1, 0.5 x 2 / 2)
    assert [made[name]["q"] for name in "ab"] == pytest.approx([0.04, 0.04])
    assert (made["a"]["metrics"], made["a"]["found"]) == (2, 1)


def test_superiority_and_shift_by_hand():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])
    # 2 > 1, 2 = 2, 4 > all: (1 + 0.5 + 3) / 6.
    assert superiority(first, second).value == pytest.approx(0.75)
    assert shift(first, second).value == 1.0  # of 1, 0, -1, 3, 2, 1
    apart = superiority(np.arange(10.0), np.arange(20.0, 30.0))
    assert (apart.value, apart.high) == (1.0, 1.0)
    assert 0.5 < apart.low < 1


@pytest.mark.parametrize("sd", [0.0, 0.6])
def test_intervals_hold_the_truth_nineteen_times_in_twenty(sd):
    rng, held = np.random.default_rng(5), np.zeros(2)
    for _ in range(300):
        first, second = rng.normal(size=40), rng.normal(size=50) + sd
        for k, (effect, truth) in enumerate(
            ((superiority(first, second), superiority_of(sd)), (shift(first, second), sd))
        ):
            held[k] += effect.low <= truth <= effect.high
    assert (held >= stats.binom.ppf(0.001, 300, 0.95)).all()


def test_three_groups_are_held_by_kruskal(patients):
    answer = compare_groups(patients, "scanner")
    scanner = patients.column("scanner")
    rows = by_metric(answer)
    for name, row in list(rows.items())[:5]:
        samples = [patients.metric(name)[scanner == each] for each in "ABC"]
        assert row["p"] == stats.kruskal(*samples).pvalue
        h, n = stats.kruskal(*samples).statistic, len(patients)
        assert row["epsilon_squared"] == pytest.approx(max(0.0, (h - 2) / (n - 3)), abs=1e-9)
        assert row["epsilon_squared_low"] <= row["epsilon_squared"] <= row["epsilon_squared_high"]
    assert set(SCANNER) <= {name for name, row in rows.items() if row["q"] <= 0.05}


def test_epsilon_squared_of_nothing_reaches_down_to_0():
    rng = np.random.default_rng(0)
    low = [explained([rng.normal(size=40) for _ in range(3)], rng, 100).low for _ in range(40)]
    assert np.mean(np.array(low) == 0) >= 0.9


def test_the_mixed_model_is_that_of_statsmodels():
    models = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(0)
    for between in (1.0, 0.2):
        patient = np.repeat(np.arange(60), rng.integers(1, 4, 60))
        x = np.column_stack([np.ones(len(patient)), patient % 2, rng.normal(size=len(patient))])
        y = (
            x @ [1, 0.5, -0.2]
            + np.sqrt(between) * rng.normal(size=60)[patient]
            + rng.normal(size=len(patient))
        )
        fit = fit_means(y, x, patient.astype(str))
        known = models.MixedLM(y, x, groups=patient).fit(reml=True)
        np.testing.assert_allclose(fit.value, known.fe_params, atol=1e-5)
        np.testing.assert_allclose(fit.error, known.bse_fe, rtol=1e-2)
        variance = float(known.cov_re[0, 0])
        assert fit.between == pytest.approx(variance / (variance + known.scale), abs=1e-3)
    one = np.arange(len(y)).astype(str)
    robust = models.OLS(y, x).fit(cov_type="HC3")
    fit = fit_means(y, x, one)
    np.testing.assert_allclose(fit.value, robust.params)
    np.testing.assert_allclose(fit.error, robust.bse)


def test_planted_differences_lie_within_the_intervals_of_the_model(cohort):
    answer = model_groups(choose_metrics(cohort.measured), "arm", covariates=["scanner", "age"])
    rows = by_metric(answer)
    assert set(ARM) <= {name for name, row in rows.items() if row["q"] <= 0.05}
    for name, sd in ARM.items():
        spread = np.sqrt(1 + sd**2 / 4)  # the groups' distance widens the cohort that is the unit
        assert rows[name]["low"] < np.sqrt(0.85) * sd / spread < rows[name]["high"]
    assert "scanner, age held still" in answer.said[0]


def test_slides_counted_as_patients_find_too_much_and_the_model_does_not():
    found = {"rows": 0, "model": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(20), 4)
        y = rng.normal(size=20)[patient] + 0.3 * rng.normal(size=80)
        arm = (patient % 2).astype(float)
        x = np.column_stack([np.ones(80), arm])
        fit = fit_means(y, x, patient.astype(str))
        found["model"] += abs(fit.value[1]) > 1.96 * fit.error[1]
        found["rows"] += stats.ttest_ind(y[arm == 1], y[arm == 0]).pvalue < 0.05
    assert found["rows"] > 15
    assert found["model"] <= 9


def test_the_planted_batch_is_found_and_told_by_metric(cohort):
    answer = find_batch(choose_metrics(cohort.measured), "scanner", by="arm", permutations=39)
    told = answer.tables["batch_scanner_told"][0]
    assert answer.said[0].startswith("Yes: the scanner can be told")
    assert told["accuracy"] > 0.5 > told["chance"]
    assert told["p"] == 1 / 40
    rows = by_metric(answer)
    assert {rows[name]["verdict"] for name in SCANNER} == {"differs"}
    others = [row["verdict"] for name, row in rows.items() if name not in SCANNER]
    assert others.count("robust") > 0.7 * len(others)
    assert "evenly" in answer.said[2]


def test_where_there_is_no_batch_none_is_found():
    p = []
    for seed in range(10):
        null = choose_metrics(simulate(60, seed=seed, planted=False).measured)
        p.append(find_batch(null, "scanner", permutations=19, seed=seed).tables["batch_scanner_told"][0]["p"])
    assert sum(each <= 0.05 for each in p) <= stats.binom.ppf(0.999, 10, 0.05)


def test_a_batch_that_is_the_group_cannot_be_told_apart(cohort):
    both = replace(cohort.measured, about={**cohort.measured.about, "center": cohort.measured.about["arm"]})
    answer = find_batch(choose_metrics(both), "center", by="arm", permutations=5)
    assert "no method can tell the two apart" in answer.said[2]
    with pytest.raises(DataError, match="cannot be told apart in a model"):
        model_groups(choose_metrics(both), "arm", covariates=["center"])


def test_the_classifier_is_the_ridge_classifier_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    code = rng.integers(0, 3, 90)
    x = rng.normal(size=(90, 6)) + 0.5 * code[:, None]
    known = linear.RidgeClassifier(alpha=6.0, class_weight="balanced").fit(x, code)
    weights = ridge_classifier(x, code, 3)
    np.testing.assert_allclose(weights[1:].T, known.coef_, rtol=1e-6)
    np.testing.assert_allclose(weights[0], known.intercept_, rtol=1e-6)


def test_immune_phenotypes_by_hand(cohort):
    measured = cohort.measured
    value = measured.value.copy()
    numbers = {"CELL_COUNT_PLASMA_CELL_CARCINOMA": 0, "CELL_COUNT_PLASMA_CELL_STROMA": 0}
    for name, values in {
        "CELL_COUNT_LYMPHOCYTE_CARCINOMA": [500, 499, 100, 0],
        "CELL_COUNT_LYMPHOCYTE_STROMA": [0, 250, 249, 0],
        "ABSOLUTE_AREA_CARCINOMA": [2e6, 2e6, 2e6, 0],
        "ABSOLUTE_AREA_STROMA": [1e6, 1e6, 1e6, 1e6],
        **numbers,
    }.items():
        value[:4, measured.names.index(name)] = values
    four = replace(measured, value=value).rows(np.arange(len(measured)) < 4)
    answer = immune_phenotypes(four)
    kinds = [row["immune_phenotype"] for row in answer.tables["immune"]]
    assert kinds == ["inflamed", "excluded", "desert", "not told"]
    assert {row["cut_off_carcinoma_per_mm2"] for row in answer.tables["immune"]} == {250.0}
    moved = answer.tables["immune_cut_offs"]
    assert [row["changed"] for row in moved] == [2, 0, 2]
    with pytest.raises(UsageError, match="above 0"):
        immune_phenotypes(four, tumor_per_mm2=0)


@pytest.mark.parametrize(
    ("lymphocytes", "mm2", "tiles", "kind", "why"),
    [
        ((4, 74), (0.019, 0.044), 1, "not told", "needs 10 tiles with tumor, has 1"),
        ((0, 0), (0.0003, 0.016), 0, "not told", "needs 10 tiles with tumor, has 0"),
        ((900, 0), (0.3, 1.0), 9, "not told", "needs 10 tiles with tumor, has 9"),
        ((90, 0), (0.3, 1.0), 10, "inflamed", ""),
        ((3, 19), (0.3, 0.02), 10, "not told", "only 19 cells in 0.020 mm² of stroma"),
        ((3, 20), (0.3, 0.02), 10, "excluded", ""),
        ((3, 4), (0.3, 0.02), 10, "desert", ""),
        ((3, 0), (0.3, 0.0), 10, "desert", ""),
        ((0, 40), (0.0, 1.0), 0, "not told", "no carcinoma"),
    ],
)
def test_a_tumor_of_too_little_has_no_name(cohort, lymphocytes, mm2, tiles, kind, why):
    measured = cohort.measured.rows(np.arange(len(cohort.measured)) < 2)
    value, n = measured.value.copy(), measured.n.copy()
    n[0, measured.names.index("IMMUNE_INFLAMED_SHARE")] = tiles
    for tissue, count, area in zip(("CARCINOMA", "STROMA"), lymphocytes, mm2, strict=True):
        put = {f"CELL_COUNT_LYMPHOCYTE_{tissue}": count, f"ABSOLUTE_AREA_{tissue}": area * 1e6}
        for name, number in (put | {f"CELL_COUNT_PLASMA_CELL_{tissue}": 0}).items():
            value[0, measured.names.index(name)] = number
    answer = immune_phenotypes(replace(measured, value=value, n=n))
    row = answer.tables["immune"][0]
    assert (row["immune_phenotype"], row["not_told_because"]) == (kind, why)
    assert (row["n_in_carcinoma"], row["n_in_stroma"], row["tiles_with_tumor"]) == (*lymphocytes, tiles)
    assert (row["carcinoma_mm2"], row["stroma_mm2"]) == pytest.approx(mm2)
    words = "1 slide without carcinoma" if why == "no carcinoma" else "1 slide with too little to tell"
    assert answer.said[0].startswith("Of 1 slide: " if why else "Of 2 slides: ")
    assert answer.said[0].endswith(f"; not told: {words}." if why else " %).")


def test_a_cohort_of_slides_with_too_little_names_none(cohort):
    measured = cohort.measured.rows(np.arange(len(cohort.measured)) < 3)
    answer = immune_phenotypes(replace(measured, n=np.full_like(measured.n, 9)))
    assert answer.said == ("Not told: 3 slides with too little to tell.",)
    assert [row["not told"] for row in answer.tables["immune_cut_offs"]] == [3, 3, 3]


def test_clusters_are_found_where_there_are_some_and_in_one_cloud_none(patients):
    one = find_clusters(choose_metrics(simulate(80, seed=2, planted=False).measured), clouds=39)
    assert one.said[0].startswith("No: ")
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, len(patients))
    value = patients.value * np.exp(1.2 * np.outer(kind, rng.choice([-1, 1], len(patients.names))))
    two = find_clusters(replace(patients, value=value), clouds=39)
    labels = np.array([row["cluster"] for row in two.tables["clusters"]])
    sizes = np.bincount(labels)[1:]
    assert two.said[0].startswith(f"2 clusters, of {sizes[0]} and {sizes[1]} patients")
    assert max(np.mean((labels == 1) == kind), np.mean((labels == 2) == kind)) > 0.95


def _said_of(slides, scores) -> str:
    return find_clusters(replace(slides, value=np.exp(scores)), clouds=19).said[0]


@pytest.mark.parametrize("turn", [2.0, 1.0], ids=["ring", "arc"])
def test_of_a_continuum_no_clusters_are_reported(turn):
    """Rows on a ring or an arc can be cut well, and anywhere: one drawing of twelve may pass by chance."""
    slides = choose_metrics(simulate(80, seed=2, planted=False).measured)
    told = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        around = turn * np.pi * rng.uniform(size=len(slides))
        along = np.stack([np.cos(around), np.sin(around)], axis=1) @ rng.normal(size=(2, len(slides.names)))
        told.append(_said_of(slides, along + 0.4 * rng.normal(size=along.shape)))
    assert sum(not line.startswith("No: ") for line in told) <= 1, told
    cut = [
        line for line in told if line.startswith(f"No: {len(slides)} slides fall into no groups that hold.")
    ]
    assert len(cut) > 6  # a cloud alone does not explain them
    assert all("(p = 0.050)" in line and "each half of the cohort gives others" in line for line in cut)


@pytest.mark.parametrize("kinds", [2, 3, 4])
def test_kinds_that_lie_apart_are_reported(kinds):
    slides = choose_metrics(simulate(80, seed=2, planted=False).measured)
    told = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        centers = rng.normal(size=(kinds, len(slides.names)))
        kind = rng.integers(0, kinds, len(slides))
        told.append(_said_of(slides, 1.4 * centers[kind] + rng.normal(size=(len(slides), len(slides.names)))))
    assert sum(line.startswith(f"{kinds} clusters, of ") for line in told) >= 9, told
    assert all("(prediction strength " in line for line in told)


def test_a_planted_outlier_is_the_first(cohort):
    measured = choose_metrics(cohort.measured)
    value = measured.value.copy()
    value[17] = np.nanmedian(value, axis=0) * 20
    answer = find_outliers(replace(measured, value=value))
    rows = answer.tables["outliers"]
    assert rows[0]["slide"] == measured.ids[17]
    assert sum(row["flagged"] for row in rows) <= 8
    assert len(answer.brief) == sum(row["flagged"] for row in rows)
    why = next(iter(reversed(answer.brief[0].values())))
    assert why.count(": ") == 3
    assert not any(name in why for name in measured.names)


def test_of_the_core_numbers_no_two_are_one():
    formulas = [find_metric(name).formula.removeprefix("100 x ") for name in CORE_NUMBERS]
    assert len(set(formulas)) == len(formulas) == 30
    called = in_words(CORE_NUMBERS)
    assert len(set(called)) == 30
    assert "Fibroblasts, share of all cells" in called
    assert [name for name in called if "percentage" in name] == []


def test_names_with_commas_are_kept_apart():
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed(["Cells, share", "b", "c"]) == "Cells, share; b; and c"
    assert listed(["a"]) == "a"


@pytest.mark.parametrize("ends", [(0.85, 1.9), (0.6, 1.4), (0.3, 3.5), (0.02, 30.0)])
def test_an_axis_of_ratios_has_marks_on_both_sides_of_1(ends):
    marks = np.array(ratio_ticks(*ends))
    assert 1.0 in marks
    assert (marks < 1).any()
    assert (marks > 1).sum() >= 2
    assert np.diff(np.log(marks)).min() > 0.03 * np.log(ends[1] / ends[0])  # apart enough to be read


def test_power_is_that_of_simulation_and_of_statsmodels():
    power = pytest.importorskip("statsmodels.stats.power")
    d = smallest_shift_sd((150, 150))
    known = power.NormalIndPower().solve_power(nobs1=150, alpha=0.05, power=0.8)
    assert d == pytest.approx(known * np.sqrt(np.pi / 3), rel=1e-3)
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 2000, 40))
    found = stats.mannwhitneyu(first, second + smallest_shift_sd((40, 40)), axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.04)
    # (1.96 + 0.84)^2 / log(2)^2 events show a doubled hazard.
    assert smallest_hazard_ratio(round(7.849 / np.log(2) ** 2)) == pytest.approx(2.0, rel=0.02)


def test_of_one_number_nothing_is_said_of_all():
    assert "of all" not in power_note((40, 40), 1)
    assert "of all 2 numbers at once" in power_note((40, 40), 2)


def test_normal_scores_of_ranks():
    made = normal_scores(np.array([[3.0], [1e9], [np.nan], [-5.0]]))[:, 0]
    np.testing.assert_allclose(made[[3, 0, 1]], stats.norm.ppf((np.array([1, 2, 3]) - 0.375) / 3.25))
    assert np.isnan(made[2])


def test_what_cannot_be_compared_is_one_line(cohort):
    measured = choose_metrics(cohort.measured)

    def with_column(name, values):
        return replace(measured, about={**measured.about, name: tuple(values)})

    n = len(measured)
    with pytest.raises(DataError, match=r"no column 'sex'; it has patient, organ, stain, arm"):
        compare_groups(measured, "sex")
    with pytest.raises(DataError, match="holds only 'H&E': a comparison needs two groups of 5 slides"):
        compare_groups(measured, "stain")
    with pytest.raises(DataError, match=r"group 'b' of 'g' has 2 slides: 5 are needed"):
        compare_groups(with_column("g", ["b", "b", *["a"] * (n - 2)]), "g")
    with pytest.raises(DataError, match="at most 12"):
        compare_groups(measured, "slide")
    with pytest.raises(UsageError, match="no metric 'NO_SUCH"):
        choose_metrics(measured, ["NO_SUCH_*"])
    with pytest.raises(DataError, match="clusters need 20"):
        find_clusters(measured.rows(np.arange(n) < 10))
    with pytest.raises(DataError, match="10 are needed"):
        find_outliers(measured.rows(np.arange(n) < 9))
    with pytest.raises(DataError, match="has fewer than 5 patients"):
        find_batch(with_column("patient", ["p"] * n), "scanner")
