"""Folders in the layout that HoVer-NeXt publishes, a network of four small stages in them."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.errors import ModelError
from histome.models.importers import hovernext, import_model, read_classes_map
from histome.models.importers.hovernext import HoverNext, import_hovernext, read_hovernext
from histome.models.runtime import Network

pytestmark = pytest.mark.slow

TILE = 64
WIDTHS, DECODER = (4, 6, 8, 10), ((18, 8), (14, 6), (10, 4), (4, 4), (4, 2))
# Names and shapes as timm's convnextv2 and the decoders of segmentation-models-pytorch have them.
SHAPES = {
    "encoder.model.stem_0.weight": (4, 3, 4, 4),
    "encoder.model.stem_1.weight": (4,),
    "encoder.model.stages_0.blocks.0.mlp.fc1.weight": (16, 4),
    **{f"encoder.model.stages_{k}.blocks.0.mlp.grn.weight": (4 * w,) for k, w in enumerate(WIDTHS)},
    **{f"encoder.model.stages_{k}.downsample.1.weight": (WIDTHS[k], WIDTHS[k - 1], 2, 2) for k in (1, 2, 3)},
    **{f"decoders.0.blocks.{k}.conv1.0.weight": (n, m, 3, 3) for k, (m, n) in enumerate(DECODER)},
    **{f"decoders.0.blocks.{k}.conv2.0.weight": (n, n, 3, 3) for k, (_, n) in enumerate(DECODER)},
    "heads.0.0.weight": (5, 2, 1, 1),
    "heads.1.0.weight": (6, 2, 1, 1),
}
CUTS = {"best_fg_f1": [0.5, 0.6, 0.4, 0.5, 0.5], "best_seed_f1": [0.3, 0.4, 0.2, 0.5, 0.6]}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(hovernext, "TILE_PX", TILE)
    monkeypatch.setattr(hovernext, "_HALO_PX", 16)


def net_of(shapes=SHAPES):
    torch.manual_seed(0)
    net = HoverNext({name: torch.zeros(shape) for name, shape in shapes.items()}).eval()
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.normal_(0, 0.3 if value.ndim < 2 else (2 / value[0].numel()) ** 0.5)
            if "norm.weight" in name or "stem_1.weight" in name or "downsample.0.weight" in name:
                value.add_(1)
    return net


def write_folder(folder, net, *, dataset="pannuke", **files):
    (folder / "train").mkdir(parents=True)
    saved = {
        "step": 3,
        "model_state_dict": net.state_dict(),
        "loss": torch.tensor(0.1),
        "best_loss": np.float64(2),
    }
    torch.save(saved, folder / "train" / "best_model")
    (folder / "params.toml").write_text(
        f'dataset = "{dataset}"\nencoder = "convnextv2_tiny"\ninst_channels = 5\n'
    )
    for name, cuts in ({"pannuke_test_param_dict": CUTS} | files).items():
        (folder / f"{name}.json").write_text(json.dumps(cuts))
    return folder


def take(folder, out, classes="pannuke"):
    return import_model("hovernext", folder, out, classes=read_classes_map(classes), license_="see publisher")


def test_the_network_has_their_names_and_shapes():
    own = {name: tuple(value.shape) for name, value in net_of().state_dict().items()}
    assert {name: own[name] for name in SHAPES} == SHAPES
    names = (
        "encoder.model.stem_1.bias",
        "encoder.model.stages_2.downsample.0.weight",
        "encoder.model.stages_3.blocks.0.conv_dw.weight",
        "encoder.model.stages_3.blocks.0.norm.bias",
        "encoder.model.stages_0.blocks.0.mlp.fc2.bias",
        "decoders.1.blocks.4.conv2.0.bias",
        "heads.1.0.bias",
    )
    assert set(names) <= own.keys()


def test_the_onnx_file_lays_their_tiles_side_by_side(tmp_path):
    net = net_of()
    card = take(write_folder(tmp_path / "theirs", net), tmp_path / "mine")
    assert (card.task, card.mpp, card.window_px) == ("basin", 0.25, TILE + 2 * (TILE - 16))
    assert card.basins.foreground == (0.5, 0.6, 0.4, 0.5, 0.5)
    assert (card.basins.seed[4], card.basins.least_um2[0]) == (0.6, 10 * 0.25**2)
    image = np.random.default_rng(1).integers(0, 256, (1, card.window_px, card.window_px, 3), np.uint8)
    outputs = Network(card, precision="f32", backend="cpu")(image)
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    step = TILE - 16
    for row, column in ((0, 0), (step, 2 * step)):
        with torch.no_grad():
            parts, types = net(pixels[:, :, row : row + TILE, column : column + TILE])
        inside = np.s_[0, :, row + 8 : row + TILE - 8, column + 8 : column + TILE - 8]
        for name, maps in (("parts", parts[:, 2:5]), ("classes", types)):
            wanted = torch.softmax(maps, 1)[0, :, 8:-8, 8:-8].numpy()
            assert wanted.std() > 0.02
            np.testing.assert_allclose(outputs[name][inside], wanted, atol=1e-5)


def test_weights_of_other_data_sets_are_of_half_the_size_and_mitoses_have_thresholds_of_their_own(tmp_path):
    shapes = SHAPES | {"heads.1.0.weight": (8, 2, 1, 1)}
    cuts = {name: [0.5] * 7 for name in CUTS}
    mitoses = {"best_fg_f1": [0.1] * 6 + [0.9], "best_seed_f1": [0.1] * 6 + [0.2]}
    files = {"liz_test_param_dict": cuts, "mit_test_param_dict": mitoses}
    folder = write_folder(tmp_path / "theirs", net_of(shapes), dataset="lizard", **files)
    made = import_hovernext(read_hovernext(folder), folder, read_classes_map("lizard-mitosis"))
    assert (made.mpp, made.window_px) == (0.5, TILE + 2 * (TILE - 8))
    assert (made.basins.foreground, made.basins.seed) == ((0.5,) * 6 + (0.9,), (0.5,) * 6 + (0.2,))
    assert made.basins.least_um2 == tuple(px / 4 for px in (30, 30, 20, 20, 30, 30, 15))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("file", "give the folder that holds params.toml and train/best_model"),
        ("truncated", "damaged"),
        ("another", "no HoVer-NeXt with a ConvNeXt V2: it lacks stem_0.weight"),
        ("key", "it lacks encoder.model.stages_1.blocks.0.norm.bias"),
        ("params", "params.toml: cannot be read"),
        ("thresholds", "param_dict.json: cannot be read"),
        ("odd thresholds", "no thresholds of HoVer-NeXt: best_seed_f1"),
        ("few thresholds", "has thresholds of 2 classes, not of 5"),
        ("classes", "has 5 classes besides background, the class map names 4"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path):
    net = net_of()
    folder = write_folder(tmp_path / "theirs", net)
    path, cuts, state = (
        folder / "train" / "best_model",
        folder / "pannuke_test_param_dict.json",
        net.state_dict(),
    )
    if what == "another":
        torch.save({"conv.weight": torch.zeros(1)}, path)
    if what == "key":
        del state["encoder.model.stages_1.blocks.0.norm.bias"]
        torch.save({"model_state_dict": state}, path)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    if what in ("params", "thresholds"):
        (folder / "params.toml" if what == "params" else cuts).unlink()
    if what == "odd thresholds":
        cuts.write_text(json.dumps({"best_fg_f1": [0.5] * 5}))
    if what == "few thresholds":
        cuts.write_text(json.dumps({name: [0.5, 0.5] for name in CUTS}))
    with pytest.raises(ModelError, match=said) as caught:
        take(
            path if what == "file" else folder,
            tmp_path / "mine",
            "consep" if what == "classes" else "pannuke",
        )
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["theirs"]
