"""histome validate segmentation on files: label images, outlines, class maps."""

import csv
import json

import numpy as np
import pytest
import shapely
import tifffile
from helpers.cli import Cli
from PIL import Image

from histome.slide import ClassMap


def rows_of(path):
    return {(row["measure"], row["label"]): row for row in csv.DictReader(path.read_text().splitlines())}


@pytest.fixture
def squares(tmp_path):
    """Three nuclei as an image with classes beside it, and as outlines: one moved, one of another class."""
    labels = np.zeros((60, 80), np.uint16)
    boxes = {700: (5, 5, 15, 15), 3: (30, 5, 40, 15), 12: (50, 30, 60, 40)}
    for k, (x0, y0, x1, y1) in boxes.items():
        labels[y0:y1, x0:x1] = k
    Image.fromarray(labels).save(tmp_path / "true.png")
    (tmp_path / "true.csv").write_text("instance,label\n700,a\n3,a\n12,b\n")
    found = [((5, 5, 15, 15), "a"), ((34, 5, 44, 15), "a"), ((50, 30, 60, 40), "a")]
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shapely.box(*box))),
            "properties": {"classification": {"name": name}},
        }
        for box, name in found
    ]
    (tmp_path / "found.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return tmp_path


def test_an_image_and_outlines(squares, capsys):
    words = ("true.png", "found.geojson")
    code, said, err = Cli(capsys)(
        "validate",
        "segmentation",
        *(squares / w for w in words),
        "--mpp",
        0.5,
        "-o",
        squares / "out",
        "--draws",
        9,
    )
    assert (code, err) == (0, "")
    rows = rows_of(squares / "out/segmentation.csv")
    value = {key: float(row["value"]) for key, row in rows.items()}
    assert value["dice", "all"] == pytest.approx(260 / 300)
    assert value["pq", "all"] == pytest.approx(2 / 3)  # 60 of 140 px is no pair
    assert value["aji", "all"] == pytest.approx(260 / 340)
    assert value["detection F1", "all"] == 1  # 2 um
    assert value["pq", "a"] == pytest.approx(1 / 2.5)
    assert value["pq", "b"] == 0
    assert value["mPQ", "all"] == pytest.approx(0.2)
    assert "mPQ, all: 0.200" in said
    assert "Research use only" in (squares / "out/index.html").read_text()


def test_a_map_of_histome_against_a_painted_one(tmp_path, capsys):
    codes = np.ones((20, 20), np.uint8)
    codes[:, 10:] = 2
    ClassMap(codes, 2.0, ("STROMA", "CARCINOMA")).save(tmp_path / "map.tif")
    true = np.full((40, 40), 2, np.uint8)  # 1 um/px
    true[:, 30:] = 1
    true[:4] = 0
    tifffile.imwrite(tmp_path / "true.tif", true)
    words = ("--maps", "CARCINOMA,STROMA", "--mpp", 1, "--draws", 5, "-o", tmp_path / "out")
    code, _, err = Cli(capsys)(
        "validate", "segmentation", tmp_path / "true.tif", tmp_path / "map.tif", *words
    )
    assert (code, err) == (0, "")
    rows = rows_of(tmp_path / "out/maps.csv")
    assert float(rows["Dice", "CARCINOMA"]["value"]) == pytest.approx(2 * 10 / (10 + 20))
    assert float(rows["IoU", "STROMA"]["value"]) == pytest.approx(20 / 30)


@pytest.mark.parametrize(
    ("true", "found", "options", "word"),
    [
        ("true.png", "missing.png", (), "give two files or two folders"),
        ("true.png", "true.csv", (), "give a label image"),
        ("true.png", "small.png", (), "sizes differ"),
        ("true.png", "color.png", (), "a label image has one channel"),
        ("true.png", "true.png", ("--maps", "a,b"), "above 2, the number of classes"),
        ("true.png", "true.png", ("--mpp", 0), "--mpp 0"),
    ],
)
def test_bad_input_is_one_line(true, found, options, word, squares, capsys):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(squares / "small.png")
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(squares / "color.png")
    words = ("validate", "segmentation", squares / true, squares / found, "-o", squares / "out", "--mpp", 0.5)
    Cli(capsys).fails(*words, *options, code=2 if word.startswith("--mpp") else 1, word=word)
    assert not (squares / "out").exists()


def test_a_folder_without_the_files_of_the_other_is_refused(squares, capsys):
    (squares / "t").mkdir()
    (squares / "f").mkdir()
    (squares / "true.png").rename(squares / "t/one.png")
    words = ("validate", "segmentation", squares / "t", squares / "f", "-o", squares / "out", "--mpp", 0.5)
    Cli(capsys).fails(*words, code=1, word="no file for one")


def test_images_are_told_by_stratum(squares, capsys):
    cli, out = Cli(capsys), squares / "out"
    (squares / "images.csv").write_text("image,tissue\ntrue,colon\n")
    words = ("validate", "segmentation", squares / "true.png", squares / "found.geojson", "--mpp", 0.5)
    asked = ("--images", squares / "images.csv")
    assert cli(*words, "-o", out, "--draws", 9, *asked, "--by", "tissue")[::2] == (0, "")
    (row,) = csv.DictReader((out / "strata.csv").read_text().splitlines())
    assert (row["stratum"], row["measure"], row["too_small"]) == ("colon", "mPQ", "True")
    assert float(row["value"]) == pytest.approx(0.2)
    assert (out / "strata.pdf").read_bytes().startswith(b"%PDF")
    cli.fails(*words, "-o", out, *asked, code=2, word="--images and --by go together")
    cli.fails(*words, "-o", out, *asked, "--by", "scanner", code=1, word="no column scanner")
