import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("efficientnet_lite_pytorch", reason="its encoder comes with the [train] extra")

from helpers.tiny_models import segmenter_model
from helpers.tissue_models import segmenter_card

from histome.classes import TISSUE_CLASSES
from histome.datasets import tissue_fields
from histome.datasets.tissue_fields import TissueField, load_tissue_fields
from histome.datasets.tissue_labels import CODES, TISSUE_LABELS
from histome.models.onnx_export import export_onnx
from histome.models.runtime import weights_sha256
from histome.training.checkpoint import load_average, write_average
from histome.training.tissue import crops
from histome.training.tissue import train as tissue
from histome.training.tissue.network import TissueExport, TissueNetwork, smooth_network_of

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
    table = tuple(torch.from_numpy(part) for part in TISSUE_LABELS.table())
    codes = torch.full((1, 1, 1), CODES[label] if label else 0)
    return float(tissue.tissue_loss(torch.logit(p), codes, table, torch.zeros(7)))


def test_the_label_table_names_our_classes_only():
    allowed, preferred, weights = TISSUE_LABELS.table()
    assert allowed.shape == (len(TISSUE_LABELS.labels) + 1, 7)
    assert not allowed[0].any()
    assert not weights[0].any()
    assert (preferred <= allowed).all()
    for name, label in TISSUE_LABELS.labels.items():
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


def pairs_recipe(**changes):
    defaults = {"steps": 2, "decay_steps": 2, "batch": 4, "crop_px": 64, "reach_px": 32, "smooth": True}
    return tissue.TissueRecipe(**defaults | {"consistency": 1.0} | changes)


def test_two_views_lie_where_their_places_say(monkeypatch):
    # Without colors of their own, what both show is the same to the pixel; codes say which pixel it is.
    monkeypatch.setattr(crops, "appearance", lambda image, rng: image)
    sampler = tissue.TissueSampler([field(size=200)], pairs_recipe())
    for seed in range(6):
        image, _, seen, places = sampler.batch(np.random.default_rng(seed))
        assert seen.all()
        planes = image[:, 1::2, 1::2].permute(0, 3, 1, 2)
        for k, (ax, ay, bx, by, turns, flip) in enumerate(places.tolist()):
            second = crops.upright(image[2 * k + 1].permute(2, 0, 1), turns, flip)
            second = second[:, 1::2, 1::2]
            a = tissue._common(planes[2 * k], bx - ax, by - ay)
            b = tissue._common(second, ax - bx, ay - by)
            assert a.shape[1] >= 16
            assert torch.equal(a, b)


def test_views_that_say_the_same_of_a_place_do_not_differ():
    canvas = torch.randn(1, 7, 48, 48)
    a, b = canvas[:, :, 4:36, 2:34], canvas[:, :, 10:42, 16:48]
    turned = torch.rot90(b, 1, (-2, -1)).flip(-1)
    places, seen = torch.tensor([[2, 4, 16, 10, 1, 1]]), torch.ones(2, 32, 32)
    logits = torch.cat([a, turned])
    assert tissue.disagreement(logits, seen, places) == pytest.approx(0.0, abs=1e-5)
    assert tissue.disagreement(torch.cat([a, turned.flip(-1)]), seen, places) > 0.1
    # The mean of 0.5 and 0.75 is 0.625: 0.03158 nats from the one, 0.03810 from the other; seven classes.
    flat = torch.stack([torch.zeros(7, 32, 32), torch.full((7, 32, 32), np.log(3.0))])
    assert tissue.disagreement(flat, seen, places) == pytest.approx(7 * (0.03158 + 0.03810) / 2, abs=1e-3)
    assert tissue.disagreement(flat, torch.zeros(2, 32, 32), places) == 0


def test_tissue_that_ends_on_glass_is_not_labeled_there():
    sampler = tissue.TissueSampler([field(size=200)], pairs_recipe(glass=1.0))
    _, codes, seen, _ = sampler.batch(np.random.default_rng(3))
    assert 0.1 < seen.float().mean() < 0.95
    assert not codes[seen == 0].any()
    assert (codes[seen > 0] > 0).all()


def test_the_smooth_network_begins_as_the_model_that_it_is_made_of(tmp_path):
    torch.manual_seed(0)
    net = TissueNetwork(pretrained=False).eval()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    export_onnx(TissueExport(net), str(tmp_path / "model.onnx"), 64, ["probabilities"])
    sha256 = weights_sha256(tmp_path / "model.onnx")
    smooth = smooth_network_of(segmenter_card(window_px=64, sha256=sha256).at(tmp_path))
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in smooth.modules())
    smooth.upsampling = "nearest"
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.allclose(net(image), smooth.eval()(image), atol=1e-3)


def test_pairs_are_learned_from_and_a_start_is_taken_up(tmp_path):
    torch.set_num_threads(1)
    start = TissueNetwork(pretrained=False, smooth=True)
    write_average(start, tmp_path / "start")
    fields = [field(), field("tumor stroma", source="b")]
    trainer = tissue.TissueTrainer(pairs_recipe(), tmp_path / "new", start=tmp_path / "start")
    assert torch.equal(trainer.net.head.weight, start.head.weight)
    tissue.train_tissue(pairs_recipe(), fields, tmp_path / "run", every=2, start=tmp_path / "start")
    assert (tmp_path / "run" / "log.csv").read_text().startswith("step,seconds,loss,apart")
    assert load_average(tmp_path / "run" / "settled").keys() == start.state_dict().keys()


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
    mix = np.linspace(-0.01, 0.01, 21).reshape(7, 3)
    expected = 1 / (1 + np.exp(-np.einsum("kc,ijc->kij", mix, image[::2, ::2])))
    assert np.abs(out - expected).max() < 0.5 / 255 + 1e-4


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
