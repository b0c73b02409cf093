"""CellViT checkpoints of small encoders, in the layout that its authors write."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.errors import ModelError, UsageError
from histome.models.importers import cellvit, import_model, read_classes_map
from histome.models.importers.cellvit import CellVit
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
    "decoder1.0.block.0.weight": (64, 256, 2, 2),
    "decoder1.1.block.0.weight": (256, 128, 2, 2),
    "decoder3.0.block.0.weight": (64, 312, 2, 2),
    "nuclei_binary_map_decoder.decoder0_header.2.weight": (2, 64, 1, 1),
    "hv_map_decoder.decoder0_header.2.weight": (2, 64, 1, 1),
    "nuclei_type_maps_decoder.decoder0_header.2.weight": (6, 64, 1, 1),
}
# Theirs also say of what tissue the whole window is.
UNUSED = {"encoder.norm.weight": (64,), "encoder.head.weight": (19, 64), "classifier_head.bias": (19,)}


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(cellvit, "_WINDOW_PX", SIDE)
    monkeypatch.setattr(cellvit, "_HALO_PX", 16)


def net_of(encoder, classifier=False):
    torch.manual_seed(0)
    shapes = encoder | DECODERS
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


def state_of(net):
    extra = {name: torch.zeros(shape) for name, shape in UNUSED.items()}
    own = {name: value for name, value in net.state_dict().items() if not name.startswith("classifier.")}
    return own | extra


def save(net, path, **config):
    torch.save({"arch": "CellViT256", "config": config, "model_state_dict": state_of(net)}, path)
    return path


def take(path, out, classes="pannuke", **more):
    return import_model(
        "cellvit", path, out, classes=read_classes_map(classes), license_="Apache-2.0", **more
    )


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
