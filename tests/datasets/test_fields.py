"""Loading of labeled fields from small made copies of the folders' layouts."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from histome.datasets.fields import load_fields
from histome.datasets.labelsets import label_set
from histome.datasets.splits import HELD_OUT, TUNING, split_fields


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
    tuning = {s for names in TUNING.values() for s in names}
    held_out = {s for names in HELD_OUT.values() for s in names}
    assert not tuning & held_out


def test_a_held_out_source_is_kept_out_of_training_in_every_data_set(instances):
    (field,) = load_fields(instances, "consep")
    other = replace(field, data_set="tnbc", source=HELD_OUT["monuseg"][0])
    split = split_fields([field, other])
    assert split.train == [field]
    assert split.held_out == [other]
