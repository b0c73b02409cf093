"""Published layouts become the fields that their documentation describes; bad ones are one clear line."""

import numpy as np
import pytest
from helpers.layouts import (
    NUCLS_CSV,
    NUCLS_NAME,
    make_conic,
    make_cryonuseg,
    make_lizard,
    make_monusac,
    make_nucls,
    make_pannuke,
    make_puma,
    pink,
    save_png,
)

from histome.datasets.declared import declaration_of, set_of
from histome.datasets.labelsets import label_set, members
from histome.datasets.published import LAYOUTS, load_labeled
from histome.errors import DataError

LEUKOCYTES = label_set("lymphocyte", "plasma_cell", "macrophage", "granulocyte")


def by_place(field):
    """Label set at each instance's center, by its center in whole label pixels."""
    return {
        tuple(np.round(xy).astype(int).tolist()): int(s)
        for xy, s in zip(field.points_px, field.sets[1:], strict=True)
    }


def test_pannuke_joins_its_channels_and_splits_by_tissue(tmp_path):
    first, empty = load_labeled("pannuke", make_pannuke(tmp_path))
    assert first.image.shape == (128, 128, 3)
    assert first.label_mpp == 0.25
    assert by_place(first) == {
        (20, 20): label_set("carcinoma_cell"),
        (65, 60): label_set("carcinoma_cell"),
        (105, 105): LEUKOCYTES,
    }
    assert (first.source, empty.source) == ("Breast", "Bile-duct")
    assert empty.labels.max() == 0
    assert empty.weight.min() == 255  # an empty patch says that there is nothing


def test_pannuke_arrays_may_lie_together(tmp_path):
    root = make_pannuke(tmp_path / "a")
    together = tmp_path / "b/fold1"
    together.mkdir(parents=True)
    for path in root.rglob("*.npy"):
        path.rename(together / path.name)
    assert len(list(load_labeled("pannuke", tmp_path / "b"))) == 2


def test_conic_classes_come_from_the_second_channel(tmp_path):
    first, second = load_labeled("conic", make_conic(tmp_path))
    assert by_place(first) == {(26, 26): label_set("plasma_cell"), (66, 66): label_set("granulocyte")}
    assert members(int(second.sets[1])) == ("endothelial_cell", "fibroblast", "other")
    assert first.source == second.source == "consep_1"
    assert first.label_mpp == 0.5


def test_lizard_classes_go_by_id_and_overlays_are_no_images(tmp_path):
    (field,) = load_labeled("lizard", make_lizard(tmp_path))
    assert by_place(field) == {(15, 15): label_set("granulocyte"), (55, 50): label_set("plasma_cell")}
    assert field.image.shape == (80, 100, 3)
    assert sorted(np.unique(field.labels)) == [0, 1, 2]


def test_nucls_boxes_are_ellipses_and_outside_the_region_nothing_is_known(tmp_path):
    (field,) = load_labeled("nucls", make_nucls(tmp_path))
    assert by_place(field) == {(20, 20): label_set("plasma_cell"), (70, 50): label_set("carcinoma_cell")}
    area = (field.labels == 2).sum()
    assert area == pytest.approx(np.pi * 20 * 10, rel=0.08)
    assert not field.shapes
    assert field.source == "TCGA-A1-A0SP"
    assert field.weight[50, 110] == 0
    assert field.weight[50, 90] == 255
    assert field.image.shape == (40, 48, 3)


def test_nucls_main_classes_do_where_there_are_no_raw_ones(tmp_path):
    table = "main_classification,type,xmin,ymin,xmax,ymax\nnonTILnonMQ_stromal,rectangle,10,10,30,30\n"
    (field,) = load_labeled("nucls", make_nucls(tmp_path, table))
    assert members(int(field.sets[1])) == ("endothelial_cell", "fibroblast")


def test_puma_polygons_in_parts_are_nuclei_of_their_own(tmp_path):
    (field,) = load_labeled("puma", make_puma(tmp_path))
    macrophage = label_set("macrophage")
    assert by_place(field) == {
        (30, 30): label_set("carcinoma_cell"),
        (80, 30): macrophage,
        (80, 80): macrophage,
    }
    assert field.label_mpp == 0.23
    assert (field.labels == 1).sum() == pytest.approx(400, rel=0.12)


