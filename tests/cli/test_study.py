"""A reader study from `study init` to the page: what was planted is found, and nothing is told to raters."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.cli import Cli
from helpers.studies import CLASSES, MPP, RATERS, RIGHT, fill_in, planted, said_of, study_cells

import histome

SLIDES = [f"s{k}" for k in range(10)]
PLAN = ("--raters", ",".join(RATERS), "--classes", ",".join(CLASSES), "--start", "2026-01-05", "--nuclei", 20)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def cells():
    return {name: study_cells(seed) for seed, name in enumerate(SLIDES)}


@pytest.fixture
def profiles(cells, monkeypatch):
    run = {"slide": {"mpp": {"x": MPP}}}
    loaded = {name: SimpleNamespace(cells=table, run=run) for name, table in cells.items()}
    monkeypatch.setattr(histome, "load_profile", lambda folder: loaded[folder.name], raising=False)
    return SLIDES[:2]


def answer(study, cells, rng, unsure=0.0):
    """Fill in every rater's files by their chance to be right."""
    true = {f"{s}/{i + 1}": t for s, table in cells.items() for i, t in enumerate(table["true"].to_pylist())}
    for path in sorted(study.glob("raters/*/*/*.geojson")):
        said = dict(
            zip(true, said_of(np.array(list(true.values())), RIGHT[path.parent.name], rng), strict=True)
        )
        fill_in(
            path, lambda name, s=said: name in s and ("unsure" if rng.random() < unsure else CLASSES[s[name]])
        )
    return true


def test_what_was_planted_is_found_within_the_intervals(profiles, cells, tmp_path, capsys):
    cli = Cli(capsys)
    study = tmp_path / "study"
    code, said, err = cli(
        "validate", "study", "init", *SLIDES, "-o", study, *PLAN, "--slides", slides(tmp_path)
    )
    assert (code, err) == (0, "")
    assert "slides 10, enriched 30, unbiased 40, nuclei 1,400" in said
    true = answer(study, cells, np.random.default_rng(5))
    assert cli("validate", "study", "collect", study, "-o", tmp_path / "got")[::2] == (0, "")
    votes, model = tmp_path / "got/votes.csv", tmp_path / "got/model.csv"
    asked = [true[row["cell_id"]] for row in rows_of(model)]
    want = planted(np.bincount(asked, minlength=3) / len(asked))
    options = ("--units", "slide", "--draws", 1000)
    assert cli("validate", "agreement", votes, "-o", tmp_path / "a", *options)[::2] == (0, "")
    shown = ("--truth", "HE_IHC", "--rated", "HE", "--model", model)
    assert cli("validate", "score", votes, "-o", tmp_path / "s", *shown, *options)[::2] == (0, "")
    assert cli("validate", "consensus", votes, "-o", tmp_path / "c")[::2] == (0, "")
    found = [
        (row, want[row["condition"]]) for row in rows_of(tmp_path / "a/alpha.csv") if row["label"] == "all"
    ]
    found += [
        (row, want["model" if row["judge"] == "model" else "rater"])
        for row in rows_of(tmp_path / "s/macro_f1.csv")
    ]
    assert len(found) == 8
    misses = [(row, value) for row, value in found if not float(row["low"]) < value < float(row["high"])]
    assert not misses
    # Narrow enough to tell the conditions, and the model from a rater, apart.
    assert all(float(row["high"]) - float(row["low"]) < 0.1 for row, _ in found)
    agreed = [r for r in rows_of(tmp_path / "c/consensus.csv") if r["condition"] == "HE_IHC" and r["label"]]
    right = np.mean([r["label"] == CLASSES[true[r["cell_id"]]] for r in agreed])
    assert abs(right - want["consensus right"]) < 0.01
    assert "Krippendorff" in (tmp_path / "a/index.html").read_text()
    assert (tmp_path / "s/macro_f1.svg").read_text().startswith("<svg")
    by = ("--by", "cancer,arm", "--draws", 20, "--model", model, "--truth", "HE_IHC")
    assert cli("validate", "strata", votes, "-o", tmp_path / "b", *by)[::2] == (0, "")
    assert {r["stratum"] for r in rows_of(tmp_path / "b/strata.csv")} == {
        f"{cancer} / {arm}" for cancer in ("colon", "lung") for arm in ("unbiased", "enriched")
    }


def slides(folder):
    path = folder / "slides.csv"
    rows = [f"{name},{('colon', 'lung')[k % 2]}" for k, name in enumerate(SLIDES)]
    path.write_text("\n".join(["slide,cancer", *rows]))
    return path


