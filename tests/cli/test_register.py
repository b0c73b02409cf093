"""histome validate register and transfer on files: a field and its bent, recolored self."""

import csv
import json

import numpy as np
import pytest
import shapely
from helpers.cli import Cli
from helpers.restained import Bend, in_dab
from PIL import Image

import histome
from histome.phantom import paint_field

SIDE, MPP = 400, 0.5


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    field = paint_field(SIDE, mpp=MPP, rng=np.random.default_rng(3))
    bend = Bend(SIDE, 4 / MPP, mirror=True)
    Image.fromarray(field).save(folder / "he.png")
    Image.fromarray(bend.picture(in_dab(field))).save(folder / "ihc.png")
    on_ihc = np.random.default_rng(0).uniform(50, SIDE - 50, (60, 2))
    for name, places in (("he", bend(on_ihc)), ("ihc", on_ihc)):
        rows = [f"{k},{x:.3f},{y:.3f}" for k, (x, y) in enumerate(places)]
        (folder / f"{name}.csv").write_text("\n".join([",X,Y", *rows]))
    return folder, bend(on_ihc), on_ihc


def test_a_pair_is_laid_over_each_other_and_nuclei_are_carried(pair, tmp_path, capsys):
    pytest.importorskip("SimpleITK")
    folder, on_he, on_ihc = pair
    cli, out = Cli(capsys), tmp_path / "out"
    marks = ("--landmarks", folder / "he.csv", folder / "ihc.csv", "--mpp", MPP)
    code, said, err = cli("validate", "register", folder / "he.png", folder / "ihc.png", "-o", out, *marks)
    assert (code, err) == (0, "")
    rows = {row["step"]: row for row in csv.DictReader((out / "errors.csv").read_text().splitlines())}
    assert float(rows["as given"]["median_um"]) > 20
    assert float(rows["flow"]["median_um"]) < 1 < float(rows["affine"]["median_um"])
    assert f"step flow, median_um {float(rows['flow']['median_um']):.3f}" in said
    with Image.open(out / "overlap.png") as image:
        assert image.size == (SIDE, SIDE)
    with histome.open_slide(out / "warped.ome.tif") as slide, Image.open(folder / "he.png") as image:
        assert (slide.mpp.x, slide.size_px) == (pytest.approx(MPP), (SIDE, SIDE))
        gray = [
            np.asarray(p, float).mean(-1)[60:-60, 60:-60]
            for p in (slide.read(0, 0, size=(SIDE, SIDE)), image)
        ]
    assert np.corrcoef(*(g.ravel() for g in gray))[0, 1] > 0.6
    nuclei = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shapely.Point(place).buffer(6))),
            "properties": {"classification": {"name": f"n{k}"}},
        }
        for k, place in enumerate(on_he)
    ]
    (tmp_path / "he.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": nuclei}))
    words = ("validate", "transfer", out / "transform.npz")
    assert cli(*words, tmp_path / "he.geojson", "-o", tmp_path / "ihc.geojson")[::2] == (0, "")
    assert cli(*words, tmp_path / "ihc.geojson", "-o", tmp_path / "back.geojson", "--back")[::2] == (0, "")
    for name, want, most in (("ihc", on_ihc, 2.0), ("back", on_he, 0.2)):
        moved = json.loads((tmp_path / f"{name}.geojson").read_text())["features"]
        centers = [shapely.from_geojson(json.dumps(f["geometry"])).centroid.coords[0] for f in moved]
        apart = np.linalg.norm(np.array(centers) - want, axis=1) * MPP
        assert np.percentile(apart, 95) < most
        assert [f["properties"]["classification"]["name"] for f in moved] == [f"n{k}" for k in range(60)]


def test_bad_pairs_are_one_line(pair, tmp_path, capsys):
    pytest.importorskip("SimpleITK")
    folder, cli = pair[0], Cli(capsys)
    Image.fromarray(np.full((SIDE, SIDE, 3), 250, np.uint8)).save(tmp_path / "empty.png")
    # Two round pieces of different tissue fit each other at any angle.
    disc = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) > 0.4 * SIDE
    for name, seed, stain in (("round", 3, np.copy), ("other", 8, in_dab)):
        field = stain(paint_field(SIDE, mpp=MPP, rng=np.random.default_rng(seed)))
        field[disc] = 255
        Image.fromarray(field).save(tmp_path / f"{name}.png")
    (tmp_path / "none.csv").write_text(",X,Y\nz,1,2\n")
    words = ("validate", "register", folder / "he.png")
    options = ("-o", tmp_path / "out", "--mpp", MPP)
    cli.fails(*words, tmp_path / "empty.png", *options, code=1, word="picture is empty")
    both = ("validate", "register", tmp_path / "round.png", tmp_path / "other.png")
    cli.fails(*both, *options, code=1, word="do not look like one tissue")
    marks = ("--landmarks", folder / "he.csv", tmp_path / "none.csv")
    cli.fails(*words, folder / "ihc.png", *options, *marks, code=1, word="no landmark in common")
    assert not (tmp_path / "out").exists()
    (tmp_path / "w.npz").write_bytes(b"x")
    words = ("validate", "transfer", tmp_path / "w.npz", tmp_path / "none.csv", "-o", tmp_path / "x.geojson")
    cli.fails(*words, code=1, word="no transform that can be read")
