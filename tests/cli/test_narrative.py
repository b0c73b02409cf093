"""histome narrative, validate narrative and train narrative: what they print and how they refuse."""

import csv
import json
from pathlib import Path

import pytest
from helpers.cli import Cli
from helpers.given_facts import example, metrics

from histome.config import NarrativeConfig
from histome.narrative.facts import Facts
from histome.narrative.verifier import verify
from histome.narrative.writers.verified import review, write
from histome.store.disk import write_json
from histome.store.files import NARRATIVE
from histome.store.sealed import write_sealed


def test_a_profile_in_words(cli: Cli, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"state": "done", "slide": {}, "stages": {}, "warnings": []})
    written = write(Facts.of_slide(metrics(), {})).to_json()
    write_sealed(tmp_path / "narrative", {"key": "k"}, lambda folder: NARRATIVE.save(written, folder))
    code, out, err = cli("narrative", tmp_path)
    assert (code, err) == (0, "")
    assert "Immune cells make up" in out
    assert "    IMMUNE_CELL_FRACTION = 0.5 1" in out
    assert cli("-q", "narrative", tmp_path)[1] == out  # a result
    _, short, _ = cli("narrative", tmp_path, "--no-sources")
    assert "IMMUNE_CELL_FRACTION" not in short


def test_what_is_not_shown_of_a_text_is_told_beside_it(cli: Cli, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"state": "done", "slide": {}, "stages": {}, "warnings": []})
    config = NarrativeConfig(writer="openai", model="m", endpoint="http://localhost:1/v1")
    facts = Facts.of_patch(example())
    true = "Inflammatory cells make up 69.6 %. The patch is immune hot. The patch is stroma-free."
    verdict = verify(f"{true} Dead cells make up 40 % of the cells. It is calm.", facts)
    written = review(verdict, facts, [], config).to_json()
    write_sealed(tmp_path / "narrative", {"key": "k"}, lambda folder: NARRATIVE.save(written, folder))
    code, out, err = cli("narrative", tmp_path, "--no-sources")
    assert (code, out) == (0, true.replace(". ", ".\n") + "\n")
    counts, first, second = err.splitlines()
    assert counts == "warning: of 5 sentences 3 supported, 1 contradicted, 1 not checkable"
    assert first.startswith('warning: not shown: "Dead cells make up 40 % of the cells." (contradicted: the')
    assert second.startswith('warning: not shown: "It is calm." (not checkable: ')


def test_no_profile_is_one_line(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("narrative", tmp_path)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "no profile here" in err


def test_scores_and_raters(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu", reason="needs the [validate] extra")
    cases, raters = tmp_path / "cases.jsonl", tmp_path / "raters.csv"
    text = "Inflammatory cells make up 69.6 % of the cells."
    cases.write_text(json.dumps({"reference": text, "hypothesis": text, "facts": example()}))
    raters.write_text("a,b\n1,1\n2,2\n1,2\n")
    code, out, _ = cli("validate", "narrative", cases, "--raters", raters, "--quiet")  # these are results
    assert code == 0
    assert "BLEU-4              100.00" in out
    assert "supported           1.000  (no interval, n = 1)" in out
    assert "not checkable       0.000" in out
    assert "Cohen's kappa       0.400  (95 % " in out


def test_what_has_no_value_has_a_reason(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu", reason="needs the [validate] extra")
    cases, raters = tmp_path / "cases.jsonl", tmp_path / "raters.csv"
    cases.write_text(json.dumps({"reference": "a", "hypothesis": "", "facts": example()}))
    raters.write_text("ann,ben\nyes,yes\nyes,yes\n")
    code, out, err = cli("validate", "narrative", cases, "--raters", raters)
    assert code == 0
    assert "nan" not in out
    assert "not checkable       the texts have no sentence to check" in out
    assert "sentences           0, of 1 cases with facts" in out
    assert "raters              ann and ben, 2 items" in out
    assert "Cohen's kappa       not defined (both gave every item the label 'yes'" in out
    assert err.count("warning: ") == 1
    assert f"{cases}: line 1: the hypothesis is empty" in err
    raters.write_text("ann,ben\nyes,no\n")
    assert "have no label in common" in cli("validate", "narrative", "--raters", raters)[2]


def test_texts_without_references_are_verified(cli: Cli, tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    text = "Inflammatory cells make up 69.6 % of the cells. Dead cells make up 40 % of the cells."
    lines = [{"hypothesis": text, "facts": example()}, {"hypothesis": " ", "facts": example()}]
    cases.write_text("\n".join(map(json.dumps, lines)))
    code, out, err = cli("validate", "narrative", cases, "--sentences", tmp_path / "sentences.csv")
    assert code == 0
    with (tmp_path / "sentences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["state"]) for row in rows] == [
        (f"{cases}: line 1", "supported"),
        (f"{cases}: line 1", "contradicted"),
    ]
    assert [row["sentence"] for row in rows] == text.replace(". D", ".|D").split("|")
    assert "ratio_Dead" in rows[1]["reason"]
    assert "cases               2, 0 with a reference" in out
    assert "BLEU-4              no reference was given" in out
    assert "ROUGE-L             no reference was given" in out
    assert "supported           0.500" in out
    assert "sentences           2, of 2 cases with facts" in out
    assert err == f"warning: {cases}: line 2: the hypothesis is empty (1 of 2 hypotheses are empty)\n"


def test_nothing_to_score(cli: Cli) -> None:
    code, _, err = cli("validate", "narrative")
    assert code == 2
    assert "give CASES, --raters or both" in err
    code, _, err = cli("validate", "narrative", "--raters", "labels.csv", "--sentences", "out.csv")
    assert (code, "there are no sentences without CASES" in err) == (2, True)


def test_training_without_a_model(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the [train] extra")
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"facts": example()}))
    code, _, err = cli("train", "narrative", pairs, "--model", tmp_path, "-o", tmp_path / "out")
    assert code == 1
    assert "no language model here" in err
