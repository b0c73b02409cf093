"""histome validate on what labs send by mistake: refused in one line, or said; never a number in silence."""

import csv
import shutil

import numpy as np
import pytest
from helpers.cli import Cli
from PIL import Image

CLASSES = ("carcinoma_cell", "lymphocyte", "plasma_cell")
N = 120


def write(path, head, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def votes_of(raters="abc", label=lambda k, rater, said: said, slide=lambda k: f"s{k % 12}"):
    rng, rows = np.random.default_rng(1), []
    for rater in raters:
        for k in range(N):
            right = CLASSES[(k + (rng.random() < 0.2)) % 3]
            rows.append([f"c{k}", rater, label(k, rater, right), slide(k), "colon"])
    return rows


def answers_of(label=lambda k: CLASSES[k % 3], abstained="false", n=N, organ="colon"):
    return [[f"c{k}", label(k), round(0.4 + 0.5 * k / n, 3), abstained, organ] for k in range(n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tables, label images, each with one thing wrong."""
    folder = tmp_path_factory.mktemp("tables")
    good = votes_of()
    votes = {
        "votes": good,
        "one": votes_of("a"),
        "missing": votes_of(label=lambda k, rater, said: said if rater == "a" or k < 30 else ""),
        "alone": votes_of(label=lambda k, rater, said: said if "abc"[k % 3] == rater else ""),
        "case": votes_of(label=lambda k, rater, said: said.capitalize() if rater == "b" else said),
        "twice": [*good, ["c0", "a", "lymphocyte", "s0", "colon"]],
        "blank": votes_of(slide=lambda k: "" if k < 20 else f"s{k % 12}"),
        "few": votes_of(slide=lambda k: f"s{k % 3}"),
        "unsure": votes_of(label=lambda k, rater, said: "unsure" if k % 12 == 0 else said),
    }
    for name, rows in votes.items():
        write(folder / f"{name}.csv", ["cell_id", "rater", "label", "slide", "organ"], rows)
    models = {
        "model": answers_of(),
        "more": answers_of(n=N + 30),
        "typo": answers_of(label=lambda k: CLASSES[k % 3].replace("_", " ")),
        "silent": answers_of(abstained="true"),
        "lung": answers_of(organ="lung"),
    }
    for name, rows in models.items():
        write(folder / f"m_{name}.csv", ["cell_id", "label", "confidence", "abstained", "organ"], rows)
    for name, corner in (("left", 10), ("right", 40), ("none", None)):
        labels = np.zeros((64, 64), np.uint16)
        if corner is not None:
            labels[corner : corner + 10, corner : corner + 10] = 1
        Image.fromarray(labels).save(folder / f"{name}.png")
    Image.fromarray(np.zeros((32, 64), np.uint16)).save(folder / "half.png")
    Image.fromarray(np.eye(64, dtype=np.uint16)).save(folder / "CAPITALS.PNG")
    np.save(folder / "void.npy", np.zeros((0, 0), int))
    np.save(folder / "below.npy", np.full((64, 64), -2))
    np.savez(folder / "masks.npz", inst_mask=np.eye(4))
    for name, images in (("one", "a"), ("two", "abc")):
        (folder / name).mkdir()
        for image in images:
            shutil.copy(folder / "left.png", folder / name / f"{image}.png")
    (folder / "twice").mkdir()
    for name in ("a.npy", "a.geojson"):
        (folder / "twice" / name).touch()
    return folder


REFUSED = {
    "one rater": ("agreement one.csv", "needs two raters; the votes are of a alone"),
    "no cell has two votes": ("agreement alone.csv", "no cell has the votes of two raters"),
    "wrong organ": (
        "score votes.csv --model m_lung.csv",
        "organ 'colon' in the votes and 'lung' in the answers (120 such cells)",
    ),
    "a class nobody used": ("score votes.csv --classes lymphocyte,mitosis", "no vote is mitosis"),
    "unknown labels": ("agreement votes.csv --ordinal lymphocyte,plasma_cell", "unknown label 'carcinoma_"),
    "labels that differ by case": ("agreement case.csv", "'Carcinoma_cell' and 'carcinoma_cell' differ by"),
    "duplicate votes": ("agreement twice.csv", "rows 2 and 362 are votes of one rater on one cell"),
    "units not stated": ("agreement blank.csv --units slide", "20 cells have no slide"),
    "an image without pixels": (
        "segmentation void.npy void.npy --mpp 0.5",
        "void.npy: a label image has one channel of whole numbers, not int64 (0, 0)",
    ),
    "numbers below 0": ("segmentation below.npy left.png --mpp 0.5", "below.npy: holds -2"),
    "a file of no known kind": (
        "segmentation masks.npz left.png --mpp 0.5",
        "masks.npz: give a label image",
    ),
    "a class map of no known kind": (
        "segmentation masks.npz left.png --mpp 0.5 --maps a",
        "masks.npz: a label image ends in .png",
    ),
    "two files of one name": (
        "segmentation twice twice --mpp 0.5",
        "a.geojson and a.npy are two files of one name",
    ),
    "images of two sizes": ("segmentation left.png half.png --mpp 0.5", "sizes differ"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_one_line(case, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words, word = REFUSED[case]
    Cli(capsys).fails("validate", *words.split(), "-o", tmp_path / "out", code=1, word=word)
    assert not (tmp_path / "out").exists()


# Words, what stdout says, what stderr warns of.
SAID = {
    "one rater": ("score one.csv --model m_model.csv", "a, macro F1, all: not known (n = 0)", "one rater: "),
    "one rater, no consensus": (
        "consensus one.csv",
        "reason too few votes, cells 120, of 120",
        "one rater: ",
    ),
    "missing votes": ("consensus missing.csv", "reason too few votes, cells 90, of 120", ""),
    "a class nobody used": (
        "agreement votes.csv --ordinal carcinoma_cell,lymphocyte,plasma_cell,mitosis",
        "alpha, all, mitosis: not known",
        "",
    ),
    "the model's unknown labels": (
        "score votes.csv --model m_typo.csv",
        "answers 120",
        "no vote has count as misses: 'carcinoma cell' (40), 'plasma cell' (40).",
    ),
    "cells that nobody annotated": (
        "score votes.csv --model m_more.csv",
        "labeled cells 120, answers 150, nobody labeled 30, without answer 0",
        "",
    ),
    "an empty stratum": ("strata unsure.csv --model m_model.csv --by slide", "s0: not known (n = 0)", ""),
    "a stratum not stated": ("strata blank.csv --model m_model.csv --by slide", "(not stated): ", ""),
    "few units": ("agreement few.csv --units slide", "raters 3", "3 values of slide are drawn whole"),
    "all abstained": ("score votes.csv --model m_silent.csv", "abstained 120", "abstained on every cell"),
    "all abstained, by coverage": (
        "abstention votes.csv --model m_silent.csv",
        "area under risk-coverage, all: 1.000",
        "abstained on every cell",
    ),
    "wrong resolution": (
        "segmentation left.png left.png --mpp 25",
        "pq, all: 1.000",
        "282 um wide at 25 um/px",
    ),
    "images that do not overlap": (
        "segmentation left.png right.png --mpp 0.5",
        "pq, all: 0.000",
        "no true nucleus meets a found one",
    ),
    "nothing found": (
        "segmentation left.png none.png --mpp 0.5",
        "pq, all: 0.000",
        "nothing was found in 1 of 1",
    ),
    "no truth": (
        "segmentation none.png left.png --mpp 0.5",
        "pq, all: 0.000 (n = 1)",
        "only found nuclei, no true one, in 1 of 1, as in none.",
    ),
    "an ending in capitals": ("segmentation CAPITALS.PNG CAPITALS.PNG --mpp 2", "pq, all: 1.000", ""),
    "a class map without a truth": (
        "segmentation none.png left.png --mpp 0.5 --maps tumor",
        "Dice, tumor: not known (n = 1)",
        "the truth knows no class (all 0) in 1 of 1 maps, as in none.",
    ),
    "a class map without a class": (
        "segmentation left.png none.png --mpp 0.5 --maps tumor",
        "Dice, tumor: 0.000 (n = 1)",
        "no class was found (all 0) in 1 of 1 maps, as in left.",
    ),
    "nothing there": (
        "segmentation none.png none.png --mpp 0.5",
        "pq, all: not known (n = 0)",
        "",
    ),
    "a found file without a partner": (
        "segmentation one two --mpp 0.5",
        "pq, all: 1.000",
        "two: not compared, no such name in one: 2, the first b.png.",
    ),
}


@pytest.mark.parametrize(
    ("maps", "word"),
    [
        (",", "--maps names no class"),
        ("tumor,,stroma", "--maps tumor,,stroma: the value 2 has no name"),
        ("neo, neo,con", "neo is named twice"),
    ],
)
def test_classes_of_maps_without_a_name_of_their_own_are_wrong_usage(
    maps, word, folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    words = ("left.png", "left.png", "--mpp", 0.5, "--maps", maps, "-o", tmp_path / "out")
    Cli(capsys).fails("validate", "segmentation", *words, code=2, word=word)


@pytest.mark.parametrize("case", SAID)
def test_what_is_doubtful_is_said(case, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words, out, warned = SAID[case]
    command, *others = words.split()
    draws = () if command == "consensus" else ("--draws", 20)
    code, said, err = Cli(capsys)("validate", command, *others, "-o", tmp_path / "out", *draws)
    assert code == 0
    assert out in said
    assert "nan" not in said
    assert err.count("\n") == bool(warned)
    assert warned in err
    if command != "segmentation":
        assert warned.rstrip(".") in (tmp_path / "out/index.html").read_text().replace("&#39;", "'")
