"""Scores of narratives against cases counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.given_facts import example

from histome.errors import UsageError
from histome.validation.narrative import Case, rater_agreement, read_cases, read_ratings, score_narratives

pytest.importorskip("sacrebleu", reason="needs the [validate] extra")
pytest.importorskip("rouge_score", reason="needs the [validate] extra")
RNG = np.random.default_rng(0)


def test_equal_texts_have_full_scores() -> None:
    text = "Inflammatory cells make up most of the patch and surround the nests."
    found = score_narratives([Case(text, text, None)] * 3, rng=RNG)
    assert found.bleu_4 == pytest.approx(100.0)
    assert found.rouge_l.value == pytest.approx(1.0)
    assert found.supported is None
    assert (found.cases, found.sentences) == (3, 0)


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
    assert found.sentences == 4
    rates = (found.supported, found.contradicted, found.not_checkable)
    assert [rate and rate.value for rate in rates] == [0.5, 0.25, 0.25]
    assert found.supported is not None
    assert found.supported.units == 2


def test_cases_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"reference": "a", "hypothesis": "b", "facts": {}}) + "\n\n")
    assert read_cases(path) == [Case("a", "b", {}, f"{path}: line 1")]


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


@pytest.mark.parametrize("line", ["{", "[]", '{"reference": "a"}', '{"reference": null, "hypothesis": null}'])
def test_a_line_that_is_no_case_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"reference": "a", "hypothesis": "b"}\n' + line)
    with pytest.raises(UsageError, match="line 2"):
        read_cases(path)


def test_two_raters(tmp_path: Path) -> None:
    path = tmp_path / "raters.csv"
    path.write_text("item,a,b\n1,yes,yes\n2,no,yes\n3,no,no\n4,,no\n")
    first, second = read_ratings(path)
    assert (first, second) == (["yes", "no", "no"], ["yes", "yes", "no"])
    found = rater_agreement(first, second, rng=RNG)
    assert found.items == 3
    assert found.agreement == pytest.approx(2 / 3)


@pytest.mark.parametrize("content", ["a\n1\n", "a,b\n1\n", "a,b\n,1\n", ""])
def test_other_tables_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "raters.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"raters.csv"):
        read_ratings(path)
