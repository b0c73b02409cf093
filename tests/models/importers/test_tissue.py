"""Segmenters of tissue of others, as ONNX and as TorchScript."""

import warnings

import numpy as np
import onnx
import pytest
from helpers.cli import Cli
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.classes import TISSUE_CLASSES
from histome.errors import ModelError, OutputError, UsageError
from histome.models.importers import TissueLayout, import_tissue, read_tissue_layout
from histome.models.runtime import Network

SIDE, STRIDE, CLASSES = 64, 4, 5
TISSUES = ("background", "CARCINOMA", "STROMA", "STROMA", "NECROSIS")
WEIGHT = np.random.default_rng(0).normal(0, 0.3, (CLASSES, 3, STRIDE, STRIDE)).astype(np.float32)


def layout(**changes):
    fields = {
        "classes": ("none", "tumor", "stroma", "inflammation", "necrosis"),
        "tissues": TISSUES,
        "mpp": 1.0,
        "window_px": SIDE,
        "halo_px": 16,
    }
    return TissueLayout.model_validate(fields | changes)


def write_theirs(path, *, opset=13, element=TensorProto.FLOAT):
    """One convolution of stride 4; height and width are left open, as exporters do."""
    pixels = helper.make_tensor_value_info("image", element, ["n", 3, "h", "w"])
    answer = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", CLASSES, "y", "x"])
    node = helper.make_node("Conv", ["image", "w"], ["mean"], strides=[STRIDE, STRIDE])
    graph = helper.make_graph([node], "theirs", [pixels], [answer], [numpy_helper.from_array(WEIGHT, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def wanted(image, values="logits"):
    """The same with numpy: normalized, convolved, and summed over the classes of a tissue."""
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    pixels = ((image[0] / 255 - mean) / std).reshape(SIDE // STRIDE, STRIDE, SIDE // STRIDE, STRIDE, 3)
    logits = np.einsum("yixjc,kcij->kyx", pixels, WEIGHT)
    if values == "sigmoids":
        shares = 1 / (1 + np.exp(-logits))
    else:
        shares = np.exp(logits - logits.max(0))
        shares = shares / shares.sum(0)
    nothing = np.zeros_like(shares[0])
    summed = [
        sum((s for s, t in zip(shares, TISSUES, strict=True) if t == name), nothing)
        for name in TISSUE_CLASSES
    ]
    return np.clip(summed, 0, 1)[None]


@pytest.mark.parametrize(("opset", "values"), [(13, "logits"), (11, "logits"), (17, "sigmoids")])
def test_an_onnx_file_gives_the_sums_of_its_classes(opset, values, tmp_path):
    theirs = write_theirs(tmp_path / "theirs.onnx", opset=opset)
    card = import_tissue(theirs, tmp_path / "mine", layout=layout(values=values), license_="MIT")
    assert (card.task, card.classes, card.stride, card.license) == (
        "segmenter",
        TISSUE_CLASSES,
        STRIDE,
        "MIT",
    )
    assert "never finds EPITHELIAL_TISSUE, OTHER, BLOOD, VESSEL" in card.limits
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    outputs = Network(card, precision="f32", backend="cpu")(image)
    np.testing.assert_allclose(outputs["probabilities"], wanted(image, values), atol=1e-4)


@pytest.mark.slow
def test_torchscript_gives_the_same(tmp_path):
    net = torch.nn.Conv2d(3, CLASSES, STRIDE, stride=STRIDE, bias=False)
    net.weight.data = torch.from_numpy(WEIGHT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(net, torch.zeros(1, 3, SIDE, SIDE)).save(str(tmp_path / "theirs.pt"))
    card = import_tissue(tmp_path / "theirs.pt", tmp_path / "mine", layout=layout(), license_="MIT")
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    outputs = Network(card, precision="f32", backend="cpu")(image)
    np.testing.assert_allclose(outputs["probabilities"], wanted(image), atol=1e-4)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "cannot be read"),
        ("truncated", "no ONNX file"),
        ("state", "no TorchScript that becomes one"),
        ("integers", "takes something else than pixels"),
        ("classes", "the table names 4 classes"),
        ("window", "give another window_px"),
        ("probabilities", 'values = "logits" perhaps'),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path):
    path = tmp_path / ("theirs.pt" if what == "state" else "theirs.onnx")
    asked = layout()
    if what == "state":
        torch.save({"weight": torch.zeros(1)}, path)
    elif what != "missing":
        write_theirs(path, element=TensorProto.INT32 if what == "integers" else TensorProto.FLOAT)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    if what == "classes":
        asked = layout(classes=("a", "b", "c", "d"), tissues=TISSUES[:4])
    if what == "window":
        asked = layout(window_px=66)
    if what == "probabilities":
        asked = layout(values="probabilities", mean=(0.4, 0.4, 0.4))
    with pytest.raises(ModelError, match=said) as caught:
        import_tissue(path, tmp_path / "mine", layout=asked, license_="MIT")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir() if each != path] == []


def test_a_folder_that_exists_and_a_name_that_none_may_have_are_refused(tmp_path):
    theirs = write_theirs(tmp_path / "theirs.onnx")
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="give a new folder"):
        import_tissue(theirs, tmp_path / "mine", layout=layout(), license_="MIT")
    with pytest.raises(UsageError, match="its card would not hold"):
        import_tissue(theirs, tmp_path / "My Model", layout=layout(), license_="MIT")
    with pytest.raises(UsageError, match="its card would not hold"):
        import_tissue(theirs, tmp_path / "other", layout=layout(halo_px=32), license_="MIT")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tissues = ["STROMA"]', "one of ours for each of the 2 classes"),
        ('tissues = ["STROMA", "FAT"]', "FAT: choose from"),
        ('tissues = ["background", "background"]', "none of the classes is a tissue"),
        ('tissues = ["STROMA", "OTHER"]\nstd = [1, 0, 1]', "std must be above 0"),
        ('tissues = ["STROMA", "OTHER"]\nvalue = "logits"', "value"),
    ],
)
def test_a_table_with_holes_is_refused(text, said, tmp_path):
    (tmp_path / "layout.toml").write_text(f'classes = ["a", "b"]\nmpp = 1.0\nwindow_px = 512\n{text}')
    with pytest.raises(UsageError, match=said):
        read_tissue_layout(tmp_path / "layout.toml")


def test_the_command_imports_and_checks(capsys, tmp_path):
    cli = Cli(capsys)
    theirs = write_theirs(tmp_path / "theirs.onnx")
    names, tissues = (", ".join(f'"{word}"' for word in words) for words in ("abcde", TISSUES))
    (tmp_path / "layout.toml").write_text(
        f"classes = [{names}]\ntissues = [{tissues}]\nmpp = 1.0\nwindow_px = {SIDE}\nhalo_px = 16\n"
    )
    words = ("models", "import", "tissue", theirs, "-o", tmp_path / "mine", "--license", "MIT")
    _, out, err = cli(*words, "--classes", tmp_path / "layout.toml")
    assert "--tissue-model" in err + out
    assert "shapes" in out or "outputs" in out
    cli.fails(*words, "--classes", tmp_path / "no.toml", code=2, word="no file with classes, tissues")
