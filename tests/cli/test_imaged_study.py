"""The whole chain with pictures, by two commands: panel, warp, blinded folders, match, consensus, figures."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from helpers.cli import Cli
from helpers.imaged_studies import LABELS, MPP, ROUNDS, answer_all, draw_study
from helpers.studies import RATERS, planted
from PIL import Image

import histome

pytestmark = pytest.mark.slow
# In full: HISTOME_STUDY_FIELDS=30, which takes a quarter of an hour of one core; slides are then drawn whole.
FIELDS, SIDE_PX = int(os.environ.get("HISTOME_STUDY_FIELDS", "2")), 512


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    pytest.importorskip("SimpleITK")
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw_study(folder, FIELDS, SIDE_PX)


@pytest.fixture
def profiles(drawn, monkeypatch):
    loaded = drawn[1]
    monkeypatch.setattr(histome, "load_profile", lambda folder: loaded[folder.name], raising=False)
    return loaded


def init_words(folder, names, study, nuclei=60):
    plan = ("--raters", ",".join(RATERS), "--classes", ",".join(LABELS), "--nuclei", nuclei)
    tables = ("--slides", folder / "slides.csv", "--stains", folder / "stains.csv")
    more = ("--panel", folder / "panel.toml", "--mpp", MPP, "--start", "2026-01-05")
    return ("validate", "study", "init", *names, "-o", study, *plan, *tables, *more)


def test_two_commands_from_pictures_to_figures(drawn, profiles, tmp_path, capsys):
    cli, study, got = Cli(capsys), tmp_path / "study", tmp_path / "got"
    code, _, err = cli(*init_words(drawn[0], profiles, study))
    assert code == 0
    kept = kept_of(study, profiles, err)
    registered = rows_of(study / "key/registration.csv")
    assert [(row["slide"], row["stain"]) for row in registered] == [(s, r) for s in kept for r in ROUNDS]
    true = answer_all(study, profiles, np.random.default_rng(5))
    panel = {row["cell_id"]: row["label"] for row in rows_of(study / "key/panel.csv")}
    stained = [name for name, code in true.items() if LABELS[code] != "other"]
    assert np.mean([panel[name] == LABELS[true[name]] for name in stained]) > 0.85
    for name in kept:
        with histome.open_slide(study / f"images/{name}/cd3.ome.tif") as slide:
            assert slide.mpp.x == pytest.approx(MPP)
            assert slide.size_px == (SIDE_PX, SIDE_PX)
    shown = rows_of(study / "raters/ann/pictures.csv")
    assert {row["picture"] for row in shown if row["condition"] == "HE"} == {"he"}
    assert {row["picture"] for row in shown if row["condition"] == "HE_IHC"} == {"he", *ROUNDS}
    # What the panel says is the key's alone.
    assert not any("panel" in path.read_text() for path in study.glob("raters/**/*") if path.is_file())
    rename_one(study / "raters/ann/HE/field0.geojson")
    assert cli("validate", "study", "collect", study, "-o", got, "--draws", 1000)[::2] == (0, "")
    check_outcome(got, true)
    ann = rows_of(got / "counts.csv")[0]
    assert (ann["rater"], ann["met"], ann["others"], ann["labeled"]) == ("ann", "1", "0", ann["cells"])


def kept_of(study, profiles, err):
    """All slides but those that are left out: at most one of fifteen, each named."""
    path = study / "key/left_out.csv"
    out = [row["slide"] for row in rows_of(path)] if path.exists() else []
    assert len(out) <= len(profiles) // 15
    said = [line.removeprefix("warning: ").split()[0] for line in err.splitlines()]
    assert said == out
    return [name for name in profiles if name not in out]


def test_a_slide_whose_picture_is_of_nothing_is_left_out_and_named(drawn, profiles, tmp_path, capsys):
    folder, study = tmp_path / "slides", tmp_path / "study"
    shutil.copytree(drawn[0], folder)
    Image.new("RGB", (SIDE_PX, SIDE_PX), "white").save(folder / "field1_cd3.png")
    two = dict(list(profiles.items())[:2])
    code, out, err = Cli(capsys)(*init_words(folder, two, study))
    assert code == 0
    assert "slides 1," in out
    assert "field1 is left out of the study. cd3: " in err
    assert [row["slide"] for row in rows_of(study / "key/left_out.csv")] == ["field1"]
    assert not [path for path in study.rglob("*") if "field1" in path.name]
    assert {row["slide"] for row in rows_of(study / "key/cells.csv")} == {"field0"}


def rename_one(path):
    """A rater drew an annotation of their own over a nucleus, and removed ours."""
    data = json.loads(path.read_text())
    nucleus = next(f for f in data["features"] if "classification" in f["properties"])
    del nucleus["properties"]["name"]
    path.write_text(json.dumps(data))


def check_outcome(got, true):
    """Planted alphas and F1 lie within the intervals; every part is on the page, with its figure."""
    asked = [true[row["cell_id"]] for row in rows_of(got / "model.csv")]
    want = planted(np.bincount(asked, minlength=len(LABELS)) / len(asked))
    found = [(row, want[row["condition"]]) for row in rows_of(got / "alpha.csv") if row["label"] == "all"]
    found += [
        (row, want["model" if row["judge"] == "model" else "rater"]) for row in rows_of(got / "macro_f1.csv")
    ]
    assert len(found) == 8
    inside = [float(row["low"]) < value < float(row["high"]) for row, value in found]
    assert sum(inside) >= 7  # of eight intervals of 95 %
    page = (got / "index.html").read_text()
    for name in ("alpha", "macro_f1", "coverage", "matched", "calibration", "panel", "against_panel"):
        assert (got / f"{name}.svg").is_file(), name
    assert "Not told" not in page
    best = {
        row["judge"]: float(row["value"])
        for row in rows_of(got / "against_panel.csv")
        if "F1" in row["measure"]
    }
    assert min(best.values()) > 0.5


def test_starts_that_come_to_one_place_are_no_other_angle(tmp_path):
    pytest.importorskip("SimpleITK")
    from histome.validation.register.warped_slide import lay_over

    draw_study(tmp_path, 1, SIDE_PX, first=3)
    paths = tmp_path / "field3.tif", tmp_path / "field3_ck.png"
    with histome.open_slide(paths[0], mpp=MPP) as he, histome.open_slide(paths[1], mpp=MPP) as ihc:
        assert lay_over(he, ihc).found.lead > 2
