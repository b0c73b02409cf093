"""CellViT checkpoints of small encoders, in the layout that its authors write."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.errors import ModelError, UsageError
from histome.models.importers import cellvit, cellvit_encoders, import_model, read_classes_map
from histome.models.importers.cellvit import CellVit, import_histoplus
from histome.models.importers.checkpoint import read_checkpoint
from histome.models.runtime import Network

pytestmark = pytest.mark.slow

SIDE = 96
# Of cellvit 1.0.9's state dicts with 64 channels and four blocks: what its names and shapes are read off.
PLAIN = {
    "encoder.cls_token": (1, 1, 64),
    "encoder.pos_embed": (1, 197, 64),
    "encoder.patch_embed.proj.weight": (64, 3, 16, 16),
    **{f"encoder.blocks.{k}.mlp.fc1.weight": (256, 64) for k in range(4)},
}
WINDOWED = {
    "encoder.pos_embed": (1, 64, 64, 64),
    "encoder.patch_embed.proj.weight": (64, 3, 16, 16),
    **{f"encoder.blocks.{k}.mlp.lin1.weight": (256, 64) for k in range(4)},
    **{f"encoder.blocks.{k}.attn.rel_pos_h": (127 if k % 2 else 7, 32) for k in range(4)},
}
DECODERS = {
    "decoder1.0.block.0.weight": (64, 24, 2, 2),
    "decoder1.1.block.0.weight": (24, 16, 2, 2),
    "decoder3.0.block.0.weight": (64, 32, 2, 2),
    "nuclei_binary_map_decoder.decoder0_header.2.weight": (2, 64, 1, 1),
    "hv_map_decoder.decoder0_header.2.weight": (2, 64, 1, 1),
    "nuclei_type_maps_decoder.decoder0_header.2.weight": (6, 64, 1, 1),
}
# Of histoplus' state dicts, with 64 channels: its transformer is timm's with xformers' SwiGLU.
PLUS = {
    "encoder.cls_token": (1, 1, 64),
    "encoder.reg_token": (1, 4, 64),
    "encoder.pos_embed": (1, 256, 64),
    "encoder.patch_embed.proj.weight": (64, 3, 14, 14),
    **{f"encoder.blocks.{k}.mlp.w12.weight": (112, 64) for k in range(4)},
    **{f"encoder.blocks.{k}.mlp.w3.weight": (64, 56) for k in range(4)},
    **{f"encoder.blocks.{k}.ls2.gamma": (64,) for k in range(4)},
}
PLUS_TYPES = {"nuclei_type_maps_decoder.decoder0_header.2.weight": (15, 64, 1, 1)}
PLUS_SIDE = 56
# Theirs also say of what tissue the whole window is.
UNUSED = {"encoder.norm.weight": (64,), "encoder.head.weight": (19, 64), "classifier_head.bias": (19,)}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(cellvit_encoders, "_REGISTER_DEPTH", 4)
    monkeypatch.setattr(cellvit_encoders, "_REGISTER_LEVELS", (0, 1, 2, 3))
    monkeypatch.setattr(cellvit, "_WINDOW_PLUS_PX", PLUS_SIDE)
    monkeypatch.setattr(cellvit, "_WINDOW_PX", SIDE)
    monkeypatch.setattr(cellvit, "_HALO_PX", 16)


def net_of(encoder, classifier=False):
    torch.manual_seed(0)
    shapes = encoder | DECODERS | (PLUS_TYPES if encoder is PLUS else {})
    if classifier:
        shapes = shapes | {"classifier.fc1.weight": (10, 64), "classifier.fc2.weight": (4, 10)}
    net = CellVit({name: torch.zeros(shape) for name, shape in shapes.items()}).eval()
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim > 1:
                wide = "pos" in name or "token" in name
                value.normal_(0, 0.3 if wide else (2 / value[0].numel()) ** 0.5)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return net


def plus_names(name, *, older):
    """Ours -> histoplus' own."""
    branches = {"nuclei_binary_map": "np", "hv_map": "hv", "nuclei_type_maps": "tp"}
    for ours, theirs in branches.items():
        name = name.replace(f"{ours}_decoder.", f"{theirs}_branch.")
    for k in range(4):
        name = name.replace(f"decoder{k}.", f"neck.necks.{k}.") if name.startswith(f"decoder{k}.") else name
    return name.replace("encoder.", "backbone.feature_extractor." + ("" if older else "model."))


def save_plus(net, path, *, older=False):
    state = {plus_names(name, older=older): value for name, value in net.state_dict().items()}
    torch.save(state | {"backbone.feature_extractor.norm.weight": torch.ones(64)} if older else state, path)
    return path


def state_of(net):
    extra = {name: torch.zeros(shape) for name, shape in UNUSED.items()}
    own = {name: value for name, value in net.state_dict().items() if not name.startswith("classifier.")}
    return own | extra


