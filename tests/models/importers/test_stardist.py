"""Folders in the layout that StarDist's package writes, a network of four layers in them."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")
h5py = pytest.importorskip("h5py", reason="importing needs the [train] extra")

from helpers.cli import Cli

from histome.checks import check_model
from histome.errors import ModelError
from histome.models.importers import import_model, read_classes_map, stardist
from histome.models.importers.percentiles import percentiles, scale_by_percentiles
from histome.models.runtime import Network

pytestmark = pytest.mark.slow

RAYS, BASE = 8, 4
CONFIG = {
    "axes": "YXC",
    "n_channel_in": 3,
    "n_rays": RAYS,
    "grid": [2, 2],
    "backbone": "unet",
    "n_classes": None,
    "unet_n_depth": 1,
    "unet_kernel_size": [3, 3],
    "unet_n_filter_base": BASE,
    "unet_n_conv_per_depth": 2,
    "unet_pool": [2, 2],
    "unet_activation": "relu",
    "unet_last_activation": "relu",
    "unet_batch_norm": False,
    "unet_expansion": 2,
    "unet_prefix": "",
    "net_conv_after_unet": 6,
    "train_epochs": 400,
}
# Layers as Keras orders them, with their channels; the first two have no name of StarDist's.
LAYERS = {
    "conv2d": (3, BASE),
    "conv2d_1": (BASE, BASE),
    "down_level_0_no_0": (BASE, BASE),
    "down_level_0_no_1": (BASE, BASE),
    "middle_0": (BASE, 2 * BASE),
    "middle_2": (2 * BASE, BASE),
    "up_level_0_no_0": (2 * BASE, BASE),
    "up_level_0_no_2": (BASE, BASE),
    "features": (BASE, 6),
    "prob": (6, 1),
    "dist": (6, RAYS),
}
CLASS_LAYERS = {"features_class": (BASE, 6), "prob_class": (6, 6)}


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(stardist, "_WINDOW_PX", 96)
    monkeypatch.setattr(stardist, "_HALO_PX", 32)


def drawn_weights(layers=LAYERS):
    rng = np.random.default_rng(4)
    weights = {}
    for name, (inputs, outputs) in layers.items():
        side = 1 if name in ("prob", "dist", "prob_class") else 3
        kernel = rng.normal(0, 1 / np.sqrt(inputs * side**2), (side, side, inputs, outputs))
        weights[name] = (kernel.astype(np.float32), rng.normal(0.1, 0.1, outputs).astype(np.float32))
    return weights


def write_folder(folder, weights, config=CONFIG, *, suffix=":0"):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "thresholds.json").write_text(json.dumps({"prob": 0.6, "nms": 0.3}))
    with h5py.File(folder / "weights_best.h5", "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input", *weights)]
        file.create_group("input").attrs["weight_names"] = []
        for name, (kernel, bias) in weights.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{what}{suffix}".encode() for what in ("kernel", "bias")]
            group[f"{name}/kernel{suffix}"], group[f"{name}/bias{suffix}"] = kernel, bias
    return folder


def convolved(x, layer, *, relu=True):
    """(h, w, c) by a convolution of Keras with padding `same`, by hand."""
    kernel, bias = layer
    reach = kernel.shape[0] // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    y = sum(
        padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )
    return np.maximum(y + bias, 0) if relu else y + bias


def pooled(x):
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max((1, 3))


def by_hand(image, weights):
    """What Keras computes: logits of prob and of the classes, distances."""
    low, high = np.percentile(image, (1, 99.8))
    x = (image - low) / (high - low)
    x = pooled(convolved(convolved(x, weights["conv2d"]), weights["conv2d_1"]))
    skip = convolved(convolved(x, weights["down_level_0_no_0"]), weights["down_level_0_no_1"])
    x = convolved(convolved(pooled(skip), weights["middle_0"]), weights["middle_2"])
    x = np.concatenate([x.repeat(2, 0).repeat(2, 1), skip], -1)
    body = convolved(convolved(x, weights["up_level_0_no_0"]), weights["up_level_0_no_2"])
    features = convolved(body, weights["features"])
    heads = {name: convolved(features, weights[name], relu=False) for name in ("prob", "dist")}
    if "prob_class" in weights:
        other = convolved(body, weights["features_class"])
        heads["prob_class"] = convolved(other, weights["prob_class"], relu=False)
    return {name: np.moveaxis(value, -1, 0) for name, value in heads.items()}


def take(folder, out, classes="nucleus", **told):
    return import_model("stardist", folder, out, classes=read_classes_map(classes), license_="BSD-3", **told)


def outputs(card, image):
    return {name: a[0] for name, a in Network(card, precision="f32", backend="cpu")(image[None]).items()}


def an_image():
    return np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)


@pytest.mark.parametrize("suffix", [":0", ""], ids=["Keras 2", "Keras 3"])
def test_the_onnx_file_computes_what_keras_does(suffix, tmp_path):
    weights, image = drawn_weights(), an_image()
    card = take(write_folder(tmp_path / "2D", weights, suffix=suffix), tmp_path / "mine")
    assert (card.task, card.stride, card.n_rays, card.mpp) == ("star", 2, RAYS, 0.25)
    assert (card.thresholds.prob, card.thresholds.nms) == (0.6, 0.3)
    wanted, found = by_hand(image, weights), outputs(card, image)
    prob = 1 / (1 + np.exp(-wanted["prob"]))
    assert prob.std() > 0.01
    np.testing.assert_allclose(found["prob"], prob, atol=1e-5)
    np.testing.assert_allclose(found["dist"], np.maximum(wanted["dist"], 1e-3), atol=1e-5)
    np.testing.assert_allclose(found["classes"], np.concatenate([1 - prob, prob]), atol=1e-5)


def test_the_head_of_classes_and_a_scale_of_ones_own(tmp_path):
    weights, image = drawn_weights(LAYERS | CLASS_LAYERS), an_image()
    folder = write_folder(tmp_path / "2D", weights, CONFIG | {"n_classes": 5})
    card = take(folder, tmp_path / "mine", "pannuke", mpp=0.5)
    assert (card.mpp, card.cell_classes[0]) == (0.5, "carcinoma_cell")
    evidence = np.exp(by_hand(image, weights)["prob_class"])
    np.testing.assert_allclose(outputs(card, image)["classes"], evidence / evidence.sum(0), atol=1e-5)


def test_norms_and_other_depths_fit_the_names_of_keras():
    config = stardist.StarDistConfig.model_validate(
        CONFIG | {"unet_n_depth": 3, "grid": [4, 4], "unet_batch_norm": True, "net_conv_after_unet": 0}
    )
    net = stardist.StarDistNet(config).eval()
    assert len(net.grid) == 4
    assert len(net.norms) == 2 * 3 + 2 + 2 * 3
    with torch.no_grad():
        assert net(torch.rand(1, 3, 64, 64))["dist"].shape == (1, RAYS, 16, 16)


@pytest.mark.parametrize("share", [0.0, 1.0, 50.0, 99.8, 100.0])
def test_percentiles_are_those_of_numpy(share):
    rng = np.random.default_rng(2)
    for pixels in (rng.integers(0, 256, (7, 5, 3)), rng.integers(90, 93, (64, 64, 3)), np.full((4, 4), 255)):
        found = percentiles(torch.from_numpy(pixels).reshape(1, -1), share)
        assert float(found) == pytest.approx(np.percentile(pixels, share), abs=1e-4)


def test_one_color_is_scaled_to_nothing_that_is_not_finite():
    assert torch.isfinite(
        scale_by_percentiles(torch.full((1, 8, 8, 3), 255, dtype=torch.uint8), 1, 99.8)
    ).all()


def test_the_checks_run(tmp_path):
    take(write_folder(tmp_path / "2D", drawn_weights()), tmp_path / "mine")
    findings = {finding.name: finding.fine for finding in check_model(tmp_path / "mine")}
    # Random weights find nuclei anywhere, and each window is scaled by itself.
    assert {name for name, fine in findings.items() if not fine} <= {"seam", "blank", "edge"}
    assert findings["reference"]


def test_the_command_says_what_each_class_is_counted_as(tmp_path, capsys):
    folder = write_folder(tmp_path / "2D", drawn_weights(LAYERS | CLASS_LAYERS), CONFIG | {"n_classes": 5})
    words = ("stardist", folder, "-o", tmp_path / "mine", "--classes", "pannuke", "--license", "MIT")
    code, out, _ = Cli(capsys)("models", "import", *words)
    assert code in (0, 1)  # what the checks say of random weights
    assert "class 1 of the network, neoplastic, is counted as carcinoma_cell" in out
    assert "class 5 of the network, non-neoplastic epithelial, is counted as epithelial_cell" in out


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no folder", "give the folder that holds config.json"),
        ("no weights", "holds no weights in HDF5"),
        ("two", "holds 2 files of weights"),
        ("truncated", "damaged, or not HDF5"),
        ("no config", "config.json: cannot be read"),
        ("gray", "no StarDist 2D of RGB images: axes"),
        ("layer", "it lacks named.middle_2.weight"),
        ("more", "it also has named.extra.weight"),
        ("rays", "has another shape of named.dist.weight"),
        ("classes", "has 1 classes besides background"),
        ("keras 3", "holds no weights by layer"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path):
    weights, folder = drawn_weights(), tmp_path / "2D"
    if what == "layer":
        del weights["middle_2"]
    if what == "more":
        weights["extra"] = weights["prob"]
    changes = {"gray": {"axes": "YX", "n_channel_in": 1}, "rays": {"n_rays": 16}}
    write_folder(folder, weights, CONFIG | changes.get(what, {}))
    file = folder / "weights_best.h5"
    if what == "truncated":
        file.write_bytes(file.read_bytes()[:2000])
    if what == "keras 3":
        with h5py.File(file, "w") as empty:
            empty.create_group("layers")
    if what in ("no weights", "two"):
        file.rename(folder / ("weights.bin" if what == "no weights" else "weights_a.h5"))
        (folder / ("weights_b.h5" if what == "two" else "other.bin")).write_bytes(b"")
    if what == "no config":
        (folder / "config.json").unlink()
    given = file if what == "no folder" else folder
    with pytest.raises(ModelError, match=said) as caught:
        take(given, tmp_path / "mine", "pannuke" if what == "classes" else "nucleus")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir() if each != folder] == []
