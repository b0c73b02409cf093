"""Weights: a local file first, the hub only when asked, nothing unpickled, nothing half loaded."""

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="encoders are networks")
from torch import nn

from histome.encoders import EncoderCard, open_encoder
from histome.encoders import weights as weights_module
from histome.encoders.weights import fetch_weights, find_weights, load_into
from histome.errors import ModelError, UsageError
from histome.models.hub import Offer, RemoteFile

TILES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten())


CARD = EncoderCard(
    name="small",
    publisher="me",
    about="A convolution.",
    dimension=4,
    mpp=0.5,
    input_px=8,
    pooling="own",
    hub="me/small",
    file="small.bin",
    license="MIT",
    build=small,
)


@pytest.fixture
def trained():
    network = small()
    with torch.no_grad():
        network[0].weight.mul_(2)
    return network


def wanted(network):
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (CARD.mean, CARD.std))
    with torch.no_grad():
        return network((torch.from_numpy(TILES).permute(0, 3, 1, 2) / 255 - mean) / std).numpy()


def write_onnx(path, network):
    """The convolution as ONNX: float (n, 3, 8, 8) in, (n, 4) out."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", ("n", 3, 8, 8)), ("y", ("n", 4)))
    ]
    weight, bias = (parameter.detach().numpy() for parameter in network[0].parameters())
    held = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"]), helper.make_node("Flatten", ["c"], ["y"])]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


@pytest.mark.parametrize("kind", ["bin", "wrapped.pth", "safetensors", "onnx"])
def test_every_kind_of_file_gives_the_networks_vectors(tmp_path, trained, kind):
    path = tmp_path / f"small.{kind}"
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(trained.state_dict(), path)
    elif kind == "onnx":
        write_onnx(path, trained)
    elif kind == "bin":
        torch.save(trained.state_dict(), path)
    else:
        held = {f"module.backbone.{name}": value for name, value in trained.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": held | {"module.head.weight": torch.zeros(1)}}, path)
    opened = open_encoder(CARD, path)
    np.testing.assert_allclose(opened(TILES), wanted(trained), rtol=1e-4, atol=1e-5)
    assert opened.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_in_the_folder_of_the_variable_is_found_by_its_name(tmp_path, trained, monkeypatch):
    monkeypatch.setenv("HISTOME_ENCODERS", str(tmp_path))
    torch.save(trained.state_dict(), tmp_path / "small.pt")
    np.testing.assert_allclose(open_encoder(CARD)(TILES), wanted(trained), rtol=1e-4, atol=1e-5)


def test_a_pickle_of_more_than_tensors_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (sys.exit, ())

    torch.save({"state": Harmful()}, tmp_path / "bad.pth")
    with pytest.raises(ModelError, match="holds more than weights"):
        open_encoder(CARD, tmp_path / "bad.pth")


def test_a_tensor_that_is_missing_or_of_another_shape_is_told(tmp_path, trained):
    state = dict(trained.state_dict())
    bias = state.pop("0.bias")
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(ModelError, match=r"it lacks 0\.bias"):
        load_into(small(), tmp_path / "part.pt")
    torch.save(state | {"0.bias": bias[:2]}, tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=r"has another shape of 0\.bias"):
        load_into(small(), tmp_path / "odd.pt")


@pytest.fixture
def hub(tmp_path, trained, monkeypatch):
    """A hub with one repository, and the files that were asked of it."""
    held = tmp_path / "hub.bin"
    torch.save(trained.state_dict(), held)
    asked = []

    def look_up(place):
        files = tuple(RemoteFile(name, "", held.stat().st_size, "") for name in ("small.bin", "README.md"))
        return Offer(place + "@abc", "mit", "open", files)

    def fetch_file(offer, file, path):
        asked.append(file.name)
        path.write_bytes(held.read_bytes())

    monkeypatch.setattr(weights_module, "look_up", look_up)
    monkeypatch.setattr(weights_module, "fetch_file", fetch_file)
    monkeypatch.setenv("HISTOME_ENCODERS", str(tmp_path / "encoders"))
    return asked


def test_the_hub_is_asked_only_when_it_may_be_and_once(hub, trained):
    with pytest.raises(UsageError, match="or give --hub"):
        find_weights(CARD)
    assert hub == []
    told = []
    opened = open_encoder(CARD, hub=True, told=told.append)
    np.testing.assert_allclose(opened(TILES), wanted(trained), rtol=1e-4, atol=1e-5)
    assert told == ["hf:me/small@abc: license mit, access open, 0 MB"]
    assert open_encoder(CARD, hub=True).sha256 == open_encoder(CARD).sha256 == opened.sha256
    assert hub == ["small.bin"]


def test_a_file_of_another_hash_is_refused_and_not_kept(hub, tmp_path):
    with pytest.raises(ModelError, match=r"sha256 of small\.bin is not 111111111111"):
        find_weights(replace(CARD, sha256="1" * 64), hub=True)
    assert list((tmp_path / "encoders").iterdir()) == []
    with pytest.raises(ModelError, match=r"no file other\.bin"):
        find_weights(replace(CARD, file="other.bin"), hub=True)
    with pytest.raises(UsageError, match="not on the hub"):
        fetch_weights(replace(CARD, hub=None), print)
