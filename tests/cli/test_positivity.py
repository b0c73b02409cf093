"""histome validate positivity: from a profile and restained pictures to labels that networks learn from."""

import csv
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from helpers.cells import cell_table
from helpers.cli import Cli
from helpers.restained import restained_round
from PIL import Image

import histome
from histome.datasets.published import load_labeled
from histome.phantom import draw_phantom

MPP = 0.5
PANEL = """
[markers.CK]
stain = "ck"
[markers.CD3]
stain = "cd3"
[classes.carcinoma_cell]
positive = ["CK"]
[classes.lymphocyte]
positive = ["CD3"]
"""
STAINED = {"ck": ("carcinoma_cell",), "cd3": ("lymphocyte",)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(4)
    truth = draw_phantom(
        folder / "he.tif", size_px=(1024, 1024), mpp=MPP, rng=rng, tissue_share=0.8, artifacts=False
    )
    with histome.open_slide(folder / "he.tif") as slide:
        rgb = slide.read(0, 0, size=(1024, 1024))
    for name, classes in STAINED.items():
        Image.fromarray(restained_round(rgb, truth, classes, MPP, seed=1)).save(folder / f"{name}.png")
    (folder / "panel.toml").write_text(PANEL)
    return folder, truth


@pytest.fixture
def profile(drawn, monkeypatch):
    cells = drawn[1].cells
    outlines = shapely.to_wkb(shapely.polygons(cells.polygons_px.astype(float)))
    table = cell_table(
        cells.x_px * MPP, cells.y_px * MPP, "other", cell_id=np.arange(len(cells)), geometry=outlines
    )
    slide = {"id": "he", "size_px": [1024, 1024], "mpp": {"x": MPP, "y": MPP}}
    loaded = SimpleNamespace(path="out/he", cells=table, run={"slide": slide})
    monkeypatch.setattr(histome, "load_profile", lambda folder: loaded, raising=False)
    return "out/he"


def words(folder, profile, out):
    stains = [word for name in STAINED for word in ("--stain", f"{name}={folder / name}.png")]
    return ["validate", "positivity", profile, "--panel", folder / "panel.toml", *stains, "-o", out]


def test_cells_get_the_class_that_was_stained(drawn, profile, tmp_path, capsys):
    folder, truth = drawn
    out = tmp_path / "labels"
    more = ("--mpp", MPP, "--he", folder / "he.tif", "--fields", 2)
    code, said, err = Cli(capsys)(*words(folder, profile, out), *more)
    assert (code, err) == (0, "")
    table = pq.read_table(out / "positivity.parquet")
    label, true = np.array(table["label"].to_pylist()), truth.cells.classes
    wanted = np.isin(true, ["carcinoma_cell", "lymphocyte"])
    assert wanted.sum() > 80
    assert (label[wanted] == true[wanted]).mean() > 0.95
    assert (label[~wanted] == "").mean() > 0.9
    votes = list(csv.DictReader((out / "votes.csv").read_text().splitlines()))
    assert {row["rater"] for row in votes} == {"panel"}
    assert len(votes) == (label != "").sum()
    assert f"lymphocyte: {(label == 'lymphocyte').sum():,} of {len(true):,}" in said
    fields = list(load_labeled("mine", out / "fields"))
    assert len(fields) == 2
    assert all(field.shapes and (field.sets > 0).sum() > 5 for field in fields)
    assert {field.source for field in fields} == {"he"}


def test_what_does_not_fit_is_one_line(drawn, profile, tmp_path, capsys):
    folder, cli = drawn[0], Cli(capsys)
    given, out = words(folder, profile, tmp_path / "labels"), tmp_path / "labels"
    cli.fails(*given, "--mpp", 2 * MPP, code=1, word="lay it over the H&E first")
    cli.fails(*given[:5], *given[7:], "--mpp", MPP, code=2, word="give each of the panel's pictures once")
    cli.fails(*given, "--stain", "x", "--mpp", MPP, code=2, word="give NAME=FILE")
    (tmp_path / "panel.toml").write_text("[markers]")
    other = [tmp_path / "panel.toml" if word == folder / "panel.toml" else word for word in given]
    cli.fails(*other, "--mpp", MPP, code=2, word="panel.toml")
    assert not out.exists()
