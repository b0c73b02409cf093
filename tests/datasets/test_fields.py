"""Loading of labeled fields from small made copies of the folders' layouts."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histome.datasets.declaration import tcga_patient
from histome.datasets.declared import DECLARED, declaration_of
from histome.datasets.fields import load_fields, resize_image
from histome.datasets.labelsets import label_set
from histome.datasets.splits import split_fields
from histome.errors import DataError


def _write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def instances(tmp_path):
    labels = np.zeros((100, 120), np.uint16)
    labels[20:40, 30:50] = 1
    labels[60:70, 80:100] = 2
    _write(tmp_path / "images/a.png", np.full((100, 120, 3), 200, np.uint8))
    _write(tmp_path / "instances/a.png", labels)
    (tmp_path / "images.csv").write_text(
        "image,file,instances,organ,source,mpp,nuclei\na,images/a.png,instances/a.png,colon,p1,0.25,2\n"
    )
    (tmp_path / "nuclei.csv").write_text("image,instance,x_px,y_px,label\na,1,40,30,healthy epithelial\n")
    return tmp_path


def test_an_instance_field_has_half_the_pixels_and_exact_centers(instances):
    (field,) = load_fields(instances, "consep")
    assert field.image.shape == (50, 60, 3)
    assert field.labels.shape == (100, 120)
    np.testing.assert_allclose(field.points_px, [[40, 30], [90, 65]])
    assert field.sets.tolist() == [0, label_set("epithelial_cell"), 0]
    assert field.depth[30, 40] == 255
    assert field.depth[20, 30] < 40
    assert field.depth[5, 5] == 0


def test_an_image_of_another_size_than_its_labels_is_named(instances):
    _write(instances / "images/a.png", np.full((50, 60, 3), 200, np.uint8))
    with pytest.raises(DataError, match=r"images/a.png: has 60 x 50 px and its instances.*120 x 100 px"):
        list(load_fields(instances, "consep"))


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("images.csv", (",0.25,", ",,"), "line 2: mpp is ''; give the image's um/px there"),
        ("images.csv", (",0.25,", ",0,"), "line 2: mpp is '0', not from 0.05 to 5; give"),
        ("images.csv", (",0.25,", ",nan,"), "line 2: mpp is 'nan', not from 0.05 to 5; give"),
        ("images.csv", (",0.25,", ",250,"), "line 2: mpp is '250', not from 0.05 to 5; give"),
        (
            "nuclei.csv",
            ("\na,1,", "\nb,1,"),
            "line 2: images.csv has no image 'b'; 1 of 1 nuclei are of images",
        ),
        (
            "nuclei.csv",
            ("a,1,", "a,3,"),
            "line 2: instance 3 has no pixel in instances/a.png; 1 of the 1 nuclei",
        ),
        (
            "nuclei.csv",
            ("a,1,", "a,0,"),
            "line 2: instance 0 has no pixel in instances/a.png; 1 of the 1 nuclei",
        ),
        (
            "nuclei.csv",
            ("\na", "\na,1,0,0,healthy epithelial\na"),
            "line 3: instance 1 of 'a' is named twice; leave one line",
        ),
        ("nuclei.csv", ("a,1,", "a,one,"), "line 2: instance is 'one'; give its number there"),
        ("nuclei.csv", ("healthy", "hale"), "line 2: consep: unknown label 'hale epithelial'; known are"),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_file_and_line(instances, table, change, said):
    path = instances / table
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DataError) as caught:
        list(load_fields(instances, "consep"))
    assert str(caught.value).startswith(f"{path}: {said}")


def test_nuclei_that_have_no_pixel_are_counted(instances):
    """One lies below another: the rest of its image teaches, and it is no reason to refuse it."""
    with (instances / "nuclei.csv").open("a") as file:
        file.write("a,2,90,65,healthy epithelial\na,3,90,65,healthy epithelial\n")
    (field,) = load_fields(instances, "consep")
    assert field.unseen == 1
    assert field.sets.tolist() == [0, label_set("epithelial_cell"), label_set("epithelial_cell")]


@pytest.mark.parametrize("wrong", ["colors", "nan", "below", "above"])
def test_instances_that_are_no_numbers_are_named(instances, wrong):
    labels = np.asarray(Image.open(instances / "instances/a.png")).astype(np.float32)
    labels[0, 0] = {"nan": np.nan, "below": -3, "above": 2e9}.get(wrong, 0)
    path = (instances / "instances/a.png").with_suffix(".tif")
    _write(path, np.stack([labels] * 3, 2).astype(np.uint8) if wrong == "colors" else labels)
    table = instances / "images.csv"
    table.write_text(table.read_text().replace("instances/a.png", "instances/a.tif"))
    with pytest.raises(
        DataError, match=r"instances/a\.tif: is no label image; give one channel of whole numb"
    ):
        list(load_fields(instances, "consep"))


@pytest.mark.parametrize("name", ["images/a.png", "instances/a.png"])
def test_an_image_that_is_cut_short_is_named(instances, name):
    """Pillow says that a file is truncated, and not which."""
    path = instances / name
    path.write_bytes(path.read_bytes()[:60])  # its header alone
    with pytest.raises(DataError, match=rf"{name}: cannot be read as an image \("):
        list(load_fields(instances, "consep"))


def test_a_point_without_a_place_is_told_with_file_and_line(tmp_path):
    _write(tmp_path / "images/a.png", np.full((100, 100, 3), 200, np.uint8))
    (tmp_path / "images.csv").write_text("image,file,organ,source,mpp\na,images/a.png,colon,a,0.55\n")
    (tmp_path / "nuclei.csv").write_text(
        "image,instance,x_px,y_px,label\na,1,5,5,inflammatory\na,2,,5,inflammatory\n"
    )
    with pytest.raises(DataError, match=r"nuclei\.csv: line 3: x_px is ''; give a number there"):
        list(load_fields(tmp_path, "crchistophenotypes"))


@pytest.mark.parametrize("x", ["nan", "inf", "1e30", "-1", "101"])
def test_a_point_outside_of_its_image_is_told_with_file_and_line(tmp_path, x):
    _write(tmp_path / "images/a.png", np.full((100, 100, 3), 200, np.uint8))
    (tmp_path / "images.csv").write_text("image,file,organ,source,mpp\na,images/a.png,colon,a,0.55\n")
    (tmp_path / "nuclei.csv").write_text(f"image,instance,x_px,y_px,label\na,1,{x},5,inflammatory\n")
    with pytest.raises(DataError) as caught:
        list(load_fields(tmp_path, "crchistophenotypes"))
    told = (
        f"{tmp_path}/nuclei.csv: line 2: ({x}, 5) is outside of {tmp_path}/images/a.png with its 100 x 100 px"
    )
    assert str(caught.value).startswith(told)


def test_points_are_sure_near_and_far_and_unknown_between(tmp_path):
    _write(tmp_path / "images/a.png", np.full((100, 100, 3), 200, np.uint8))
    (tmp_path / "images.csv").write_text(
        "image,file,instances,organ,source,mpp\na,images/a.png,,colon,a,0.55\n"
    )
    (tmp_path / "nuclei.csv").write_text("image,instance,x_px,y_px,label\na,1,50.5,50.5,inflammatory\n")
    (field,) = load_fields(tmp_path, "crchistophenotypes")
    assert not field.shapes
    assert field.weight[50, 50] > 0
    assert field.weight[50, 58] == 0  # 4.4 um away: nobody said
    assert field.weight[50, 80] > 0  # 16 um away: background
    assert field.depth[50, 80] == 0


def test_semantic_components_say_nothing_about_what_lies_between(tmp_path):
    classes = np.zeros((60, 60), np.uint8)
    classes[10:20, 10:20] = 2
    classes[30:50, 30:50] = 4
    _write(tmp_path / "images/a.png", np.full((60, 60, 3), 200, np.uint8))
    _write(tmp_path / "classes/a.png", classes)
    (tmp_path / "images.csv").write_text(
        "image,file,classes,organ,source,mpp\na,images/a.png,classes/a.png,lung,p,0.25\n"
    )
    (field,) = load_fields(tmp_path, "monusac")
    assert field.weight.max() == 0
    assert sorted(field.sets[1:].tolist()) == sorted([label_set("lymphocyte"), label_set("macrophage")])


def test_no_source_is_in_two_parts_whatever_the_data_set():
    for each in DECLARED.values():
        assert not set(each.tuning) & set(each.held_out)
    tuning = {tcga_patient(s) for each in DECLARED.values() for s in each.tuning}
    held_out = {tcga_patient(s) for each in DECLARED.values() for s in each.held_out}
    assert tuning & held_out == {None}


def test_a_held_out_source_is_kept_out_of_training_in_every_data_set(instances):
    (field,) = load_fields(instances, "consep")
    other = replace(field, data_set="tnbc", source=declaration_of("monuseg").held_out[0])
    split = split_fields([field, other])
    assert split.train == [field]
    assert split.held_out == [other]


def test_resizing_keeps_the_extent_and_the_mean():
    image = np.random.default_rng(1).integers(0, 255, (100, 60, 3), np.uint8)
    coarse = resize_image(image, 0.25, 0.5)
    assert coarse.shape == (50, 30, 3)
    assert coarse.mean() == pytest.approx(image.mean(), abs=1)
    assert resize_image(image, 0.5, 0.25).shape == (200, 120, 3)


def test_points_of_a_partly_labeled_set_say_nothing_of_what_lies_far(tmp_path):
    _write(tmp_path / "images/a.png", np.full((100, 100, 3), 200, np.uint8))
    (tmp_path / "images.csv").write_text("image,file,organ,source,mpp\na,images/a.png,Breast,p,0.25\n")
    (tmp_path / "nuclei.csv").write_text("image,instance,x_px,y_px,label\na,1,50.5,50.5,sTIL\n")
    (field,) = load_fields(tmp_path, "nucls15")
    assert field.weight[50, 50] > 0
    assert field.weight[5, 5] == 0
    assert field.sets.tolist() == [0, label_set("lymphocyte", "plasma_cell")]


def test_the_source_is_what_the_data_set_declares(instances):
    rows = (instances / "images.csv").read_text().replace("colon", "Testis")
    (instances / "images.csv").write_text(rows)
    (instances / "nuclei.csv").write_text("image,instance,x_px,y_px,label\na,1,40,30,Neoplastic\n")
    (field,) = load_fields(instances, "pannuke_figures")
    assert field.source == "Testis"
    assert field.sets.tolist() == [0, label_set("carcinoma_cell"), 0]