def save(net, path, **config):
    torch.save({"arch": "CellViT256", "config": config, "model_state_dict": state_of(net)}, path)
    return path


def take(path, out, classes="pannuke", kind="cellvit", **more):
    return import_model(kind, path, out, classes=read_classes_map(classes), license_="Apache-2.0", **more)


def outputs_of(card):
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    return image, Network(card, precision="f32", backend="cpu")(image)


@pytest.mark.parametrize("encoder", [PLAIN, WINDOWED], ids=["plain", "windowed"])
def test_the_network_has_their_names_and_shapes(encoder):
    own = {name: tuple(value.shape) for name, value in net_of(encoder).state_dict().items()}
    assert {name: own[name] for name in encoder | DECODERS} == encoder | DECODERS
    names = (
        "encoder.blocks.3.attn.qkv.bias",
        "encoder.blocks.0.norm2.weight",
        "decoder0.1.block.1.running_var",
        "decoder2.1.block.2.running_mean",
        "hv_map_decoder.bottleneck_upsampler.bias",
        "hv_map_decoder.decoder3_upsampler.2.block.1.weight",
        "hv_map_decoder.decoder3_upsampler.3.weight",
        "hv_map_decoder.decoder1_upsampler.2.weight",
        "hv_map_decoder.decoder0_header.1.block.0.bias",
    )
    assert set(names) <= own.keys()


@pytest.mark.parametrize("encoder", [PLAIN, WINDOWED], ids=["plain", "windowed"])
def test_the_onnx_file_computes_what_the_checkpoint_does(encoder, tmp_path):
    net = net_of(encoder)
    mean = {"transformations.normalize.mean": [0.6, 0.5, 0.4]} if encoder is PLAIN else {}
    card = take(save(net, tmp_path / "cellvit.pth", **mean), tmp_path / "mine")
    assert (card.task, card.cell_classes[0], card.mpp) == ("hover", "carcinoma_cell", 0.25)
    assert card.thresholds.min_area_um2 == 10 * 0.25**2  # as they drop what is under 10 pixels
    image, outputs = outputs_of(card)
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    center = torch.tensor(mean.get("transformations.normalize.mean", [0.5] * 3)).reshape(1, 3, 1, 1)
    net.encoder.settle(SIDE // 16)
    with torch.no_grad():
        maps = net((pixels - center) / 0.5)
    np.testing.assert_allclose(outputs["hv"], maps["hv"].numpy(), atol=1e-4)
    nuclear = torch.softmax(maps["np"], 1)[:, 1]
    np.testing.assert_allclose(1 - outputs["classes"][:, 0], nuclear.numpy(), atol=1e-4)
    types = torch.softmax(maps["tp"][:, 1:], 1).argmax(1)
    assert (outputs["classes"][:, 1:].argmax(1) == types.numpy()).mean() > 0.999
    assert float(nuclear.std()) > 0.02


def test_a_window_cut_into_squares_sees_nothing_beyond_them():
    """Four squares of 4 x 4 tokens: what changes in the last leaves the first as it is."""
    net = net_of(WINDOWED)
    block = net.encoder.blocks[0]
    block.attn.settle(4)
    tokens = torch.randn(1, 8, 8, 64)
    changed = tokens.clone()
    changed[:, 7, 7] += 1
    with torch.no_grad():
        before, after = block(tokens, 4), block(changed, 4)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4, 4], after[:, 4, 4])


