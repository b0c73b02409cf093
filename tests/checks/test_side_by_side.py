"""Two detectors of drawn ellipses: what both find, what one misses and what they call otherwise."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import pytest
from helpers.cli import Cli
from helpers.drawn_nuclei import RED_PER_CLASS, DrawnNetwork, Ellipse, draw, drawn_card
from helpers.tiny_models import dark_detector, segmenter_model
from PIL import Image

from histome.checks.side_by_side import ComparedField, compare_models, fields_of_folder, fields_of_slide
from histome.classes import CELL_CLASSES
from histome.errors import DataError

MPP = 0.5
# Nine ellipses of 4 um radius: three of each of three classes.
ELLIPSES = [Ellipse(30 + 40 * x, 30 + 40 * y, code=(5, 6, 7)[y]) for x in range(3) for y in range(3)]


@dataclass(frozen=True)
class Careless(DrawnNetwork):
    """Overlooks what is of class 7 and takes class 5 for class 6."""

    def __call__(self, image, /):
        red, seen = image[..., 0], image.copy()
        seen[red == RED_PER_CLASS * 8] = 255
        seen[red == RED_PER_CLASS * 6] = (RED_PER_CLASS * 7, 40, 160)
        return super().__call__(seen)


@pytest.fixture
def pixels():
    with draw((300, 300), ELLIPSES) as slide:
        return slide.read(0, 0, size=(300, 300))


def rows_of(sections, name, key):
    (section,) = (each for each in sections if each.name == name)
    return {row[key]: row for row in section.rows}


def compared(pixels, labeled=None):
    careless = Careless(drawn_card(name="careless"))
    fields = [ComparedField(f"field {k}", pixels, MPP, labeled) for k in range(2)]
    return compare_models((DrawnNetwork(), careless), fields, draws=50)


def test_what_both_find_and_how_they_call_it(pixels):
    sections = compared(pixels)
    outlines = rows_of(sections, "outlines", "measure")
    # Of nine six are found, with the same outlines: F1 = 12 / 15, and PQ is as much.
    assert outlines["detection F1"]["value"] == pytest.approx(0.8)
    assert outlines["pq"]["value"] == pytest.approx(0.8)
    assert outlines["detection F1"]["n"] == 2
    classes = rows_of(sections, "classes", "measure")
    # Half of the pairs agree; by chance half would, for one model has one class only.
    assert classes["same class"]["value"] == pytest.approx(0.5)
    assert classes["Cohen's kappa"]["value"] == pytest.approx(0.0)
    (confusion,) = (each for each in sections if each.name == "confusion")
    counts = {(row["row"], row["column"]): row["n"] for row in confusion.rows if row["n"]}
    assert counts == {(CELL_CLASSES[5], CELL_CLASSES[6]): 6, (CELL_CLASSES[6], CELL_CLASSES[6]): 6}
    found = rows_of(sections, "found", "class")
    assert (found["all"]["drawn"], found["all"]["careless"]) == (18, 12)


def test_pictures_show_who_is_alone_and_what_is_called_otherwise(pixels):
    (section,) = (each for each in compared(pixels) if each.pictures)
    caption, uri = section.pictures[0]
    assert caption == "field 0: 6 by both, 3 of them with two classes; 3 by drawn alone, 0 by careless alone"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), int)

    def share(color):
        return (np.abs(picture - color).max(2) < 60).mean()

    assert share((0, 229, 255)) > 0.002
    assert share((255, 221, 51)) > 0.002
    assert share((120, 255, 60)) == 0


def test_models_that_agree_have_no_pictures(pixels):
    two = (DrawnNetwork(), DrawnNetwork())
    sections = compare_models(two, [ComparedField("field", pixels, MPP)], draws=50)
    assert not any(each.pictures for each in sections)
    assert rows_of(sections, "classes", "measure")["Cohen's kappa"]["value"] == pytest.approx(1.0)
    assert {"drawn (first)", "drawn (second)"} <= set(rows_of(sections, "found", "class")["all"])


def labeled_folder(root, pixels):
    """The drawn field in our own layout, all nine nuclei labeled."""
    root.mkdir()
    labels = np.zeros(pixels.shape[:2], np.uint16)
    y, x = (np.mgrid[:300, :300] + 0.5) * MPP
    lines = ["image,instance,x_px,y_px,label"]
    for k, e in enumerate(ELLIPSES, start=1):
        labels[(x - e.x_um) ** 2 + (y - e.y_um) ** 2 <= e.a_um**2] = k
        lines.append(f"one,{k},{e.x_um / MPP},{e.y_um / MPP},{CELL_CLASSES[e.code]}")
    Image.fromarray(pixels).save(root / "one.png")
    Image.fromarray(labels).save(root / "labels.png")
    (root / "images.csv").write_text("image,file,instances,source,mpp\none,one.png,labels.png,slide,0.5\n")
    (root / "nuclei.csv").write_text("\n".join(lines) + "\n")
    return root


def test_labels_judge_both(tmp_path, pixels):
    folder = labeled_folder(tmp_path / "mine", pixels)
    (field,) = fields_of_folder(folder, mpp=None, to_mpp=MPP, labels="mine")
    careless = Careless(drawn_card(name="careless"))
    sections = compare_models((DrawnNetwork(), careless), [field], draws=50)
    assert sections[0].name == "labels"
    f1 = {row["judge"]: row["value"] for row in sections[0].rows if row["measure"] == "detection_f1"}
    assert f1 == {"drawn": 1.0, "careless": pytest.approx(0.8)}
    (unjudged,) = fields_of_folder(folder, mpp=None, to_mpp=MPP)
    assert unjudged.labeled is None


def test_a_large_field_is_cut_into_even_ones(tmp_path, pixels):
    Image.fromarray(np.tile(pixels, (1, 5, 1))).save(tmp_path / "long.png")
    fields = list(fields_of_slide(tmp_path / "long.png", mpp=MPP, side_um=2000))
    assert [field.pixels.shape for field in fields] == [(300, 750, 3)] * 2
    assert [field.name for field in fields] == ["long 0,0", "long 750,0"]


def test_glass_is_nothing_to_compare():
    glass = np.full((300, 300, 3), 255, np.uint8)
    with pytest.raises(DataError, match="neither model finds a cell"):
        compare_models((DrawnNetwork(), DrawnNetwork()), [ComparedField("glass", glass, MPP)])


def test_the_command_writes_one_page(tmp_path, pixels, capsys):
    for name, darkest in (("one", 150.0), ("other", 70.0)):
        dark_detector(tmp_path / name, darkest=darkest)
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "a.png")
    words = ("models", "compare", tmp_path / "one", tmp_path / "other", "-o", tmp_path / "out")
    code, _, err = Cli(capsys)(*words, "--fields", folder, "--mpp", MPP)
    assert code == 0, err
    page = (tmp_path / "out/index.html").read_text()
    assert "one and other, side by side" in page
    assert (tmp_path / "out/outlines.csv").is_file()
    cli = Cli(capsys)
    cli.fails(*words, code=2, word="give --fields")
    cli.fails(*words, "--fields", tmp_path / "no", code=1, word="no folder with images")
    segmenter_model(tmp_path / "tissue")
    other = ("models", "compare", tmp_path / "one", tmp_path / "tissue", "-o", tmp_path / "out2")
    cli.fails(*other, "--fields", folder, code=1, word="this model is a segmenter")
    assert not (tmp_path / "out2").exists()
