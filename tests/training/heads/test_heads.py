"""Heads on an encoder's maps: the maps, what is learned, what stays, what comes back after a kill."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.labeled_discs import labeled_discs
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from helpers.resumed import assert_went_on, kept

from histome.checks import check_model
from histome.classes import CELL_CLASSES
from histome.cli import app
from histome.errors import UsageError
from histome.models.card import load_card
from histome.models.reference import reference_window
from histome.models.runtime import Network
from histome.training.encoders.network import PlainEncoder
from histome.training.heads.cells import HeadPlan, class_losses, train_cells
from histome.training.heads.lora import add_lora, merge_lora, tuned_maps
from histome.training.heads.maps import STRIDES, FrozenMaps, color_maps, open_maps, plain_maps
from histome.training.heads.network import OnEncoder
from histome.training.heads.train import HeadRecipe, set_dice_loss, train_head
from histome.training.networks import scale_pixels
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.train import Recipe
from histome.training.tissue.from_labels import MapPlan, train_maps

RECIPE = HeadRecipe(steps=60, decay_steps=10, width=8, learning_rate=0.05, ema=0.5)
PLAN = HeadPlan("color-histogram", steps=2, window_px=128, crop_px=64, batch=2, device="cpu")


class Halves:
    """Images whose left half is red and whose right half is blue or the other way round; codes say which."""

    def __init__(self, fail_at=None):
        self.calls, self.fail_at = 0, fail_at

    def batch(self, rng):
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        image, codes = np.zeros((2, 64, 64, 3), np.uint8), np.zeros((2, 32, 32), np.int64)
        for k in range(2):
            first = int(rng.integers(2))
            image[k, :, :32, 2 * first], image[k, :, 32:, 2 * (1 - first)] = 200, 200
            codes[k, :, :16], codes[k, :, 16:] = first, 1 - first
        return [torch.from_numpy(image), torch.from_numpy(codes)]


def cross_entropy(logits, known):
    return {"loss": torch.nn.functional.cross_entropy(logits, known[0])}


def color_head(seed=0):
    torch.manual_seed(seed)
    return OnEncoder(open_maps("color-histogram"), 2, 8)


def plain_head(seed=0):
    torch.manual_seed(seed)
    return OnEncoder(plain_maps(PlainEncoder((4, 8, 8, 8, 8), (1, 1, 1, 1, 1)), "small"), 2, 8)


@pytest.mark.parametrize("name", ["color-histogram", "imagenet-efficientnet-lite0", "random-vit-tiny"])
def test_an_encoder_has_four_maps_and_learns_nothing(name):
    maps = open_maps(name)
    maps.train()
    with torch.no_grad():
        found = maps(torch.full((1, 3, 96, 64), 128.0))
    assert [tuple(one.shape[2:]) for one in found] == [(96 // stride, 64 // stride) for stride in STRIDES]
    assert tuple(one.shape[1] for one in found) == maps.channels
    assert not any(parameter.requires_grad for parameter in maps.parameters())
    assert not any(module.training for module in maps.modules())


def test_maps_of_colors_are_shares_of_pixels():
    pixels = torch.zeros(1, 3, 32, 32)
    pixels[0, 0, :2, :4] = 255.0
    fine, coarse = color_maps(pixels)[0][0], color_maps(pixels)[3][0]
    assert fine[[0, 15], 0, 0].tolist() == [0.5, 0.5]  # red of the first 16 pixels: half 0, half 255
    assert fine[[0, 15], 7, 7].tolist() == [1.0, 0.0]
    assert coarse[15, 0, 0].item() == pytest.approx(8 / 1024)
    assert coarse.sum().item() == pytest.approx(3.0)


def test_a_transformer_of_transformers_is_read_without_its_class_token():
    transformers = pytest.importorskip("transformers")
    from histome.encoders import EncoderCard
    from histome.training.heads.maps import _of_transformers

    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32,
        patch_size=8,
    )  # fmt: skip
    network = transformers.ViTModel(config, add_pooling_layer=False)
    maps = FrozenMaps(network, _of_transformers(network, EncoderCard(name="v", publisher="me")), "v")
    pixels = torch.rand(1, 3, 64, 64) * 255
    assert maps.channels == (16, 16, 16, 16)
    with torch.no_grad():
        whole = network(
            (pixels / 255 - 0.45) / 0.225, interpolate_pos_encoding=True, output_hidden_states=True
        )
        assert maps.read(pixels)[3].shape == (1, 16, 8, 8)
    assert len(whole.hidden_states[4][0]) == 65


def test_an_encoder_of_vectors_alone_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\npublisher = "me"\ndimension = 4\nmpp = 0.5\ninput_px = 32\nfile = "none.onnx"\n'
    )
    with pytest.raises(UsageError):
        open_maps(str(tmp_path / "mine.toml"))


def test_dice_by_hand():
    probability = torch.tensor([[[[0.8, 0.4, 0.9]], [[0.2, 0.6, 0.1]]]])
    member = torch.tensor([[[[1.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]]]])  # the last pixel may be both
    weight = torch.ones(1, 1, 3)
    first, second = (2 * 0.8 + 1) / (1.2 + 1 + 1), (2 * 0.6 + 1) / (0.8 + 1 + 1)
    loss = set_dice_loss(probability, member, weight)
    assert loss.item() == pytest.approx(1 - (first + second) / 2, abs=1e-6)
    assert set_dice_loss(probability, member, 0 * weight).item() == 0.0
    one = torch.tensor([[[[1.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]]])  # a class that is nowhere does not count
    assert set_dice_loss(probability, one, weight).item() == pytest.approx(
        1 - (2 * 1.7 + 1) / (1.7 + 2 + 1), abs=1e-6
    )


def test_class_losses_ask_inside_nuclei_of_known_type_alone():
    logits = torch.zeros(1, 9, 4, 4)
    logits[0, 2] = 9.0
    prob, sets = torch.zeros(1, 4, 4), torch.full((1, 4, 4), 1 << 2)
    weight = torch.ones(1 << 9)
    weight[0] = 0
    prob[0, :2] = 1.0
    sets[0, 2:] = 1 << 5  # wrong, but outside
    right = class_losses(logits, [prob, prob, prob, sets], set_weight=weight)
    assert right["class"].item() < 1e-3
    wrong = class_losses(logits, [1 - prob, prob, prob, sets], set_weight=weight)
    assert wrong["class"].item() > 5
    assert wrong["dice"].item() > 0.5 > right["dice"].item()


def test_a_head_learns_colors_and_its_encoder_stays(tmp_path):
    model = color_head()
    batch = Halves().batch(np.random.default_rng(9))
    train_head(model, Halves(), cross_entropy, tmp_path, recipe=RECIPE)
    with torch.no_grad():
        said = model(batch[0]).argmax(1)
    assert (said == batch[1]).float().mean() > 0.95
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert not any("maps" in name or "encoder" in name for name in saved["net"])
    model = plain_head()
    before = [value.clone() for value in model.maps.state_dict().values()]
    train_head(model, Halves(), cross_entropy, tmp_path / "plain", recipe=replace(RECIPE, steps=3))
    after = list(model.maps.state_dict().values())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_killed_training_ends_where_an_undisturbed_one_does(tmp_path):
    whole, again = plain_head(), plain_head()
    train_head(whole, Halves(), cross_entropy, tmp_path / "a", recipe=RECIPE)
    with pytest.raises(KeyboardInterrupt):
        train_head(plain_head(), Halves(fail_at=55), cross_entropy, tmp_path / "b", recipe=RECIPE)
    cut = kept(tmp_path / "b")
    assert cut["step"] == 40
    train_head(again, Halves(), cross_entropy, tmp_path / "b", recipe=RECIPE)
    assert_went_on(cut, kept(tmp_path / "b"), kept(tmp_path / "a"))
    with pytest.raises(UsageError, match="from another recipe"):
        train_head(color_head(), Halves(), cross_entropy, tmp_path / "b", recipe=RECIPE)


@pytest.mark.slow
def test_outlines_are_the_detectors_and_types_the_heads(tmp_path):
    folder = labeled_discs(tmp_path / "mine")
    card = train_cells([("mine", folder)], tmp_path / "Colors", PLAN)
    assert (card.name, card.task, card.classes) == ("colors", "stardist", CELL_CLASSES)
    assert card.training["encoder"] == "color-histogram"
    assert card.training["outlines"].startswith("nuclei (version ")
    assert card.training["labels"]["plasma_cell"] == "direct, n = 12"
    assert card.training["labels"]["carcinoma_cell"] == "indirect"
    assert card.license.endswith("color-histogram: Apache-2.0")
    assert "calibration_error" in card.scores["held_out"]["mine"] or card.scores["held_out"]["mine"]["nuclei"]
    assert {f.name: f.fine for f in check_model(tmp_path / "Colors")}["reference"]
    window = reference_window(card)
    found = Network(card, precision="f32")(window)
    detector = network_of(load_card("nuclei"), Recipe(), []).eval()
    with torch.no_grad():
        theirs = detector(scale_pixels(torch.from_numpy(window)))
    np.testing.assert_allclose(found["prob"], torch.sigmoid(theirs["prob"]).numpy(), atol=2e-3)
    assert np.abs(found["logits"] - theirs["logits"].numpy()).max() > 0.1
    assert train_cells([("mine", folder)], tmp_path / "Colors", PLAN) == card
    with pytest.raises(UsageError, match="other data or settings"):
        train_cells([("mine", folder)], tmp_path / "Colors", replace(PLAN, steps=3))


@pytest.mark.slow
def test_a_tissue_head_is_a_tissue_model(tmp_path):
    for k, label in enumerate(("CARCINOMA", "STROMA")):
        for source in range(4):
            path = tmp_path / "tiles" / label / f"slide {source}" / "tile.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((96, 96, 3), 60 + 90 * k, np.uint8)).save(path)
    plan = MapPlan(
        steps=2, window_px=128, crop_px=64, batch=2, device="cpu", mpp=1.0, encoder="random-vit-tiny"
    )
    card = train_maps("tissue", [("mine", tmp_path / "tiles")], tmp_path / "On a ViT", plan)
    assert (card.name, card.task) == ("on-a-vit", "segmenter")
    assert card.description.endswith("by a head on random-vit-tiny")
    assert {f.name: f.fine for f in check_model(tmp_path / "On a ViT")}["reference"]
    with pytest.raises(UsageError, match="give --from or --encoder"):
        train_maps("tissue", [("mine", tmp_path / "tiles")], tmp_path / "b", replace(plan, start="tissue"))


def test_the_commands_say_what_is_missing(tmp_path):
    words = ["train", "cells", "--encoder", "uni=gone.bin", "--data", f"mine={tmp_path}", "-o", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0


def tuned_head():
    torch.manual_seed(0)
    return OnEncoder(tuned_maps("random-vit-tiny", None, 4), 2, 8)


def test_lora_begins_with_the_encoder_as_it_is_and_merges_into_it(rng):
    pytest.importorskip("peft")
    pixels = torch.from_numpy(rng.uniform(0, 255, (1, 3, 64, 64)).astype(np.float32))
    maps = open_maps("random-vit-tiny")
    plain, names = maps(pixels), set(maps.encoder.state_dict())
    add_lora(maps, 4)
    for one, same in zip(maps(pixels), plain, strict=True):
        torch.testing.assert_close(one, same)
    learned = [name for name, p in maps.named_parameters() if p.requires_grad]
    assert learned
    assert all("lora_" in name for name in learned)
    assert len(maps.adapters) == 2 * 4 * 12  # A and B of four layers in each of twelve blocks
    with torch.no_grad():
        for part in maps.adapters:
            for layer in part.values():
                layer.weight.normal_(0, 0.05)
    changed = maps(pixels)
    assert not torch.allclose(changed[-1], plain[-1], atol=1e-2)
    merge_lora(maps)
    for one, same in zip(maps(pixels), changed, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-3, atol=1e-3)
    assert set(maps.encoder.state_dict()) == names
    with pytest.raises(UsageError, match="no linear layers"):
        tuned_maps("color-histogram", None, 4)


@pytest.mark.slow
def test_lora_is_learned_and_comes_back_after_a_kill(tmp_path):
    pytest.importorskip("peft")
    recipe = replace(RECIPE, steps=3)
    begun = tuned_head().maps.encoder.blocks[0].attn.qkv.base_layer.weight.clone()
    whole = tuned_head()
    train_head(whole, Halves(), cross_entropy, tmp_path / "a", recipe=recipe)
    merged = whole.maps.encoder.blocks[0].attn.qkv.weight
    assert not torch.allclose(begun, merged, atol=1e-5)
    held = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    assert held["lora"] == 4
    assert not [name for name in held["net"] if "base_layer" in name]  # the encoder itself is not in it
    first = tuned_head()
    train_head(first, Halves(), cross_entropy, tmp_path / "b", recipe=replace(recipe, steps=2))
    again = tuned_head()
    train_head(again, Halves(), cross_entropy, tmp_path / "b", recipe=recipe)
    assert again.maps.encoder.blocks[0].attn.qkv.weight.shape == merged.shape
    with pytest.raises(UsageError, match="from another recipe"):
        train_head(color_head(), Halves(), cross_entropy, tmp_path / "b", recipe=recipe)
