import contextlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_hover import ellipse, perfect_maps
from helpers.drawn_nuclei import Ellipse, draw, ground

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from helpers.resumed import assert_went_on, kept

from histome.cells import find_cells
from histome.encoders import find_encoder, timm_encoder
from histome.errors import ModelError, UsageError
from histome.models import onnx_export
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.training.processes import Worker, start
from histome.training.uperhover.build import make_encoder
from histome.training.uperhover.config import EncoderConfig
from histome.training.uperhover.encoder import PlainViT, tap_indices
from histome.training.uperhover.export import export_hover, try_export
from histome.training.uperhover.network import (
    IGNORE,
    FeatheredExport,
    UperHoVer,
    hv_loss,
    imagenet_pixels,
    pool,
    semantic_loss,
)
from histome.training.uperhover.patches import (
    HV_UNIT_UM,
    Patch,
    components,
    hv_targets,
    patch_entropy,
    random_crop,
)
from histome.training.uperhover.scores import Cuts
from histome.training.uperhover.train import HoverRecipe, HoverTrainer, fit, predict

pytestmark = pytest.mark.slow

SMALL = {"channels": (8, 8, 8, 8), "strides": (2, 4, 8, 16), "hidden": 8}


def small_net(seed=0, **options):
    torch.manual_seed(seed)
    return UperHoVer(PlainViT(16, 4, 2, 4), **SMALL, **options)


def timm_net():
    """With the norm at the end and the class token that a timm encoder has and no tap reads."""
    torch.manual_seed(0)
    about = {"img_size": 32, "patch_size": 4, "depth": 4, "embed_dim": 32, "num_heads": 2}
    return UperHoVer(timm_encoder(model_name="vit_tiny_patch16_224", **about), **SMALL)


def test_taps_are_at_quarters_of_the_depth():
    assert tap_indices(24) == [5, 11, 17, 23]
    assert tap_indices(12) == [2, 5, 8, 11]
    with pytest.raises(UsageError, match="no four taps"):
        tap_indices(3)


def test_maps_have_the_strides_and_outputs_the_input_size():
    net = small_net()
    sizes = []
    net.semantic.register_forward_pre_hook(lambda _, maps: sizes.extend(m.shape[-1] for m in maps[0]))
    logits, hv = net(torch.zeros(1, 3, 32, 32))
    assert sizes == [16, 8, 4, 2]
    assert logits.shape == (1, 6, 32, 32)
    assert hv.shape == (1, 2, 32, 32)


def test_the_decoders_share_nothing():
    net = small_net()
    mine = {id(p) for p in net.semantic.parameters()}
    assert not mine & {id(p) for p in net.hv.parameters()}


def test_pooling_is_adaptive_average_pooling():
    x = torch.rand(2, 5, 7, 11)
    for n in (1, 2, 3, 6):
        assert torch.allclose(pool(x, n), torch.nn.functional.adaptive_avg_pool2d(x, n), atol=1e-6)


def test_a_timm_encoder_fits_and_what_no_tap_reads_is_frozen():
    """A weight without a gradient stops DistributedDataParallel at its second step."""
    net = timm_net()
    logits, hv = net(torch.zeros(1, 3, 32, 32))
    assert (logits.shape, hv.shape) == ((1, 6, 32, 32), (1, 2, 32, 32))
    (logits.sum() + hv.sum()).backward()
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {"encoder.norm.weight", "encoder.norm.bias"}
    assert {name for name, p in net.named_parameters() if p.grad is None} == frozen


def test_a_convolutional_encoder_has_maps_of_its_own_strides_and_widths():
    pytest.importorskip("efficientnet_lite_pytorch", reason="comes with the [train] extra")
    encoder = make_encoder(EncoderConfig(name="efficientnet-lite0"))
    image = torch.randint(0, 256, (1, 128, 128, 3), dtype=torch.uint8)
    maps = encoder.forward_intermediates(imagenet_pixels(image), indices=[0, 1, 2, 3])
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 32, 32), (40, 16, 16), (112, 8, 8), (320, 4, 4)]
    # The last is what ImageNet's own network has there: its norms are folded, in training too.
    whole = find_encoder("imagenet-efficientnet-lite0").build().eval()
    x = torch.relu(whole._bn0(whole._conv_stem((image.permute(0, 3, 1, 2) - 127.0) / 128.0))).clamp(max=6.0)
    for block in whole._blocks:
        x = block(x)
    torch.testing.assert_close(maps[-1], x, atol=1e-4, rtol=1e-4)
    assert not [m for m in encoder.train().modules() if isinstance(m, torch.nn.BatchNorm2d)]
    net = UperHoVer(encoder, channels=(8, 8, 8, 8), hidden=8)
    assert net(imagenet_pixels(image))[0].shape == (1, 6, 128, 128)
    assert net.patch_px == 32