def test_a_classifier_of_tokens_names_the_types(tmp_path):
    net = net_of(PLAIN, classifier=True)
    own = {name.removeprefix("classifier."): value for name, value in net.classifier.state_dict().items()}
    torch.save({"config": {}, "model_state_dict": own}, tmp_path / "classifier.pth")
    path = save(net, tmp_path / "cellvit.pth")
    card = take(path, tmp_path / "mine", "monusac", classifier=tmp_path / "classifier.pth")
    assert card.classes == ("background", "epithelial", "lymphocyte", "macrophage", "neutrophil")
    assert card.source["classifier"] == "classifier.pth"
    image, outputs = outputs_of(card)
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    net.encoder.settle(SIDE // 16)
    with torch.no_grad():
        tokens = net.encoder((pixels - 0.5) / 0.5)[3]
        wanted = torch.softmax(net.classifier(tokens[0, :, 1, 1]), 0)
    shares = outputs["classes"][0, 1:, 16:32, 16:32]
    shares = shares / shares.sum(0)
    np.testing.assert_allclose(shares, np.broadcast_to(wanted[:, None, None], shares.shape), atol=1e-4)


def test_a_classifier_of_another_encoder_and_of_another_kind_is_refused(tmp_path):
    path = save(net_of(PLAIN), tmp_path / "cellvit.pth")
    torch.save({"fc1.weight": torch.zeros(10, 32), "fc2.weight": torch.zeros(4, 10)}, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match="its tokens have 64 channels, the classifier is for 32"):
        take(path, tmp_path / "mine", "monusac", classifier=tmp_path / "odd.pth")
    classes = read_classes_map("monusac")
    with pytest.raises(UsageError, match="only cellvit takes a classifier"):
        import_model(
            "hovernet",
            path,
            tmp_path / "mine",
            classes=classes,
            license_="MIT",
            classifier=tmp_path / "odd.pth",
        )
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("truncated", "damaged"),
        ("another", "no CellViT: it lacks encoder.patch_embed.proj.weight"),
        ("key", "it lacks encoder.blocks.2.norm1.bias"),
        ("more", "it also has extra"),
        ("branch", "no CellViT of a kind that is known"),
        ("classes", "has 5 classes besides background, the class map names 4"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path):
    path, state = tmp_path / "cellvit.pth", state_of(net_of(PLAIN))
    if what == "key":
        del state["encoder.blocks.2.norm1.bias"]
    if what == "branch":
        del state["nuclei_type_maps_decoder.decoder0_header.2.weight"]
    if what == "more":
        state["extra"] = torch.zeros(1)
    torch.save({"conv.weight": torch.zeros(1)} if what == "another" else {"model_state_dict": state}, path)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=said) as caught:
        take(path, tmp_path / "mine", "consep" if what == "classes" else "pannuke")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir() if each != path] == []


def test_histoplus_has_other_names_and_tokens_of_14_px(tmp_path):
    net = net_of(PLUS)
    path = save_plus(net, tmp_path / "histoplus_20x.pt")
    card = take(path, tmp_path / "mine", "histoplus", "histoplus")
    assert (card.task, card.mpp, card.thresholds.min_area_um2) == ("hover", 0.5, 5 * 0.5**2)
    assert card.classes[1:3] == ("cancer", "lymphocyte")
    image = np.random.default_rng(1).integers(0, 256, (1, PLUS_SIDE, PLUS_SIDE, 3), np.uint8)
    outputs = Network(card, precision="f32", backend="cpu")(image)
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (cellvit._MEAN_PLUS, cellvit._STD_PLUS))
    net.encoder.settle(4)
    with torch.no_grad():
        maps = net((pixels - mean) / std)
    assert float(maps["hv"].std()) > 0.02
    np.testing.assert_allclose(outputs["hv"], maps["hv"].numpy(), atol=1e-4)
    nuclear = torch.softmax(maps["np"], 1)[:, 1].numpy()
    np.testing.assert_allclose(1 - outputs["classes"][:, 0], nuclear, atol=1e-4)


def test_histoplus_of_before_has_shorter_names_and_a_norm(tmp_path):
    net = net_of(PLUS)
    weights = read_checkpoint(save_plus(net, tmp_path / "plus.pt", older=True))
    imported = import_histoplus(weights, tmp_path / "plus.pt", read_classes_map("histoplus"))
    own = imported.module.net.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in net.state_dict().items())


def test_positions_of_registers_are_brought_to_another_side_as_timm_does():
    """Halved, each is near the mean of four: without that of neighbors, values would be taken from one."""
    encoder = net_of(PLUS).encoder
    with torch.no_grad():
        encoder.pos_embed.copy_(torch.arange(256.0).reshape(1, 256, 1).expand(1, 256, 64))
    encoder.settle(8)
    places = encoder.positions[0, :, 0].reshape(8, 8)
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    wanted = 16 * (2 * rows + 0.5) + 2 * columns + 0.5
    assert torch.allclose(places[2:6, 2:6], wanted[2:6, 2:6], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone.feature_extractor.model.reg_token": None}, "no HistoPLUS: it lacks encoder.reg_token"),
        ({"backbone.feature_extractor.model.blocks.3.": None}, "3 blocks, not 4"),
        ({"backbone.feature_extractor.model.pos_embed": torch.zeros(1, 100, 64)}, "positions of 10 tokens"),
        ({"hv_branch.decoder0_header.2.bias": None}, "it lacks hv_map_decoder.decoder0_header.2.bias"),
        ({"maskdino.weight": torch.zeros(1)}, "it also has maskdino.weight"),
    ],
)
def test_what_is_no_histoplus_is_one_line_and_nothing_is_left(change, said, tmp_path):
    state = {plus_names(name, older=False): value for name, value in net_of(PLUS).state_dict().items()}
    for name, value in change.items():
        state = {n: v for n, v in state.items() if not n.startswith(name)}
        state |= {} if value is None else {name: value}
    torch.save(state, tmp_path / "plus.pt")
    with pytest.raises(ModelError, match=said) as caught:
        take(tmp_path / "plus.pt", tmp_path / "mine", "histoplus", "histoplus")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["plus.pt"]