def test_monusac_says_nothing_of_what_it_does_not_label(tmp_path):
    (field,) = load_labeled("monusac", make_monusac(tmp_path))
    assert by_place(field) == {
        (20, 30): label_set("carcinoma_cell", "epithelial_cell"),
        (60, 30): label_set("macrophage"),
    }
    assert field.label_mpp == 0.2
    assert field.source == "TCGA-5P-A9K0"
    assert field.weight[30, 20] == 255
    assert field.weight[30, 34] == 255  # within 1 um of the nucleus
    assert field.weight[30, 60] == 0  # a macrophage's outline is the whole cell
    assert field.weight[80, 20] == 0


@pytest.mark.slow
def test_a_real_monusac_file_is_read(data_dir, tmp_path):
    for end in ("svs", "xml"):
        (tmp_path / f"A9K0_1.{end}").write_bytes((data_dir("slides") / f"A9K0_1.{end}").read_bytes())
    (field,) = load_labeled("monusac", tmp_path)
    assert field.label_mpp == pytest.approx(0.19448)
    assert len(field.points_px) > 20
    darkness = [255 - field.image.mean(axis=2)[_near(field, xy)] for xy in field.points_px]
    assert np.mean(darkness) > 1.3 * (255 - field.image.mean())  # outlines lie on nuclei, not beside them


def _near(field, xy):
    x, y = (xy * field.label_mpp / 0.5).astype(int)
    return min(y, field.image.shape[0] - 1), min(x, field.image.shape[1] - 1)


def test_every_published_label_is_a_set_of_our_classes_or_none():
    for name in LAYOUTS:
        assert all(0 <= mask < 2**9 for mask in (declaration_of(name).labels or {}).values())
    direct = {members(mask) for name in LAYOUTS for mask in (declaration_of(name).labels or {}).values()}
    for name in ("plasma_cell", "granulocyte", "macrophage", "endothelial_cell"):
        assert (name,) in direct  # what the shipped data lack, a user's can teach


def test_labels_of_ones_own_are_our_classes():
    assert set_of("mine", "lymphocyte|plasma_cell") == label_set("lymphocyte", "plasma_cell")
    assert set_of("mine", "") == 0
    with pytest.raises(DataError, match="unknown label 'Lymphocyte'"):
        set_of("mine", "Lymphocyte")


