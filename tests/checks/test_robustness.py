"""Changes of a picture: places follow the pixels, and what leaves its tolerance is told."""

import csv

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.cli import Cli
from helpers.phantoms import numbered, small_phantom
from helpers.tiny_models import tiny_settings
from PIL import Image

from histome.checks.robustness import (
    SeenPicture,
    changed_pictures,
    compare_seen,
    read_square,
    stained_counts,
    staining_sections,
)
from histome.classes import TISSUE_CLASSES
from histome.slide import ClassMap
from histome.slide.plain import array_slide

MPP = 0.5


@pytest.mark.parametrize("change", ["rotation by 90 degrees", "mirror", "shift", "canvas"])
def test_places_follow_the_pixels(change):
    pixels = numbered(60, 90)
    changed = dict(changed_pictures(pixels, MPP, (7.5, 11.0)))[change]
    rows, columns = np.mgrid[:60, :90]
    x, y = changed.place((columns + 0.5) * MPP, (rows + 0.5) * MPP)
    moved = changed.pixels[np.floor(y / changed.mpp).astype(int), np.floor(x / changed.mpp).astype(int)]
    np.testing.assert_array_equal(moved, pixels)
    if change in ("shift", "canvas"):
        assert (changed.pixels == 255).all(2).sum() >= changed.pixels[..., 0].size - pixels[..., 0].size


def test_a_coarser_picture_has_the_same_size_in_um():
    changed = dict(changed_pictures(numbered(600, 900), MPP))["resolution"]
    assert changed.mpp == 0.625
    assert np.array(changed.pixels.shape[:2]) * changed.mpp == pytest.approx((300, 450))


def seen(classes, codes):
    n = len(classes)
    return SeenPicture(
        cell_table(np.zeros(n), np.zeros(n), classes),
        ClassMap(np.array(codes, np.uint8), 2.0, TISSUE_CLASSES),
    )


def test_what_moved_is_told_with_its_tolerance():
    before = seen(["carcinoma_cell"] * 60 + ["lymphocyte"] * 40, [[1] * 10, [2] * 10])
    after = seen(["carcinoma_cell"] * 63 + ["lymphocyte"] * 38, [[1] * 10, [2] * 9 + [1]])
    rows = {row["figure"]: row for row in compare_seen(before, after, lambda x, y: (x, y))}
    cells = rows["cells"]
    assert (cells["before"], cells["after"], cells["difference"], cells["holds"]) == (100, 101, 1.0, True)
    share = next(row for name, row in rows.items() if name.startswith("share of"))
    assert share["difference"] == pytest.approx(100 * 63 / 101 - 60)
    assert not share["holds"]
    assert rows["tissue agreement"]["difference"] == 0.95
    assert rows["tissue agreement"]["holds"]
    moved = compare_seen(before, after, lambda x, y: (x, y + 2.0))[-1]
    assert not moved["holds"]


def test_the_square_is_where_the_tissue_is():
    pixels = np.full((1200, 1600, 3), 255, np.uint8)
    pixels[640:1024, 1088:1472] = 120
    with array_slide(pixels, MPP) as slide:
        found = read_square(slide, 192.0)
        assert found.shape == (384, 384, 3)
        assert (found == 120).mean() > 0.9
        assert read_square(slide, 5000.0).shape == pixels.shape


class Counted:
    """A method whose cells are the dark pixels of a picture: known under every stain condition."""

    def look(self, pixels, mpp):
        dark = int((pixels.max(2) < 150).sum())
        return seen(["lymphocyte"] * dark, [[1, 2]])


def test_counts_under_stain_conditions_and_their_spread():
    pixels = np.full((10, 10, 3), 255, np.uint8)
    pixels[:5] = (120, 110, 140)
    rows = {row["figure"]: row for row in stained_counts(pixels, MPP, Counted())}
    assert rows["cells"]["as_scanned"] == 50
    assert rows["cells"]["low_intensity"] == 0
    assert rows["cells"]["spread"] == 50
    assert rows["% of tissue: CARCINOMA"]["spread"] == 0
    (section,) = staining_sections(list(rows.values()))
    assert len(section.rows) == 1 + 9 + 7


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    small_phantom(folder / "slide.tif", size_px=(600, 500), tissue_share=0.8)
    return folder / "slide.tif", tiny_settings(folder, dark=True)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.slow
