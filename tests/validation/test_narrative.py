"""Scores of narratives against cases counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.given_facts import example

from histome.errors import DataError, UsageError
from histome.validation.narrative import (
    Case,
    case_doubts,
    rater_agreement,
    rating_doubts,
    read_cases,
    read_ratings,
    score_narratives,
)

pytest.importorskip("sacrebleu", reason="needs the [validate] extra")
pytest.importorskip("rouge_score", reason="needs the [validate] extra")
RNG = np.random.default_rng(0)


def test_equal_texts_have_full_scores() -> None:
    text = "Inflammatory cells make up most of the patch and surround the nests."
    found = score_narratives([Case(text, text, None)] * 3, rng=RNG)
    assert found.bleu_4 == pytest.approx(100.0)
    assert found.rouge_l.value == pytest.approx(1.0)
    assert found.supported is None
    assert (found.cases, found.sentences, found.with_facts) == (3, 0, 0)
    assert found.undefined == "no facts were given"
    assert case_doubts([Case(text, text, None)]) == []


def test_an_empty_text_is_no_missing_fact() -> None:
    empty = Case("a", " ", example(), "cases.jsonl: line 2")
    found = score_narratives([empty], rng=RNG)
    assert (found.supported, found.with_facts) == (None, 1)
    assert found.undefined == "the texts have no sentence to check"
    doubts = case_doubts([Case("", "There are 5 cells.", None, "cases.jsonl: line 1"), empty])
    assert [doubt.partition(";")[0] for doubt in doubts] == [
        "cases.jsonl: line 2: the hypothesis is empty (1 of 2 hypotheses are empty)",
        "cases.jsonl: line 1: the reference is empty (1 of 2 references are empty)",
    ]


def test_scores_counted_by_hand() -> None:
    # Longest common subsequence "the tumor is cold": 4 of 5 and 4 of 4 words, F1 = 2 * 0.8 / 1.8.
    found = score_narratives([Case("the tumor is immune cold", "the tumor is cold", None)], rng=RNG)
    assert found.rouge_l.value == pytest.approx(2 * 1.0 * 0.8 / 1.8)
    # Of 5 words 1 to 4 in a row: 5/5, 4/4, 3/3, 2/2; the brevity penalty is exp(1 - 6/5).
    found = score_narratives([Case("a b c d e f", "a b c d e", None)], rng=RNG)
    assert found.bleu_4 == pytest.approx(100 * np.exp(1 - 6 / 5))
    assert "nrefs:1" in found.bleu_signature


def test_the_rates_are_of_all_sentences() -> None:
    facts = example()
    cases = [
        Case("a", "Inflammatory cells make up 69.6 %. The patch is immune hot.", facts),
        Case("a", "Inflammatory cells make up 12 %. Neoplastic cells are radioresistant.", facts),
        Case("a", "No facts here: 12 %.", None),
    ]
    found = score_narratives(cases, rng=RNG)
    assert (found.sentences, found.with_facts, found.undefined) == (4, 2, "")
    rates = (found.supported, found.contradicted, found.not_checkable)
    assert [rate and rate.value for rate in rates] == [0.5, 0.25, 0.25]
    assert found.supported is not None
    assert found.supported.units == 2


def test_likeness_is_of_the_cases_with_a_reference() -> None:
    text = "Inflammatory cells make up 69.6 %."
    found = score_narratives([Case(None, text, example()), Case("a b c d", "a b c d", None)], rng=RNG)
    assert (found.cases, found.with_facts, found.with_reference) == (2, 1, 1)
    assert found.bleu_4 == pytest.approx(100.0)
    assert found.rouge_l is not None
    assert found.supported is not None
    assert (found.rouge_l.value, found.rouge_l.units, found.supported.value) == (1.0, 1, 1.0)
    alone = score_narratives([Case(None, text, example())], rng=RNG)
    assert (alone.bleu_4, alone.bleu_signature, alone.rouge_l) == (None, "", None)


def test_cases_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"reference": "a", "hypothesis": "b", "facts": {}}) + "\n\n")
    assert read_cases(path) == [Case("a", "b", {}, f"{path}: line 1")]
    path.write_text(json.dumps({"hypothesis": "b", "facts": {}}))
    assert read_cases(path) == [Case(None, "b", {}, f"{path}: line 1")]


def test_a_line_separator_and_a_byte_order_mark_are_no_ends_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"reference": "a\u2028b", "hypothesis": "c"}, ensure_ascii=False), "utf-8-sig")
    assert [case.reference for case in read_cases(path)] == ["a\u2028b"]


@pytest.mark.parametrize("facts", [{}, {"subject": "slide", "models": [1]}, {"raw_data": {"a": 10**400}}])
def test_facts_that_are_none_are_told_with_their_line(tmp_path: Path, facts: dict) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"reference": "a", "hypothesis": "There are 5 cells.", "facts": facts}))
    with pytest.raises(UsageError, match="line 1: the facts cannot be read"):
        score_narratives(read_cases(path), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"units": [1]}, "units is no table of names"),
        ({"undefined": "all"}, "undefined is no table of names"),
        ({"models": {"x": 3}}, "models: x has no labels, or they are something else"),
        ({"models": {"x": {"labels": {}, "limits": [], "organs": 3}}}, "models: x has no organs"),
    ],
)
def test_what_is_wrong_in_facts_is_named(part: dict, said: str) -> None:
    case = Case("a", "There are 5 cells.", example() | {"subject": "slide"} | part, "cases.jsonl: line 1")
    with pytest.raises(UsageError) as refused:
        score_narratives([case], rng=RNG)
    assert f"cases.jsonl: line 1: the facts cannot be read ({said}" in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"reference": "a"}',
        '{"reference": "a", "hypothesis": null}',
        '{"reference": 1, "hypothesis": "b"}',
        '{"reference": null, "hypothesis": "b", "facts": null}',
    ],
)
def test_a_line_that_is_no_case_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"reference": "a", "hypothesis": "b"}\n' + line)
    with pytest.raises(UsageError, match=r"line 2 is no case \(.+\); give hypothesis with reference"):
        read_cases(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"cannot be read \(No such file or directory\); give a JSONL file of cases"),
        (b'{"hypothesis": "b"}\n\xe9', "line 2 is not UTF-8"),
        (b'{"facts": ' + b"[" * 100_000, r"line 1 is no case \(nested too deeply\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_why(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "cases.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        read_cases(path)


def test_two_raters(tmp_path: Path) -> None:
    path = tmp_path / "raters.csv"
    path.write_text("item,a,b\n1,yes,yes\n2,no,yes\n3,no,no\n4,,no\n")
    ratings = read_ratings(path)
    assert ratings == (["yes", "no", "no"], ["yes", "yes", "no"], ("a", "b"))
    assert rating_doubts(ratings) == []
    found = rater_agreement(ratings.first, ratings.second, rng=RNG)
    assert found.undefined == ""
    assert found.items == 3
    assert found.agreement == pytest.approx(2 / 3)


def test_why_a_kappa_has_no_value() -> None:
    found = rater_agreement(["yes"] * 3, ["yes"] * 3, rng=RNG)
    assert np.isnan(found.kappa.value)
    assert (found.agreement, found.undefined) == (
        1.0,
        "both gave every item the label 'yes', as chance would",
    )


def test_columns_that_are_no_two_raters(tmp_path: Path) -> None:
    path = tmp_path / "raters.csv"
    path.write_text("a,b,remark\nyes,no,fine\nno,no,good\n")
    assert rating_doubts(read_ratings(path)) == [
        "'b' and 'remark' have no label in common: are the last two columns the raters?"
    ]
    path.write_text("a,b\nyes,Yes\n")
    with pytest.raises(DataError, match="'Yes' and 'yes' differ by case alone"):
        read_ratings(path)


@pytest.mark.parametrize("content", ["a\n1\n", "a,b\n1\n", "a,b\n,1\n", ""])
def test_other_tables_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "raters.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"raters.csv"):
        read_ratings(path)
