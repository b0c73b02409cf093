import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("efficientnet_lite_pytorch", reason="its encoder comes with the [train] extra")

from helpers.tiny_models import segmenter_model

from histome.classes import TISSUE_CLASSES
from histome.datasets import tissue_fields
from histome.datasets.tissue_fields import TissueField, load_tissue_fields
from histome.datasets.tissue_labels import CODES, LABEL_SETS, label_table
from histome.training.tissue import train as tissue

pytestmark = pytest.mark.slow

K = {name: k for k, name in enumerate(TISSUE_CLASSES)}


def field(code="tumor", *, size=64, data_set="wsss4luad", source="a", **more):
    image = np.random.default_rng(0).integers(100, 220, (size, size, 3)).astype(np.uint8)
    codes = np.full((size, size), CODES[code], np.uint8)
    return TissueField(data_set, source, source, "", image, codes, **more)


def loss_of(label, **probabilities):
    p = torch.full((1, 7, 1, 1), 1e-4)
    for name, value in probabilities.items():
        p[0, K[name]] = value
    table = tuple(torch.from_numpy(part) for part in label_table())
    codes = torch.full((1, 1, 1), CODES[label] if label else 0)
    return float(tissue.tissue_loss(torch.logit(p), codes, table, torch.zeros(7)))


def test_the_label_table_names_our_classes_only():
    allowed, preferred, weights = label_table()
    assert allowed.shape == (len(LABEL_SETS) + 1, 7)
    assert not allowed[0].any()
    assert not weights[0].any()
    assert (preferred <= allowed).all()
    for name, label in LABEL_SETS.items():
        assert {TISSUE_CLASSES[k] for k in np.flatnonzero(allowed[CODES[name]])} == set(label.allowed)


def test_any_class_of_the_set_satisfies_the_label_and_others_cost():
    assert loss_of("LYM", STROMA=0.999) == pytest.approx(loss_of("LYM", OTHER=0.999), abs=1e-3)
    assert loss_of("LYM", STROMA=0.999) < 0.01
    assert loss_of("LYM") > 5
    assert loss_of("LYM", STROMA=0.999, CARCINOMA=0.9) == pytest.approx(np.log(10), abs=0.02)


def test_what_a_set_prefers_is_cheaper():
    assert loss_of("debris", NECROSIS=0.999) < loss_of("debris", OTHER=0.999) - 1


def test_unlabeled_pixels_cost_nothing():
    assert loss_of(None, CARCINOMA=0.9) == 0


def test_the_nearest_point_within_reach_labels_a_pixel():
    points = np.array([[10.0, 10.0], [20.0, 10.0]])
    codes = tissue_fields.around_points((30, 40), points, np.array([3, 5], np.uint8), radius_px=6)
    assert codes[10, 12] == 3
    assert codes[10, 18] == 5
    assert codes[25, 30] == 0
    assert not tissue_fields.around_points((5, 5), np.zeros((0, 2)), np.zeros(0, np.uint8)).any()


def test_no_source_is_in_two_parts():
    fields = [field(source=f"s{k // 2}") for k in range(60)]
    split = tissue_fields.split_tissue_fields(fields)
    parts = {s: {f.part for f in split if f.source == s} for s in {f.source for f in split}}
    assert all(len(found) == 1 for found in parts.values())
    counts = [sum(f.part == part for f in split) for part in ("train", "tuning", "held-out")]
    assert counts == [38, 8, 14]
    assert [f.part for f in tissue_fields.split_tissue_fields(fields)] == [f.part for f in split]


def test_crops_keep_labels_on_their_pixels():
    # The left half is white and unlabeled, the right half dark and tumor: they must move together.
    image = np.full((200, 200, 3), 250, np.uint8)
    image[:, 100:] = 60
    codes = np.zeros((200, 200), np.uint8)
    codes[:, 100:] = CODES["tumor"]
    f = TissueField("wsss4luad", "a", "a", "train", image, codes)
    sampler = tissue.TissueSampler([f], tissue.TissueRecipe(crop_px=64))
    rng = np.random.default_rng(1)
    agreed = []
    for _ in range(20):
        crop, labels = sampler.crop(rng)
        assert crop.shape == (64, 64, 3)
        assert labels.shape == (32, 32)
        gray = crop[1::2, 1::2].mean(axis=2)
        if 0.1 < (labels > 0).mean() < 0.9:
            agreed.append(gray[labels > 0].mean() < gray[labels == 0].mean())
    assert len(agreed) > 3
    assert all(agreed)


def test_a_batch_depends_on_its_seed_alone():
    sampler = tissue.TissueSampler(
        [field(), field("tumor stroma", source="b")], tissue.TissueRecipe(crop_px=64)
    )
    first, again = (sampler.batch(np.random.default_rng(4)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_one_step_learns_and_a_checkpoint_resumes(tmp_path):
    torch.set_num_threads(1)
    recipe = tissue.TissueRecipe(steps=2, decay_steps=2, batch=2, crop_px=64)
    fields = [field(), field("tumor stroma", source="b")]
    whole = tissue.train_tissue(recipe, fields, tmp_path / "whole", every=2)
    half = tissue.TissueRecipe(steps=1, decay_steps=2, batch=2, crop_px=64)
    tissue.train_tissue(half, fields, tmp_path / "parts", every=1)
    assert (tmp_path / "parts" / "log.csv").read_text().startswith("step,seconds,loss")
    resumed = tissue.TissueTrainer(recipe, tmp_path / "parts")
    assert resumed.step == 1
    out = tissue.predict_tissue(whole, fields[0].image)
    assert out.shape == (7, 32, 32)
    assert ((out > 0) & (out < 1)).all()


def test_windows_cover_an_image_of_any_size(tmp_path):
    from histome.models.runtime import Network

    card = segmenter_model(tmp_path)
    predict = tissue.in_windows(Network(card, backend="cpu"))
    image = np.random.default_rng(0).integers(0, 255, (70, 150, 3)).astype(np.uint8)
    out = predict(image)
    assert out.shape == (7, 35, 75)
    assert (out > 0).all()


def test_real_fields_have_labels_and_parts(data_dir):
    fields = load_tissue_fields(data_dir("glas").parent, ("glas", "osteosarcoma"))
    assert {f.part for f in fields} == {"train", "tuning", "held-out"}
    patients = {
        part: {f.source for f in fields if f.part == part} for part in ("train", "tuning", "held-out")
    }
    assert not patients["train"] & patients["held-out"]
    assert all(f.codes.shape == f.image.shape[:2] for f in fields)
    assert {f.label for f in fields if f.part == "held-out" and f.data_set == "glas"} == {
        "benign",
        "malignant",
    }
