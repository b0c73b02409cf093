"""Survival of a simulated cohort: the planted hazard comes out, no more is fitted than the events carry."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.simulated_cohorts import simulate

lifelines = pytest.importorskip("lifelines", reason="the extra cohort")

from histome.cohort.answers.questions import choose_metrics, follow_up
from histome.cohort.answers.questions.survival import FollowUp
from histome.cohort.answers.tables import pool_patients
from histome.errors import DataError

HARMFUL = "NUCLEUS_AVG_AREA_CARCINOMA_CELL"
ASKED = ("NUCLEUS_AVG_AREA_CARCINOMA_CELL", "TUMOR_PURITY", "CELL_DENSITY_LYMPHOCYTE_STROMA", "CELL_N_TOTAL")


@pytest.fixture(scope="module")
def patients():
    return choose_metrics(pool_patients(simulate(300).measured), ASKED)


@pytest.fixture(scope="module")
def answers(patients):
    return {each.name: each for each in follow_up(patients, "months", "died", by="arm", covariates=["age"])}


def test_the_planted_hazard_lies_within_its_interval(answers):
    rows = answers["survival_metrics"].tables["survival_metrics"]
    row = rows[0]
    assert row["metric"] == HARMFUL
    # log(1.8) for one SD of the patient; slides show it with a reliability of 0.85.
    assert row["low"] < 1.8 ** np.sqrt(0.85) < row["high"]
    assert row["q"] < 0.001
    assert all(abs(np.log(each["hazard_ratio"])) < 0.5 * np.log(row["hazard_ratio"]) for each in rows[1:])
    assert "the higher mean area of carcinoma nuclei, the sooner" in answers["survival_metrics"].said[0]


def test_curves_say_how_many_were_at_risk(patients, answers):
    figure = answers["survival"].figure
    left = [int(number) for number in re.findall(r"<text[^>]*fill: #0072b2[^>]*>(\d+)</text>", figure)]
    seen = FollowUp.of(patients, "months", "died")
    control = seen.time[seen.rows.column("arm") == "control"]
    assert left[0] == len(control)
    assert left == sorted(left, reverse=True)
    assert left[1] == (control >= 20).sum()


def test_each_model_is_that_of_lifelines(patients, answers):
    import pandas

    row = answers["survival_metrics"].tables["survival_metrics"][0]
    from histome.cohort.answers.questions.choose import normal_scores
    from histome.cohort.answers.questions.risk import lifelines_quiet

    frame = pandas.DataFrame(
        {
            "score": normal_scores(patients.metric(HARMFUL)[:, None])[:, 0],
            "age": patients.numbers("age"),
            "t": patients.numbers("months"),
            "e": patients.numbers("died"),
        }
    )
    with lifelines_quiet():
        known = lifelines.CoxPHFitter().fit(frame, "t", "e").summary.loc["score"]
    assert row["hazard_ratio"] == pytest.approx(known["exp(coef)"], rel=1e-3)
    assert row["high"] == pytest.approx(known["exp(coef) upper 95%"], rel=1e-3)


def test_curves_and_log_rank_are_those_of_lifelines(patients, answers):
    from lifelines.statistics import logrank_test

    from histome.cohort.answers.questions.risk import lifelines_quiet

    arm = patients.column("arm") == "treated"
    time, died = patients.numbers("months"), patients.numbers("died")
    with lifelines_quiet():
        test = logrank_test(time[arm], time[~arm], died[arm], died[~arm])
    assert f"log-rank p = {test.p_value:.2f}" in answers["survival"].said[0]
    rows = answers["survival"].tables["survival"]
    assert [row["patients"] for row in rows] == [150, 150]
    assert sum(row["events"] for row in rows) == died.sum()
    assert all(row["median_low"] < row["median"] for row in rows)
    shown = answers["survival"].brief[0]
    low, median, high = (f"{rows[0][key]:.3g}" for key in ("median_low", "median", "median_high"))
    assert shown["months, median"] == f"{median} ({low} to {high})"


def test_a_median_that_was_not_reached_says_so(patients):
    died = np.where(np.arange(len(patients)) % 20 == 0, "1", "0")
    few = replace(patients, about={**patients.about, "died": tuple(died)})
    shown = follow_up(few, "months", "died")[0].brief[0]
    assert shown["months, median"].startswith("not reached (")


def test_together_they_predict_patients_that_were_not_seen(answers):
    joint = answers["survival_joint"]
    assert joint.said[0].startswith("Together the numbers order patients better than chance")
    assert {row["number"] for row in joint.tables["survival_joint"]} == {*ASKED, "age"}
    shown = {row["number"]: row for row in joint.brief}
    ratio = re.match(r"[\d.]+", shown["Mean area of carcinoma nuclei"]["hazard ratio"]).group()
    (known,) = (row for row in joint.tables["survival_joint"] if row["number"] == HARMFUL)
    assert float(ratio) == pytest.approx(known["hazard_ratio"], abs=0.005)
    assert {name: row["of"] for name, row in shown.items()}["age"] == "one more"
    assert ">Mean area of carcinoma nuclei</text>" in joint.figure
    assert HARMFUL not in joint.figure


def test_without_an_effect_few_p_are_small_and_more_numbers_than_events_carry_are_not_fitted():
    null = choose_metrics(simulate(80, seed=104, planted=False, twice=0).measured, ("core",))
    _, each, joint = follow_up(null, "months", "died")
    rows = each.tables["survival_metrics"]
    assert sum(row["p"] < 0.05 for row in rows) <= 6  # 1 in 1,000 of 30 tests would be more
    assert "could have shown" in each.said[-1]
    assert joint.said[0].startswith("Not fitted: ")
    assert not joint.tables


def test_hazards_that_change_are_told(patients):
    rng = np.random.default_rng(0)
    score = rng.normal(size=250)
    # The number harms early and protects late.
    early = rng.exponential(1 / np.exp(1.5 * score))
    time = np.where(early < 0.5, early, 0.5 + rng.exponential(1 / np.exp(-1.5 * score)))
    some = replace(
        patients,
        ids=tuple(f"p{k}" for k in range(250)),
        about={"t": tuple(f"{t:.6f}" for t in time + 1e-5), "e": ("1",) * 250},
        names=("TUMOR_PURITY",),
        units=("1",),
        how=(),
        **{name: score[:, None] for name in ("value", "low", "high")},
        n=np.full((250, 1), 9),
    )
    each = follow_up(some, "t", "e")[1]
    assert each.tables["survival_metrics"][0]["ph_p"] < 1e-4


def test_what_cannot_be_followed_is_one_line(patients):
    def with_column(name, values):
        return replace(patients, about={**patients.about, name: tuple(values)})

    n = len(patients)
    with pytest.raises(DataError, match="no column 'years'"):
        FollowUp.of(patients, "years", "died")
    with pytest.raises(DataError, match=r"column 'months' holds 'long'; give numbers"):
        FollowUp.of(with_column("months", ["long"] * n), "months", "died")
    with pytest.raises(DataError, match="times that are not above 0"):
        FollowUp.of(with_column("months", ["0"] * n), "months", "died")
    with pytest.raises(DataError, match=r"column 'died' holds 'maybe'; write 1 for an event"):
        FollowUp.of(with_column("died", ["maybe"] * n), "months", "died")
    with pytest.raises(DataError, match=r"9 events among 300 patients: 10 are the fewest"):
        FollowUp.of(with_column("died", ["1"] * 9 + ["0"] * (n - 9)), "months", "died")
    with pytest.raises(DataError, match="column 'age' is empty for some patients"):
        follow_up(with_column("age", [""] * n), "months", "died", covariates=["age"])