def test_ones_own_folder_is_read_whatever_its_name(tmp_path):
    save_png(tmp_path / "images/a.png", pink(40, 40))
    labels = np.zeros((40, 40), np.uint16)
    labels[10:20, 10:20] = 1
    save_png(tmp_path / "instances/a.png", labels)
    (tmp_path / "images.csv").write_text(
        "image,file,instances,source,mpp\na,images/a.png,instances/a.png,p,0.5\n"
    )
    (tmp_path / "nuclei.csv").write_text("image,instance,x_px,y_px,label\na,1,15,15,plasma_cell\n")
    (field,) = load_labeled("mine", tmp_path)
    assert field.sets.tolist() == [0, label_set("plasma_cell")]
    (tmp_path / "images/a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        list(load_labeled("mine", tmp_path))
    save_png(tmp_path / "images/a.png", pink(40, 40))
    (tmp_path / "images.csv").write_text("image,file,instances,source\na,images/a.png,instances/a.png,p\n")
    with pytest.raises(DataError, match="no column mpp"):
        list(load_labeled("mine", tmp_path))


MAKERS = {
    "pannuke": make_pannuke,
    "conic": make_conic,
    "lizard": make_lizard,
    "nucls": make_nucls,
    "puma": make_puma,
    "monusac": make_monusac,
    "cryonuseg": make_cryonuseg,
}
# A file of each layout that is taken away, and the words that say so.
MISSING = {
    "pannuke": ("masks.npy", "no masks"),
    "conic": ("patch_info.csv", "which patch is whose"),
    "lizard": ("Lizard_Images1/*.png", "no image glas_1.png"),
    "nucls": ("rgb/*.png", "no image that can be read"),
    "puma": ("*.tif", "no image training_set_metastatic_roi_001.tif"),
    "monusac": ("*.tif", "no image that can be read"),
    "cryonuseg": ("label masks modify/*.tif", "no 'label masks modify/Human_Skin_01.tif'"),
}


def refused(name, folder, match):
    with pytest.raises(DataError, match=match) as caught:
        list(load_labeled(name, folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_missing_file_is_one_line(name, tmp_path):
    root = MAKERS[name](tmp_path)
    pattern, words = MISSING[name]
    for path in root.rglob(pattern):
        path.unlink()
    refused(name, root, words)


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_folder_is_not_taken_for_a_data_set(name, tmp_path):
    refused(name, tmp_path, "as it is published")


def test_wrong_shapes_are_one_line(tmp_path):
    root = make_pannuke(tmp_path / "pannuke")
    np.save(next(root.rglob("masks.npy")), np.zeros((2, 256, 256, 5)))
    refused("pannuke", root, r"shape \(2, 256, 256, 5\); expected \(2, 256, 256, 6\)")
    root = make_conic(tmp_path / "conic")
    np.save(root / "images.npy", np.zeros((3, 256, 256, 3), np.uint8))
    refused("conic", root, r"shape \(3, 256, 256, 3\); expected \(2")
    root = make_lizard(tmp_path / "lizard")
    save_png(root / "Lizard_Images1/glas_1.png", pink(60, 100))
    refused("lizard", root, "inst_map is")
    root = make_nucls(tmp_path / "nucls")
    save_png(root / f"mask/{NUCLS_NAME}.png", np.zeros((10, 10), np.uint8))
    refused("nucls", root, "expected")


def test_unknown_classes_are_one_line(tmp_path):
    refused("lizard", make_lizard(tmp_path / "l", codes=(1, 9)), "nucleus 9 has class 9")
    refused("nucls", make_nucls(tmp_path / "n", NUCLS_CSV.replace("tumor,", "mast_cell,", 1)), "'mast_cell'")
    refused("puma", make_puma(tmp_path / "p", "nuclei_mast_cell"), "'mast_cell'")
    refused("monusac", make_monusac(tmp_path / "m", ("Mast",)), "'mast'")


def test_broken_files_are_one_line(tmp_path):
    root = make_lizard(tmp_path / "l")
    next(root.rglob("*.mat")).write_bytes(b"MATLAB 5.0 not really")
    refused("lizard", root, "not one of Lizard's")
    root = make_puma(tmp_path / "p")
    next(root.rglob("*.geojson")).write_text('{"features": [{"properties": {}}]}')
    refused("puma", root, "classification")
    root = make_monusac(tmp_path / "m")
    next(root.rglob("*.xml")).write_text("<Annotations>")
    refused("monusac", root, "not an Aperio XML")
    root = make_pannuke(tmp_path / "pn")
    next(root.rglob("types.npy")).write_bytes(b"nothing")
    refused("pannuke", root, "cannot be read as an array")
    root = make_nucls(tmp_path / "n", NUCLS_CSV.replace("50,40,90,60", "50,40,,60"))
    refused("nucls", root, "no box")


def test_an_unknown_name_or_folder_is_one_line(tmp_path):
    refused("mine", tmp_path, "no images.csv")
    refused("pannuke", tmp_path / "nowhere", "no such folder")


def test_cryonuseg_is_the_biologists_first_round(tmp_path):
    (field,) = load_labeled("cryonuseg", make_cryonuseg(tmp_path))
    assert (field.source, field.label_mpp, len(field.sets)) == ("Human_Skin_01", 0.25, 3)
    assert not field.sets.any()
    assert field.points_px.tolist() == [[16, 16], [46, 46]]


def test_images_come_as_fine_as_they_are_asked_for(tmp_path):
    """PanNuke is at 0.25 um/px: at that scale its pixels are as published, not halved and enlarged."""
    root = make_pannuke(tmp_path)
    texture = np.random.default_rng(0).integers(0, 255, (2, 256, 256, 3)).astype(float)
    np.save(root / "Fold 1/images/fold1/images.npy", texture)
    half, whole = (next(load_labeled("pannuke", root, image_mpp=mpp)) for mpp in (0.5, 0.25))
    assert (half.image.shape, half.image_mpp) == ((128, 128, 3), 0.5)
    assert np.array_equal(whole.image, texture[0].astype(np.uint8))
