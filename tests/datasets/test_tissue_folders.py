"""Masks, polygons and folders of tiles, each as people keep them."""

import json

import numpy as np
import pytest
from PIL import Image

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_folders import load_labeled_maps
from histome.datasets.tissue_labels import LABEL_SETS, QUALITY_LABELS, TISSUE_LABELS
from histome.errors import DataError, UsageError


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def allowed(field, row, column, vocabulary=TISSUE_LABELS):
    members = vocabulary.table()[0][field.codes[row, column]]
    return {name for name, inside in zip(vocabulary.classes, members, strict=True) if inside}


def table(folder, columns, *rows):
    folder.mkdir(exist_ok=True)
    save(folder / "a.png", np.full((40, 60, 3), 180, np.uint8))
    lines = [f"image,file,source,mpp,{columns}", *(f"a,a.png,patient 1,{row}" for row in rows)]
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_mask_names_classes_by_their_place_and_follows_the_resolution(tmp_path):
    folder = table(tmp_path / "mine", "mask", "0.5,m.png")
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = TISSUE_CLASSES.index("STROMA") + 1
    save(folder / "m.png", mask)
    (field,) = load_labeled_maps("mine", folder, TISSUE_LABELS)
    assert field.codes.shape == field.image.shape[:2] == (20, 30)
    assert field.source == "patient 1"
    assert allowed(field, 10, 5) == set()
    assert allowed(field, 10, 20) == {"STROMA"}


def test_polygons_of_qupath_lie_where_they_were_drawn_the_smallest_on_top(tmp_path):
    def square(x, y, side, properties):
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "geometry": geometry, "properties": properties}

    small = square(20, 10, 10, {"classification": {"name": "CARCINOMA"}})
    large = square(0, 0, 40, {"label": "VESSEL+STROMA"})
    folder = table(tmp_path / "mine", "polygons", "1.0,p.geojson")
    (folder / "p.geojson").write_text(json.dumps({"features": [small, large]}))
    (field,) = load_labeled_maps("mine", folder, TISSUE_LABELS)
    assert allowed(field, 15, 25) == {"CARCINOMA"}
    assert allowed(field, 5, 5) == {"STROMA", "VESSEL"}
    assert allowed(field, 5, 50) == set()


def test_folders_are_labels_and_folders_in_them_sources(tmp_path):
    for place in ("MARKER/slide 1/a.png", "MARKER/slide 1/b.png", "VALID_TISSUE/c.jpg"):
        save(tmp_path / "q" / place, np.full((32, 32, 3), 90, np.uint8))
    fields = list(load_labeled_maps("q", tmp_path / "q", QUALITY_LABELS, mpp=2.0))
    assert [field.source for field in fields] == ["slide 1", "slide 1", "c"]
    assert fields[0].image.shape == (64, 64, 3)
    assert allowed(fields[0], 3, 3, QUALITY_LABELS) == {"MARKER"}


@pytest.mark.parametrize(
    ("name", "mpp", "labels"),
    [
        ("nct", None, {"TUM": {"CARCINOMA"}, "BACK": None, "MUS": {"OTHER", "STROMA"}}),
        ("starc9", 0.5, {"TUM": {"CARCINOMA"}, "NCS": {"NECROSIS"}, "FCT": {"STROMA", "VESSEL"}}),
    ],
)
def test_published_tiles_mean_what_their_data_set_declares(tmp_path, name, mpp, labels):
    for label in labels:
        save(tmp_path / name / label / f"{label}-1.png", np.full((32, 32, 3), 90, np.uint8))
    fields = {f.label: f for f in load_labeled_maps(name, tmp_path / name, TISSUE_LABELS, mpp)}
    assert fields.keys() == {label for label, names in labels.items() if names}
    assert fields["TUM"].image.shape == (16, 16, 3)
    assert all(allowed(field, 2, 2) == labels[label] for label, field in fields.items())


def test_what_cannot_be_read_is_one_line(tmp_path):
    def refused(match, name="mine", mpp=0.5):
        with pytest.raises(DataError, match=match) as caught:
            list(load_labeled_maps(name, tmp_path / name, TISSUE_LABELS, mpp))
        assert "\n" not in str(caught.value)

    refused("no such folder")
    (tmp_path / "mine").mkdir()
    refused("no folders that are labels")
    save(tmp_path / "mine/TUMOUR/a.png", np.full((8, 8, 3), 90, np.uint8))
    refused("um/px of its images is not known; pass --mpp", mpp=None)
    refused("unknown label 'TUMOUR'; known are CARCINOMA")
    table(tmp_path / "masks", "mask", "0.5,m.png")
    save(tmp_path / "masks/m.png", np.full((40, 60), 8, np.uint8))
    refused("must be one channel of 0", name="masks")


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "0", "250", "abc"])
def test_a_resolution_that_no_image_has_is_told_with_file_and_line(tmp_path, said):
    folder = table(tmp_path / "mine", "label", "0.5,STROMA", "0.5,STROMA")
    path = folder / "images.csv"
    path.write_text(path.read_text().replace("0.5,STROMA\n", f"{said},STROMA\n").replace(said, "0.5", 1))
    with pytest.raises(DataError) as caught:
        list(load_labeled_maps("mine", folder, TISSUE_LABELS))
    assert str(caught.value).startswith(f"{path}: line 3: mpp is '{said}'")
    assert "give the image's um/px there" in str(caught.value)


@pytest.mark.parametrize("mpp", [float("nan"), -1.0, 0.0, 250.0])
def test_a_resolution_given_that_no_image_has_is_refused(tmp_path, mpp):
    save(tmp_path / "STROMA/a.png", np.full((8, 8, 3), 90, np.uint8))
    with pytest.raises(UsageError, match=r"--mpp .* is implausible: give micrometers per pixel"):
        list(load_labeled_maps("mine", tmp_path, TISSUE_LABELS, mpp))


def test_every_set_of_classes_is_a_label_and_none_moves_another():
    assert list(TISSUE_LABELS.labels)[: len(LABEL_SETS)] == list(LABEL_SETS)
    assert TISSUE_LABELS.code("VESSEL|STROMA") == TISSUE_LABELS.code("STROMA+VESSEL")
    assert TISSUE_LABELS.code("STROMA|VESEL") is None
    assert len(TISSUE_LABELS.labels) < 256
