"""A model and raters with known confusion against a consensus: what was planted comes out."""

from dataclasses import replace

import numpy as np
import pytest

from histome.errors import DataError
from histome.validation.raters.abstention import calibration_rows, coverage_rows, matched_rows
from histome.validation.raters.accuracy import (
    Drawing,
    Judge,
    Truth,
    answers_of_model,
    compare,
    confusions,
    label_f1,
    mean_f1,
    mean_recall,
    score_answers,
    score_study,
)
from histome.validation.raters.consensus import consensus_of
from histome.validation.raters.sections import abstention_sections, score_sections
from histome.validation.raters.strata import spread, stratum_of, stratum_rows
from histome.validation.raters.votes import MISSING, UNSURE, Votes

LABELS = ("carcinoma_cell", "lymphocyte", "plasma_cell")


def drawn(seed=0, **options):
    return Drawing(np.random.default_rng(seed), options.pop("draws", 500), **options)


def noisy(rng, true, right):
    return np.where(rng.random(len(true)) < right, true, rng.integers(0, 3, len(true))).astype(np.int16)


def judge(codes, name="model", confidence=None):
    return Judge(name, np.asarray(codes, np.int16), np.ones(len(codes), bool), confidence)


def test_f1_by_hand():
    # Truth 0 0 1 1 2, answers 0 1 1 miss 2: F1 = 2/3, 1/2 (TP 1, FP 1, FN 1), 1.
    truth, answer = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, MISSING, 2])
    total = confusions(truth, answer, 3).sum(0)
    assert label_f1(total, 3).tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert mean_f1(total, 3) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert mean_recall(total, 3) == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)


def test_cells_without_truth_and_cells_not_given_do_not_count():
    truth = np.array([0, 1, MISSING, 0])
    answers = Judge("model", np.array([0, 1, 1, 1], np.int16), np.array([True, True, True, False]))
    rows = score_answers(answers, truth, LABELS, drawn())
    assert (rows[0]["value"], rows[0]["n"]) == (1.0, 2)


def test_equal_judges_differ_by_nothing_and_the_better_one_by_what_was_planted():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 6000)
    good, fair = judge(noisy(rng, truth, 0.85)), judge(noisy(rng, truth, 0.7), "ann")
    same = compare(good, good, truth, LABELS, drawn())
    assert {(row["value"], row["low"], row["high"]) for row in same} == {(0.0, 0.0, 0.0)}
    better = compare(good, fair, truth, LABELS, drawn())[0]
    assert better["low"] < 0.1 < better["high"]  # right in 0.9 and 0.8 of the cells, every class alike
    assert better["low"] > 0


def test_a_rater_scored_in_their_own_condition_does_not_vote_on_the_truth():
    rng = np.random.default_rng(5)
    true = rng.integers(0, 3, 900)
    codes = np.stack([noisy(rng, true, right) for right in (0.9, 0.9, 0.3)], axis=1)
    votes = Votes(np.arange(900).astype(str), ("ann", "ben", "eve"), LABELS, {"HE": codes})
    alone, own = (
        {row["judge"]: row["value"] for row in rows if row["measure"] == "macro F1"}
        for rows in (
            score_study(votes, None, drawn(), truth="HE", rated="HE", leave_one_out=one)
            for one in (True, False)
        )
    )
    assert own["eve"] > alone["eve"] + 0.02