def test_a_rater_is_told_nothing_of_the_model(profiles, tmp_path, capsys):
    study = tmp_path / "study"
    assert Cli(capsys)("validate", "study", "init", *profiles, "-o", study, *PLAN)[0] == 0
    asked = {row["cell_id"] for row in rows_of(study / "key/cells.csv")}
    orders = []
    for rater in RATERS:
        for condition in RIGHT:
            folder = study / "raters" / rater / condition
            features = [
                f for path in folder.glob("*.geojson") for f in json.loads(path.read_text())["features"]
            ]
            names = [f["properties"]["name"] for f in features]
            assert {name for name in names if not name.startswith("region")} == asked
            assert {key for f in features for key in f["properties"]} == {"objectType", "name", "isLocked"}
            assert not any(label in json.dumps(features) for label in (*CLASSES, "enriched", "unbiased"))
            orders.append(
                tuple((row["slide"], row["x_px"], row["y_px"]) for row in rows_of(folder / "order.csv"))
            )
    assert len(set(orders)) == len(orders)
    assert len({frozenset(order) for order in orders}) == 1
    choices = json.loads((study / "raters/ann/classes.json").read_text())["pathClasses"]
    assert [choice["name"] for choice in choices] == [*CLASSES, "unsure"]
    schedule = rows_of(study / "raters/ann/schedule.csv")
    # Seven days of reading, ten without a look.
    assert [(row["from"], row["to"]) for row in schedule] == [
        ("2026-01-05", "2026-01-11"),
        ("2026-01-22", "2026-01-28"),
    ]


def test_a_seed_is_a_study(profiles, tmp_path, capsys):
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        Cli(capsys)("validate", "study", "init", *profiles, "-o", tmp_path / name, *PLAN, "--seed", seed)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made[name] = {path.relative_to(tmp_path / name): path.read_bytes() for path in files}
    assert made["a"] == made["b"] != made["c"]


def test_unsure_and_files_that_are_not_back_are_counted(profiles, cells, tmp_path, capsys):
    study = tmp_path / "study"
    cli = Cli(capsys)
    cli("validate", "study", "init", *profiles, "-o", study, *PLAN)
    answer(study, cells, np.random.default_rng(1), unsure=0.2)
    (study / "raters/tom/HE/s0.geojson").unlink()
    fill_in(study / "raters/ben/HE/s1.geojson", lambda name: name.startswith("region") and CLASSES[0])
    assert cli("validate", "study", "collect", study, "-o", tmp_path / "got")[::2] == (0, "")
    counts = {(r["rater"], r["condition"]): r for r in rows_of(tmp_path / "got/counts.csv")}
    whole, part = counts["ann", "HE"], counts["tom", "HE"]
    assert whole["labeled"] == whole["cells"] == "280"
    assert 35 < int(whole["unsure"]) < 80
    assert (part["labeled"], part["missing_files"]) == ("140", "1")
    assert counts["ben", "HE"]["others"] == "7"


def spoil(study, what):
    path = study / "raters/ann/HE/s0.geojson"
    data = json.loads(path.read_text())
    nucleus = data["features"][1]
    if what == "unknown":
        nucleus["properties"]["classification"] = {"name": "mitosis"}
    elif what == "twice":
        other = json.loads(json.dumps(nucleus))
        for feature, name in ((nucleus, CLASSES[0]), (other, CLASSES[1])):
            feature["properties"]["classification"] = {"name": name}
        data["features"].append(other)
    elif what == "moved":
        nucleus["properties"]["classification"] = {"name": CLASSES[0]}
        ring = nucleus["geometry"]["coordinates"][0]
        nucleus["geometry"]["coordinates"] = [[[x / 4, y / 4] for x, y in ring]]
    path.write_text("[1, 2" if what == "cut" else json.dumps(data))


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("nothing", "no nucleus has a label yet"),
        ("unknown", "'mitosis'; the choices are carcinoma_cell"),
        ("twice", "is both carcinoma_cell and lymphocyte"),
        ("moved", "um from where it was"),
        ("cut", "not valid JSON"),
    ],
)
def test_spoiled_answers_are_one_line(what, word, profiles, tmp_path, capsys):
    cli = Cli(capsys)
    cli("validate", "study", "init", *profiles, "-o", tmp_path / "study", *PLAN)
    spoil(tmp_path / "study", what)
    cli.fails("validate", "study", "collect", tmp_path / "study", "-o", tmp_path / "got", code=1, word=word)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--raters", "ann,Ann"), 1, "give each one once"),
        (("--raters", "../x"), 1, "cannot be the name of a file"),
        (("--classes", "a,unsure"), 1, "are no classes"),
        (("--start", "5.1.2026"), 2, "--start 5.1.2026"),
        (("--slides", "missing.csv"), 1, "missing.csv: no table"),
    ],
)
def test_a_study_that_cannot_be_leaves_nothing(options, code, word, profiles, tmp_path, capsys):
    words = ("validate", "study", "init", *profiles, "-o", tmp_path / "new", *PLAN, *options)
    Cli(capsys).fails(*words, code=code, word=word)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_is_there_is_never_replaced(profiles, tmp_path, capsys):
    words = ("validate", "study", "init", *profiles, "-o", tmp_path / "study", *PLAN)
    cli = Cli(capsys)
    cli(*words)
    cli.fails(*words, code=1, word="is there already")


def test_no_study_is_one_line(tmp_path, capsys):
    words = ("validate", "study", "collect", tmp_path, "-o", tmp_path / "got")
    Cli(capsys).fails(*words, code=1, word="no study here")