def test_fewer_taps_are_read_more_than_once():
    assert tap_indices(24, 2) == [11, 11, 23, 23]
    assert tap_indices(24, 1) == [23, 23, 23, 23]
    net = small_net(taps=2)
    assert net(torch.zeros(1, 3, 32, 32))[0].shape == (1, 6, 32, 32)


def test_without_the_hv_branch_the_maps_are_0_and_nothing_is_learned_of_them():
    net = small_net(hv=False)
    logits, hv = net(torch.rand(1, 3, 32, 32))
    assert hv.shape == (1, 2, 32, 32)
    assert not hv.any()
    assert logits.any()


def test_checkpointing_changes_memory_and_no_gradient():
    image = torch.rand(2, 3, 32, 32)
    gradients = []
    for on in (False, True):
        net = small_net()
        net.encoder.set_grad_checkpointing(on)
        sum(part.square().mean() for part in net(image)).backward()
        gradients.append([p.grad for p in net.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_semantic_loss_ignores_255():
    logits = torch.zeros(1, 6, 2, 2)
    logits[0, 3, 0, 0] = 100
    codes = torch.full((1, 2, 2), IGNORE)
    assert semantic_loss(logits, codes).item() == 0
    codes[0, 0, 0] = 3
    assert semantic_loss(logits, codes).item() == pytest.approx(0, abs=1e-6)
    codes[0, 0, 1] = 1
    assert semantic_loss(logits, codes).item() == pytest.approx(math.log(6) / 2, rel=1e-5)


def test_hv_loss_by_hand():
    """A predicted map that is off by 0.5 has MSE 0.25 a map and no gradient error; a ramp has MSGE."""
    inside = torch.zeros(1, 20, 20, dtype=torch.bool)
    inside[0, 5:15, 5:15] = True
    truth = torch.zeros(1, 2, 20, 20)
    assert hv_loss(truth + 0.5, truth, inside).item() == pytest.approx(2 * 0.25)
    ramp = truth.clone()
    ramp[:, 0] = 0.1 * (torch.arange(20.0) - 9.5)
    mse = (0.01 * (torch.arange(5.0, 15) - 9.5).square()).mean().item()
    assert hv_loss(ramp, truth, inside).item() == pytest.approx(mse + 2 * 0.01, rel=1e-4)


def test_hv_loss_is_exactly_0_without_foreground():
    predicted = torch.rand(1, 2, 8, 8, requires_grad=True)
    nothing = torch.zeros(1, 8, 8, dtype=torch.bool)
    error = (predicted - 1).square() * nothing[:, None]
    assert torch.isnan(error.sum() / nothing.sum())  # divided by no pixels: not a number
    loss = hv_loss(predicted, torch.ones(1, 2, 8, 8), nothing)
    assert loss.item() == 0
    loss.backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().max() == 0


def test_hv_targets_come_from_instances():
    """Two nuclei of one class that touch: as components they get one center between them."""
    instances = np.zeros((40, 60), np.int32)
    instances[10:30, 10:30], instances[10:30, 30:50] = 1, 2
    whole = components((instances > 0).astype(np.uint8))
    assert whole.max() == 1
    apart, merged = hv_targets(instances, 10), hv_targets(whole, 10)
    assert apart[0, 20, 29] > 0.9
    assert apart[0, 20, 30] < -0.9
    assert abs(merged[0, 20, 29] - merged[0, 20, 30]) <= 0.1  # no edge between the two is left
    assert np.array_equal(apart, perfect_maps(instances)[1])
    assert components(np.full((4, 4), IGNORE, np.uint8)).max() == 0


def test_the_scale_is_that_of_the_transform():
    """A disc of 20 um is 20 um at the scale that the card names; claimed as 0.25 um/px it is 16.8 um."""
    trained_mpp = 0.25 * 266 / 224  # 256 px are padded to 266, a multiple of the 14 px patch, then resized
    disc = np.pad(ellipse((256, 256), 128, 128, 40, 40), ((0, 10), (0, 10))).astype(np.uint8) * 255
    seen = torch.nn.functional.interpolate(torch.from_numpy(disc)[None, None].float(), (224, 224)) > 127
    diameter_px = 2 * math.sqrt(seen.sum().item() / math.pi)
    assert diameter_px * trained_mpp == pytest.approx(20, rel=0.01)
    assert diameter_px * 0.25 == pytest.approx(16.8, rel=0.01)
    assert pytest.approx(2.97, abs=0.01) == HV_UNIT_UM


def test_entropy_is_that_of_the_foreground():
    p = np.zeros((6, 2, 2))
    p[0] = 1
    assert math.isnan(patch_entropy(p))
    p[:, 0, 0] = [0.2, 0.8, 0, 0, 0, 0]
    assert patch_entropy(p) == pytest.approx(-(0.2 * math.log(0.2) + 0.8 * math.log(0.8)))


def test_a_crop_turns_labels_with_the_image_and_pads_nothing_black():
    rng = np.random.default_rng(0)
    image = np.full((40, 40, 3), 230, np.uint8)
    instances = np.zeros((40, 40), np.int32)
    instances[4:12, 6:30] = 1
    image[instances > 0] = (60, 20, 120)
    patch = Patch(image, (instances > 0).astype(np.uint8), instances)
    for _ in range(20):
        crop = random_crop(patch, 64, rng, unit_px=10)
        dark = crop.image.mean(2) < 150
        assert (crop.classes == IGNORE).sum() == 64**2 - 40**2
        known = crop.classes != IGNORE
        assert (dark[known] == (crop.classes[known] == 1)).mean() > 0.95
        assert crop.image[~known & ~dark].mean() > 150  # mirrored, not black
        rows, cols = np.nonzero(crop.foreground)
        assert np.corrcoef(crop.hv[0][rows, cols], cols)[0, 1] > 0.8
        assert np.corrcoef(crop.hv[1][rows, cols], rows)[0, 1] > 0.8


class Local(torch.nn.Module):
    """A network without context: what a pixel gets depends on itself, so tiles may change nothing."""

    patch_px = 4

    def forward(self, x):
        red = x[:, :1]
        return torch.cat([red * k for k in range(6)], 1), torch.cat([red, -red], 1).tanh()


def test_tile_size_and_order_change_nothing():
    image = torch.randint(0, 255, (1, 96, 96, 3), dtype=torch.uint8)
    net = Local()
    small, large = (FeatheredExport(net, tile)(image) for tile in (16, 32))  # type: ignore[arg-type]
    for a, b in zip(small, large, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    turned = FeatheredExport(net, 16)(image.flip(1, 2))  # type: ignore[arg-type]
    assert torch.allclose(turned[0].flip(2, 3), small[0], atol=1e-5)


class Dissenter(torch.nn.Module):
    """Sees class 1 in every tile but the one with a white corner, where it sees class 2."""

    patch_px = 4

    def forward(self, x):
        logits = torch.zeros(len(x), 6, *x.shape[-2:])
        white = x[:, 0, 0, 0] > 2
        logits[~white, 1], logits[white, 2] = 3.0, 3.0
        return logits, torch.zeros(len(x), 2, *x.shape[-2:])


def test_one_dissenting_tile_of_four_does_not_set_the_class():
    image = torch.zeros(1, 48, 48, 3, dtype=torch.uint8)
    image[0, 16, 16] = 255  # corner of the tile at (16, 16), the last of the four over its upper left quarter
    classes, _ = FeatheredExport(Dissenter(), 32)(image)  # type: ignore[arg-type]
    last_wins = np.zeros((48, 48), int)
    for y in (0, 16):
        for x in (0, 16):
            last_wins[y : y + 32, x : x + 32] = 2 if (y, x) == (16, 16) else 1
    assert last_wins[20, 20] == 2
    assert classes[0, :, 20, 20].argmax() == 1
    assert classes[0, :, 44, 44].argmax() == 2  # alone there, it is believed


class DarkIsNucleus(torch.nn.Module):
    """Calls a place nucleus when the 9 x 9 pixels round it are dark."""

    patch_px = 4

    def __init__(self):
        super().__init__()
        self.none = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        dark = -torch.nn.functional.avg_pool2d(x[:, :1], 9, 1, 4, count_include_pad=False)
        return torch.cat([-10 * dark, 10 * dark, *[dark * 0 - 99] * 4], 1), torch.cat([dark, dark], 1)


def test_no_nuclei_are_seen_in_a_padded_rim():
    image = np.full((30, 45, 3), 230, np.uint8)
    net = DarkIsNucleus()
    black = np.pad(image, ((16, 18), (16, 19), (0, 0)))  # the published way
    seen, _ = FeatheredExport(net, 16)(torch.from_numpy(black)[None])  # type: ignore[arg-type]
    assert (seen[0].argmax(0)[16:46, 16:61] == 1).any()
    classes, hv = predict(net, image, 16)  # type: ignore[arg-type]
    assert classes.shape == (6, 30, 45)
    assert hv.shape == (2, 30, 45)
    assert (classes.argmax(0) == 0).all()


def patches_of_one_nucleus(n=4):
    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        instances = ellipse((48, 48), *rng.uniform(16, 32, 2), 9, 7).astype(np.int32)
        image = np.where(instances[..., None] > 0, (80, 40, 140), (230, 200, 220)).astype(np.uint8)
        made.append(Patch(image, (instances * 2).astype(np.uint8), instances))
    return made


def test_training_learns_keeps_the_best_two_and_resumes_to_the_same_weights(tmp_path):
    patches = patches_of_one_nucleus()
    recipe = HoverRecipe(crop_px=32, steps=24, batch=4, accumulate=2, learning_rate=1e-2, every=6)
    fit(small_net(), recipe, patches, patches, tmp_path / "whole")
    assert len(list((tmp_path / "whole").glob("best-*.pt"))) == 2
    rows = (tmp_path / "whole" / "log.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,loss,miou"
    assert float(rows[-1].split(",")[2]) < 0.5 * float(rows[1].split(",")[2])

    class Enough(Exception):
        pass

    saves = []

    def stop(self):
        save(self)
        saves.append(self.step)
        if len(saves) == 2:
            raise Enough

    save = HoverTrainer.save
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setattr(HoverTrainer, "save", stop)
        with pytest.raises(Enough):
            fit(small_net(), recipe, patches, patches, tmp_path / "broken")
    assert saves == [6, 12]
    cut = kept(tmp_path / "broken")
    fit(small_net(seed=9), recipe, patches, patches, tmp_path / "broken")
    assert_went_on(cut, kept(tmp_path / "broken"), kept(tmp_path / "whole"))


def test_the_rate_falls_to_zero(tmp_path):
    trainer = HoverTrainer(small_net(), HoverRecipe(steps=4, learning_rate=1.0), tmp_path, start())
    batch = [torch.zeros(1, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, 32, 32), torch.zeros(1, 2, 32, 32)]
    rates = []
    for _ in range(4):
        trainer.update([[*batch, torch.zeros(1, 32, 32, dtype=torch.bool)]])
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 0.75, 0.5, 0.25]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hover")
    net = small_net().eval()
    about = {"name": "small", "description": "random weights"}
    export_hover(net, HoverRecipe(crop_px=16), folder, cuts=Cuts(0.1, 0.2, 1.0), about=about)
    return net, load_card(folder)


def test_the_exported_model_gives_the_same_numbers(exported):
    net, card = exported
    assert (card.task, card.window_px, card.halo_px, card.thresholds.split_per_um) == ("hover", 96, 16, 0.2)
    image = np.random.default_rng(0).integers(0, 255, (1, 96, 96, 3), dtype=np.uint8)
    seen = Network(card, precision="f32")(image)
    with torch.inference_mode():
        classes, hv = FeatheredExport(net, 16)(torch.from_numpy(image))
    assert np.abs(seen["classes"] - classes.numpy()).max() < 1e-4
    assert np.abs(seen["hv"] - hv.numpy()).max() < 1e-3


def test_windows_on_one_lattice_agree(exported):
    """The maps of two windows that overlap are equal wherever four tiles lie in both."""
    _, card = exported
    network = Network(card, precision="f32")
    image = np.random.default_rng(1).integers(0, 255, (1, 96, 160, 3), dtype=np.uint8)
    left, right = network(image[:, :, :96]), network(image[:, :, 64:])
    # 64 is a core's width; the windows share x = 64..96, of which 8 px at either end have fewer tiles.
    assert np.abs(left["classes"][..., 72:88] - right["classes"][..., 8:24]).max() < 1e-5


def test_an_exported_model_profiles_a_drawn_slide(exported):
    _, card = exported
    slide = draw((200, 150), [Ellipse(30, 30), Ellipse(60, 40)])
    cells = find_cells(slide, ground(slide), Network(card))
    assert np.isfinite(cells["area_um2"].to_numpy()).all()


TWO_PROCESSES = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {tests!r})
from training.uperhover import test_network as made
from histome.training.uperhover import train
from histome.training.processes import Worker, start
from histome.training.uperhover.train import HoverRecipe, fit, validation_miou
place = start(timeout_s=60)
patches = made.patches_of_one_nucleus()
recipe = HoverRecipe(crop_px=32, steps=3, batch=2, accumulate=2, every=3)
net = fit(made.timm_net(), recipe, patches, patches, Path({out!r}))
mine = torch.cat([p.detach().flatten() for p in net.parameters()])
both = [torch.empty_like(mine) for _ in range(2)]
torch.distributed.all_gather(both, mine)
assert place.processes == 2 and torch.equal(*both)
seen, predict = [], train.predict
train.predict = lambda net, image, tile: seen.append(1) or predict(net, image, tile)
shared = validation_miou(net, patches, recipe, place)
assert len(seen) == 2, seen
assert shared == validation_miou(net, patches, recipe, Worker(0, 1, "cpu"))
torch.distributed.destroy_process_group()
"""


def test_torchrun_trains_one_network_of_timm_in_two_processes_that_share_the_validation(tmp_path):
    script = tmp_path / "two.py"
    tests = str(Path(__file__).resolve().parents[2])
    script.write_text(TWO_PROCESSES.format(tests=tests, out=str(tmp_path / "out")))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words, told = [*torchrun, str(script)], {"capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(words, env=environment, check=False, **told)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len((tmp_path / "out" / "log.csv").read_text().splitlines()) == 2  # written once


def test_gradients_are_shared_once_a_step(tmp_path, monkeypatch):
    """Of three batches of a step the first two tell the other processes nothing."""
    quiet = []

    class Alone(torch.nn.Module):  # in place of DistributedDataParallel, which wants a process group
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x)

        def no_sync(self):
            quiet.append(1)
            return contextlib.nullcontext()

    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", Alone)
    recipe = HoverRecipe(crop_px=32, steps=1, batch=1, accumulate=3)
    trainer = HoverTrainer(small_net(), recipe, tmp_path, Worker(0, 2, "cpu"))
    part = [torch.zeros(1, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, 32, 32), torch.zeros(1, 2, 32, 32)]
    trainer.update([[*part, torch.zeros(1, 32, 32, dtype=torch.bool)]] * 3)
    assert len(quiet) == 2


def test_weights_too_large_for_one_file_lie_beside_it(tmp_path, monkeypatch):
    """Over 2 GB a message of protobuf does not hold; the card lists the file with its checksum."""
    monkeypatch.setattr(onnx_export, "LARGEST_INLINE_BYTES", 1000)
    net = small_net().eval()
    about = {"name": "large", "description": "random weights"}
    card = export_hover(net, HoverRecipe(crop_px=16), tmp_path, cuts=Cuts(), about=about)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.toml", "model.onnx", "model.onnx.data"]
    assert (tmp_path / "model.onnx.data").stat().st_size > 10 * 1000
    assert list(card.external) == ["model.onnx.data"]
    image = np.random.default_rng(0).integers(0, 255, (1, 96, 96, 3), dtype=np.uint8)
    seen = Network(load_card(tmp_path), precision="f32")(image)
    with torch.inference_mode():
        classes, _ = FeatheredExport(net, 16)(torch.from_numpy(image))
    assert np.abs(seen["classes"] - classes.numpy()).max() < 1e-4
    (tmp_path / "model.onnx.data").write_bytes(b"\0" * (tmp_path / "model.onnx.data").stat().st_size)
    with pytest.raises(ModelError, match="is not its card's"):
        Network(load_card(tmp_path))


def test_what_cannot_be_exported_is_told_before_the_training():
    class Odd(torch.nn.Module):
        patch_px = 4
        encoder = None

        def forward(self, x):
            if x.sum() > 0:  # the exporter cannot follow a number
                return x, x
            return x, x + 1

    with pytest.raises(ModelError, match="cannot be exported") as caught:
        try_export(Odd(), 16)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
