"""HoVer-Net checkpoints of an eighth of the width, in the layout that its authors write."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.checks import check_model
from histome.errors import ModelError, OutputError, UsageError
from histome.models.importers import hovernet, import_model, read_classes_map
from histome.models.importers.hovernet import HoverNet
from histome.models.runtime import Network

pytestmark = pytest.mark.slow


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of the paper's sizes, for speed."""
    monkeypatch.setattr(hovernet, "_MODES", {5: (95, 270), 3: (46, 256)})
    monkeypatch.setattr(hovernet, "_HALO_PX", 96)


def net_of(kernel, types=6):
    torch.manual_seed(0)
    net = HoverNet(8, kernel=kernel, types=types).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net


def save(net, path, wrap=lambda state: {"desc": state}):
    # Theirs keep what they enlarge with among the weights.
    torch.save(wrap(net.state_dict() | {"upsample2x.unpool_mat": torch.ones(2, 2)}), path)
    return path


def take(path, out, classes="pannuke", kind="hovernet"):
    return import_model(kind, path, out, classes=read_classes_map(classes), license_="as its authors say")


@pytest.mark.parametrize(("kernel", "side", "inner"), [(5, 270, 80), (3, 256, 164)])
def test_the_network_gives_the_sizes_of_the_paper(kernel, side, inner):
    with torch.no_grad():
        maps = net_of(kernel)(torch.rand(1, 3, side, side))
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "np": (1, 2, inner, inner),
        "hv": (1, 2, inner, inner),
        "tp": (1, 6, inner, inner),
    }


@pytest.mark.parametrize("kernel", [5, 3])
def test_the_onnx_file_computes_what_the_checkpoint_does(kernel, tmp_path, small_windows):
    net = net_of(kernel)
    card = take(save(net, tmp_path / "hover.tar"), tmp_path / "mine")
    assert (card.name, card.task, card.cell_classes[0]) == ("mine", "hover", "carcinoma_cell")
    assert card.source["citation"].startswith("Graham")
    assert card.thresholds.min_area_um2 == 10 * 0.25**2  # as they drop what is under 10 pixels
    image = np.random.default_rng(1).integers(0, 256, (1, card.window_px, card.window_px, 3), np.uint8)
    outputs = Network(card, precision="f32", backend="cpu")(image)
    with torch.no_grad():
        maps = net(torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255)
    margin = (card.window_px - maps["hv"].shape[-1]) // 2
    core = slice(margin, -margin)
    np.testing.assert_allclose(outputs["hv"][..., core, core], maps["hv"].numpy(), atol=1e-4)
    nuclear = torch.softmax(maps["np"], 1)[:, 1]
    np.testing.assert_allclose(1 - outputs["classes"][:, 0, core, core], nuclear.numpy(), atol=1e-4)
    types = torch.softmax(maps["tp"][:, 1:], 1).argmax(1)
    assert (outputs["classes"][:, 1:, core, core].argmax(1) == types.numpy()).mean() > 0.999
    assert (outputs["classes"][:, 0, 0] == 1).all()


def test_the_checks_find_in_random_weights_nothing_but_what_they_are(tmp_path, small_windows):
    take(save(net_of(3), tmp_path / "hover.tar"), tmp_path / "mine")
    findings = {finding.name: finding.fine for finding in check_model(tmp_path / "mine")}
    # It sees farther than the paper's margin, and finds nuclei on glass.
    assert {name for name, fine in findings.items() if not fine} <= {"seam", "blank", "edge"}
    assert findings["reference"]
    assert findings["repeatable"]
    assert findings["backends"]


def test_a_network_without_types_finds_nuclei_alone(tmp_path):
    card = take(
        save(net_of(3, types=0), tmp_path / "np.pth", lambda state: state), tmp_path / "mine", "nucleus"
    )
    assert card.classes == ("background", "nucleus")


class Loud:
    """A pickle that would run code."""

    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "cannot be read"),
        ("truncated", "damaged"),
        ("code", "holds more than weights"),
        ("empty", "holds no weights"),
        ("another", "no HoVer-Net"),
        ("key", "it lacks d2.units.0.conv1.weight"),
        ("more", "it also has extra"),
        ("classes", "has 5 classes besides background, the class map names 4"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path, capsys):
    path, state = tmp_path / "hover.tar", net_of(3).state_dict()
    if what == "key":
        del state["d2.units.0.conv1.weight"]
    if what == "more":
        state["extra"] = torch.zeros(1)
    content = {"code": Loud(), "empty": {"desc": {}}, "another": {"conv.weight": torch.zeros(1)}}
    if what != "missing":
        torch.save(content.get(what, {"desc": state}), path)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=said) as caught:
        take(path, tmp_path / "mine", "consep" if what == "classes" else "pannuke")
    assert "\n" not in str(caught.value)
    assert "run" not in capsys.readouterr().out
    assert [each.name for each in tmp_path.iterdir() if each != path] == []


def test_an_unknown_kind_and_a_folder_that_exists_are_refused(tmp_path):
    path = save(net_of(3), tmp_path / "hover.tar")
    with pytest.raises(UsageError, match="choose the kind of model from hovernet"):
        take(path, tmp_path / "mine", kind="hovver")
    with pytest.raises(OutputError, match="give a new folder"):
        take(path, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('classes = ["a", "b"]\ncells = ["lymphocyte"]', "for each of the 2 classes"),
        ('classes = ["a"]\ncells = ["lymphocite"]', "lymphocite: choose from"),
        ('classes = ["a", "a"]\ncells = ["other", "other"]', "classes must differ"),
        ("classes = 3", "classes"),
    ],
)
def test_a_class_map_with_holes_is_refused(text, said, tmp_path):
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_classes_map(str(tmp_path / "map.toml"))


def test_a_class_map_of_ones_own(tmp_path):
    (tmp_path / "map.toml").write_text('classes = ["tumour"]\ncells = ["carcinoma_cell"]')
    assert read_classes_map(str(tmp_path / "map.toml")).cells == ("carcinoma_cell",)
    with pytest.raises(UsageError, match="no known class map"):
        read_classes_map("pannuk")