def test_a_drawn_slide_from_the_command_line(drawn, tmp_path, capsys):
    slide, settings = drawn
    words = (slide, "--config", settings, "-o", tmp_path / "out")
    code, said, err = Cli(capsys)("validate", "metamorphic", *words)
    rows = rows_of(tmp_path / "out/metamorphic.csv")
    assert err == ""
    assert code == (0 if all(row["holds"] == "True" for row in rows) else 1)
    changes = ("rotation by 90 degrees", "mirror", "shift", "canvas", "resolution")
    assert [row["change"] for row in rows] == [name for name in changes for _ in range(4)]
    agreed = {row["change"]: float(row["after"]) for row in rows if row["figure"] == "tissue agreement"}
    counted = {row["change"]: float(row["difference"]) for row in rows if row["figure"] == "cells"}
    # These models look at 2 x 2 px: turning and a canvas change nothing but what quality does.
    assert min(agreed[name] for name in ("rotation by 90 degrees", "mirror", "canvas")) > 0.95
    assert counted["canvas"] < 2
    assert said.count("\n") >= 20
    code, said, err = Cli(capsys)("validate", "staining", *words[:-1], tmp_path / "stained")
    assert (code, err) == (0, "")
    cells = rows_of(tmp_path / "stained/staining.csv")[0]
    # Darker stain, more that is dark.
    assert float(cells["low_intensity"]) < float(cells["as_scanned"]) < float(cells["high_intensity"])
    assert f"spread {float(cells['spread']):.4g}" in said


def test_labeled_fields_under_stain_conditions(drawn, tmp_path, capsys):
    folder = tmp_path / "mine"
    (folder / "instances").mkdir(parents=True)
    rng = np.random.default_rng(0)
    image = np.full((128, 128, 3), (230, 200, 220), np.uint8)
    labels = np.zeros((128, 128), np.uint16)
    rows = []
    for k, (x, y) in enumerate([(30, 30), (80, 40), (60, 90)], start=1):
        disc = (np.mgrid[:128, :128] - np.array([y, x])[:, None, None]) ** 2
        labels[disc.sum(0) < 64] = k
        rows.append(f"one,{k},lymphocyte")
    image[labels > 0] = (90, 70, 130)
    image += rng.integers(0, 5, image.shape, dtype=np.uint8)
    Image.fromarray(image).save(folder / "one.png")
    Image.fromarray(labels).save(folder / "instances/one.png")
    (folder / "images.csv").write_text(
        "image,file,instances,mpp,source\none,one.png,instances/one.png,0.5,s\n"
    )
    (folder / "nuclei.csv").write_text("\n".join(["image,instance,label", *rows]))
    words = ("validate", "staining", folder, "--config", drawn[1], "-o", tmp_path / "out")
    code, _, err = Cli(capsys)(*words)
    assert (code, err) == (0, "")
    rows = rows_of(tmp_path / "out/staining.csv")
    assert {row["condition"] for row in rows} >= {"as_scanned", "low_intensity", "high_similarity"}
    spread = {row["measure"]: row for row in rows_of(tmp_path / "out/spread.csv")}
    values = [float(row["value"]) for row in rows if row["measure"] == "detection_f1"]
    assert len(values) == 5
    assert float(spread["detection_f1"]["spread"]) == pytest.approx(max(values) - min(values))


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (("metamorphic", "missing.svs"), 1, "missing.svs"),
        (("metamorphic", "missing.svs", "--shift-um", "5"), 2, "give X,Y in um"),
        (("staining", "."), 1, "no images.csv"),
    ],
)
def test_bad_input_is_one_line(words, code, word, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Cli(capsys).fails("validate", *words, "-o", tmp_path / "out", code=code, word=word)
    assert list(tmp_path.iterdir()) == []