def sparse_study(seed=12, raters=2):
    """Votes in two conditions and a model that each lack other cells."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, 300)
    names = ("ann", "ben", "eve")[:raters]
    codes = {name: np.stack([noisy(rng, true, 0.7) for _ in names], axis=1) for name in ("HE", "HE_IHC")}
    for k in range(raters):
        codes["HE"][rng.random(300) < 0.2, k] = MISSING
    model = Judge("model", noisy(rng, true, 0.8), rng.random(300) < 0.9, rng.random(300))
    return Votes(np.array([f"{k:03d}" for k in range(300)]), names, LABELS, codes), model


@pytest.mark.parametrize(("truth", "raters"), [("HE", 2), ("HE", 3), ("HE_IHC", 2)])
def test_a_difference_is_that_of_two_rows_of_the_same_truth(truth, raters):
    votes, model = sparse_study(raters=raters)
    rows = score_study(votes, model, drawn(), truth=truth, rated="HE")
    keys = ("judge", "truth", "measure", "label")
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows)
    between = [row for row in rows if " - " in row["judge"]]
    assert len(between) == raters * 4
    for row in between:
        pair = [found[(name, *(row[key] for key in keys[1:]))] for name in row["judge"].split(" - ")]
        assert row["value"] == pytest.approx(pair[0]["value"] - pair[1]["value"])
        assert row["n"] == pair[0]["n"] == pair[1]["n"]


def test_where_all_judged_the_same_cells_of_another_truth_the_model_stands_once():
    votes, _ = sparse_study()
    votes = replace(votes, codes={"HE": votes.codes["HE_IHC"], "HE_IHC": votes.codes["HE_IHC"]})
    rows = score_study(votes, judge(votes.codes["HE"][:, 0]), drawn(), truth="HE_IHC", rated="HE")
    assert [row["truth"] for row in rows if row["judge"] == "model" and row["label"] == "all"] == [
        "HE_IHC"
    ] * 2


def test_cells_without_a_consensus_are_told_where_it_is_the_truth():
    votes, model = sparse_study()
    ties = int((consensus_of(votes, "HE").codes < 0).sum())
    line = f" {ties} cells have no consensus of HE and are left out where that is the truth."
    with_model, alone = (
        score_sections(votes, each, drawn(), truth="HE", rated="HE")[0] for each in (model, None)
    )
    assert with_model.text.endswith(line)
    assert "no consensus" not in alone.text
    assert {row["truth"] for row in alone.rows} == {"HE without ann", "HE without ben"}


def test_a_rater_beside_an_abstaining_model_does_not_vote_on_the_truth():
    votes, model = sparse_study()
    matched = {section.name: section for section in abstention(votes, model)}["matched"]
    scored = score_study(votes, model, drawn(), truth="HE", rated="HE")
    for name in votes.raters:
        own, other = (
            next(row for row in rows if (row["judge"], row["truth"]) == (name, f"HE without {name}"))
            for rows in (matched.rows, scored)
        )
        assert (own["value"], own["n"]) == (other["value"], other["n"])
        assert own["value"] < 1
        beside = next(row for row in matched.rows if row["judge"] == f"model, as many as {name}")
        assert (beside["truth"], beside["n"]) == (own["truth"], own["n"])


def test_a_rater_alone_has_no_truth_and_no_number():
    votes, model = sparse_study(raters=1)
    matched = {section.name: section for section in abstention(votes, model)}["matched"]
    assert [(row["judge"], row["n"]) for row in matched.rows] == [("ann", 0)]
    assert np.isnan([matched.rows[0][key] for key in ("value", "low", "high", "coverage")]).all()
    assert matched.text.endswith("No number of ann: nobody else says what their cells are.")


def abstention(votes, model):
    return abstention_sections(votes, model, drawn(draws=50), truth="HE", rated="HE")


def test_a_study_with_known_confusion():
    rng = np.random.default_rng(6)
    true = rng.integers(0, 3, 4000)
    he = np.stack([noisy(rng, true, 0.7) for _ in range(5)], axis=1)
    ihc = np.stack([noisy(rng, true, 0.97) for _ in range(5)], axis=1)
    votes = Votes(
        np.array([f"{k:05d}" for k in range(4000)]), tuple("abcde"), LABELS, {"HE": he, "HE_IHC": ihc}
    )
    truth = consensus_of(votes, "HE_IHC").codes
    assert (truth == true).mean() > 0.995
    model = judge(noisy(rng, true, 0.79))
    rows = score_study(votes, model, drawn(), truth="HE_IHC", rated="HE")
    found = {(row["judge"], row["label"]): row for row in rows if row["measure"] == "macro F1"}
    for name, wanted in (("model", 0.86), ("a", 0.80), ("model - a", 0.06)):
        row = found[name, "all"]
        assert row["low"] - 0.005 < wanted < row["high"] + 0.005, name


def test_classes_that_are_not_scored_are_left_out_of_the_truth_and_misses_in_the_answers():
    codes = np.array([[0], [0], [1], [2]], np.int16)
    votes = Votes(np.array(list("abcd")), ("ann",), LABELS, {"HE": codes})
    model = judge([0, 2, 1, 0])  # cell b is called a class that is not scored; cell d is one
    rows = score_study(votes, model, drawn(), truth="HE", rated="HE", classes=LABELS[:2], leave_one_out=False)
    found = {(row["judge"], row["measure"], row["label"]): row for row in rows}
    assert found["model", "F1", "carcinoma_cell"]["value"] == pytest.approx(2 / 3)
    assert found["model", "macro F1", "all"]["n"] == 3
    with pytest.raises(DataError, match="no vote is mitosis; the labels are carcinoma_cell"):
        score_study(votes, model, drawn(), truth="HE", rated="HE", classes=("mitosis",))


def test_the_interval_covers_the_truth_in_95_of_100():
    """A judge right in 0.8 of the cells of three equal classes, wrong ones shared out: F1 is 0.8."""
    rng = np.random.default_rng(7)
    inside, runs = 0, 500
    for _ in range(runs):
        truth = rng.integers(0, 3, 300)
        wrong = (truth + rng.integers(1, 3, 300)) % 3
        answer = np.where(rng.random(300) < 0.8, truth, wrong)
        row = score_answers(judge(answer), truth, LABELS, Drawing(rng, 400))[0]
        inside += row["low"] <= 0.8 <= row["high"]
    assert 0.93 <= inside / runs <= 0.97


def test_counted_kinds_give_the_interval_of_resampled_rows():
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 3, 120)
    answer = noisy(rng, truth, 0.7)
    row = score_answers(judge(answer), truth, LABELS, drawn(draws=4000))[0]
    parts = confusions(truth, answer, 3)
    values = [mean_f1(parts[rng.integers(0, 120, 120)].sum(0), 3) for _ in range(4000)]
    low, high = np.percentile(values, [2.5, 97.5])
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_strata_keep_their_size_when_cells_are_drawn():
    from histome.validation.resampling import draw_sums

    rare = np.array(["rare"] * 3 + ["common"] * 97)
    parts = np.column_stack([rare == "rare", rare == "common"]).astype(float)
    kept = draw_sums(parts, rng=np.random.default_rng(0), strata=rare, draws=50)
    assert (kept == [3, 97]).all()
    assert np.ptp(draw_sums(parts, rng=np.random.default_rng(0), draws=50)[:, 0]) > 0


def test_a_model_is_placed_by_cell_and_its_unknown_labels_are_misses():
    votes = Votes(np.array(["a", "b", "c"]), ("ann",), LABELS, {"all": np.zeros((3, 1), np.int16)})
    table = {
        "cell_id": np.array(["c", "x", "a"]),
        "label": np.array(["lymphocyte", "lymphocyte", "mitosis"]),
        "confidence": np.array([0.9, 0.8, 0.7]),
    }
    found = answers_of_model(votes, table)
    assert found.codes.tolist() == [MISSING, MISSING, 1]
    assert found.given.tolist() == [True, False, True]
    with pytest.raises(DataError, match="no cell of the 1 answers has votes: cell_id 'x' there, 'a' in"):
        answers_of_model(votes, {"cell_id": np.array(["x"]), "label": np.array(["lymphocyte"])})


def test_surer_answers_are_better_and_risk_falls():
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 3, 3000)
    confidence = rng.random(3000)
    wrong = (truth + 1) % 3
    model = judge(np.where(rng.random(3000) < confidence, truth, wrong), confidence=confidence)
    curve = coverage_rows(model, truth, LABELS, drawn(draws=100))
    values = [row["value"] for row in curve]
    assert values[0] > 0.95
    assert values[-1] == pytest.approx(0.5, abs=0.04)
    rows, bins = calibration_rows(model, truth, drawn(draws=100))
    error, area = (row["value"] for row in rows)
    assert error < 0.05  # a confidence that is the chance of being right
    assert area == pytest.approx(0.25, abs=0.03)  # mean of (1 - mean confidence of the surest share)
    assert sum(row["n"] for row in bins) == 3000


def test_at_matched_coverage_the_model_answers_as_many_cells_as_the_rater():
    rng = np.random.default_rng(10)
    truth = rng.integers(0, 3, 1000)
    codes = noisy(rng, truth, 0.8)
    codes[:250] = UNSURE
    rater = Judge("ann", np.where(codes >= 0, codes, MISSING).astype(np.int16), np.ones(1000, bool))
    model = judge(noisy(rng, truth, 0.8), confidence=rng.random(1000))
    own, matched = matched_rows(model, rater, Truth("all", truth), LABELS, drawn(draws=100))
    assert own["coverage"] == matched["coverage"] == 0.75
    assert own["n"] == matched["n"] == 750


def test_abstention_needs_a_confidence():
    with pytest.raises(DataError, match="no column confidence"):
        coverage_rows(judge(np.zeros(3)), np.zeros(3, int), LABELS, drawn())


def test_the_worst_stratum_is_first_and_small_ones_are_shown_as_small():
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 3, 1020)
    scanner = np.array(["A"] * 500 + ["B"] * 500 + ["C"] * 20)
    answer = np.where(scanner == "B", noisy(rng, truth, 0.4), truth)
    strata = stratum_of({"scanner": scanner, "site": np.full(1020, "liver")}, ["scanner", "site"])
    rows = stratum_rows(judge(answer), truth, LABELS, strata, drawn(draws=100))
    assert [(row["stratum"], row["too_small"]) for row in rows] == [
        ("B / liver", False),
        ("A / liver", False),
        ("C / liver", True),
    ]
    found = spread(rows)
    assert (found["worst"], found["best"], found["strata"]) == ("B / liver", "A / liver", 2)
    with pytest.raises(DataError, match="no column organ; columns to split by: scanner"):
        stratum_of({"scanner": scanner}, ["organ"])
