"""histome validate on tables of votes: every command ends in a page, its tables and its figures."""

import csv

import numpy as np
import pytest
from helpers.cli import Cli
from soak.drawn import draw_case

from histome import load_profile

CLASSES = ("carcinoma_cell", "lymphocyte", "plasma_cell")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Five raters with known errors in two conditions; a model as often right as it is confident."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 600)
    with (folder / "votes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cell_id", "rater", "label", "condition", "slide", "scanner"])
        for condition, right in (("HE", 0.7), ("HE_IHC", 0.95)):
            for rater in "abcde":
                said = np.where(rng.random(600) < right, true, rng.integers(0, 3, 600))
                for k, code in enumerate(said):
                    label = "unsure" if condition == "HE" and rng.random() < 0.05 else CLASSES[code]
                    writer.writerow([f"c{k}", rater, label, condition, f"slide {k % 12}", "AB"[k % 2]])
    with (folder / "model.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cell_id", "label", "confidence"])
        for k, code in enumerate(true):
            sure = rng.random()
            answer = code if rng.random() < sure else (code + 1) % 3
            writer.writerow([f"c{k}", CLASSES[answer], f"{sure:.4f}"])
    return folder


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


COMMANDS = {
    "agreement": (["--units", "slide"], ["alpha", "alpha_difference", "kappa"]),
    "consensus": ([], ["left_out", "consensus"]),
    "score": (
        ["--model", "model.csv", "--truth", "HE_IHC", "--rated", "HE"],
        ["macro_f1", "by_class", "differences"],
    ),
    "abstention": (
        ["--model", "model.csv", "--truth", "HE_IHC", "--rated", "HE"],
        ["coverage", "matched", "calibration", "reliability"],
    ),
    "strata": (["--model", "model.csv", "--truth", "HE_IHC", "--by", "scanner"], ["strata", "whole"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_ends_in_a_page(command, study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(study)
    options, names = COMMANDS[command]
    draws = [] if command == "consensus" else ["--draws", 200]
    code, said, err = Cli(capsys)("validate", command, "votes.csv", "-o", tmp_path / "out", *draws, *options)
    assert (code, err) == (0, "")
    page = (tmp_path / "out/index.html").read_text()
    assert "Research use only" in page
    for name in names:
        rows = rows_of(tmp_path / f"out/{name}.csv")
        assert rows
        if "value" in rows[0] and command != "consensus" and name != "coverage":
            assert f"{float(rows[0]['value']):.3f}" in said
            assert (tmp_path / f"out/{name}.svg").read_text().startswith("<svg")


def test_what_was_planted_is_in_the_tables(study, tmp_path, capsys):
    words = ("--truth", "HE_IHC", "--rated", "HE", "--draws", 300)
    model = study / "model.csv"
    Cli(capsys)("validate", "score", study / "votes.csv", "--model", model, "-o", tmp_path / "out", *words)
    rows = {row["judge"]: row for row in rows_of(tmp_path / "out/macro_f1.csv")}
    assert float(rows["a"]["low"]) < 0.78 < float(rows["a"]["high"])  # right in 0.8, unsure in 0.05 of them
    assert set(rows) == {"model", *"abcde"}


def test_names_that_are_markup_do_no_harm(tmp_path, capsys):
    (tmp_path / "votes.csv").write_text(
        "cell_id,rater,label\n1,<script>alert(1)</script>,x\n1,b,x\n2,<script>alert(1)</script>,y\n2,b,x\n"
    )
    code, _, _ = Cli(capsys)(
        "validate", "agreement", tmp_path / "votes.csv", "-o", tmp_path / "out", "--draws", 10
    )
    assert code == 0
    for path in (tmp_path / "out").iterdir():
        if path.suffix not in (".csv", ".pdf"):  # which run nothing
            assert "<script" not in path.read_text()


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["score", "votes.csv", "--model", "model.csv"], "say which condition; the votes have HE, HE_IHC"),
        (["score", "votes.csv", "--truth", "IHC"], "no condition 'IHC'; the votes have"),
        (["score", "votes.csv", "--truth", "HE", "--classes", "mitosis"], "no vote is mitosis"),
        (["agreement", "votes.csv", "--units", "patient"], "no column patient"),
        (["agreement", "missing.csv"], "missing.csv: not a table"),
        (["agreement", "votes.csv", "--ordinal", "low,high"], "unknown label"),
        (
            ["strata", "votes.csv", "--model", "votes.csv", "--by", "x", "--truth", "HE"],
            "rows; give one a cell",
        ),
    ],
)
def test_bad_input_is_one_line(words, word, study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(study)
    Cli(capsys).fails("validate", *words, "-o", tmp_path / "out", code=1, word=word)
    assert not (tmp_path / "out").exists()


def test_labels_at_places_become_votes_that_the_other_commands_read(tmp_path, capsys, monkeypatch):
    cli = Cli(capsys)
    monkeypatch.chdir(tmp_path)
    cli(*draw_case(tmp_path, size_px=(600, 500)), "-o", "out", "--stages", "cells")
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/run.json"))
    cells = load_profile(folder).cells
    assert len(cells) > 10
    for name, label in (("ann", "lymphocyte"), ("ben", "Plasma cell")):
        rows = [f"{x + 1},{y},{label}" for x, y in zip(*(cells[k].to_pylist() for k in "xy"), strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,label", *rows]))
    code, said, err = cli("validate", "match", folder, "ann.csv", "ben.csv", "-o", "matched")
    assert (code, err) == (0, "")
    assert f"rater ann, labels {len(cells)}, matched {len(cells)}, labels alone 0" in said
    code, said, err = cli(
        *("validate", "score", "matched/votes.csv", "--model", "matched/model.csv"),
        "-o",
        "score",
        "--draws",
        10,
    )
    assert (code, err) == (0, "")
    assert "ann, macro F1, all: 0.000" in said  # against the consensus of ben, who says otherwise


def test_two_files_of_one_name_are_refused(tmp_path, capsys):
    Cli(capsys).fails(
        *("validate", "match", tmp_path, "a/x.csv", "b/x.csv"),
        "-o",
        tmp_path / "out",
        code=2,
        word="one name",
    )
