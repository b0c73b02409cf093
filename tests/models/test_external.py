"""Weights outside the ONNX file: found wherever the format allows them, run only when the card vouches."""

import hashlib

import numpy as np
import onnx
import pytest
from helpers.tiny_models import segmenter_model
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from histome.errors import ModelError
from histome.models.card import load_card, write_card
from histome.models.external import _LEADS, external_files
from histome.models.runtime import Network

BACKENDS = pytest.mark.parametrize("backend", ["openvino", "cpu"])
MESSAGES = {
    "model": onnx.ModelProto,
    "training": onnx.TrainingInfoProto,
    "function": onnx.FunctionProto,
    "graph": onnx.GraphProto,
    "node": onnx.NodeProto,
    "attribute": onnx.AttributeProto,
    "sparse": onnx.SparseTensorProto,
    "tensor": onnx.TensorProto,
}


@pytest.fixture
def split(tmp_path):
    """A segmenter whose weights lie in mix.bin, and the same in one file."""
    whole = segmenter_model(tmp_path / "whole")
    model = onnx.load(whole.weights_path)
    convert_model_to_external_data(model, location="mix.bin", size_threshold=0)
    folder = tmp_path / "split"
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    card = whole.model_copy(update={"sha256": sha256(folder / "model.onnx")})
    return card.at(folder), whole


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def listed(card):
    """Return the card of the model in its folder, as read from its file, with mix.bin and its checksum."""
    folder = card.weights_path.parent
    write_card(card.model_copy(update={"external": {"mix.bin": sha256(folder / "mix.bin")}}), folder)
    return load_card(folder)


def outputs(card, backend):
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    return Network(card, backend=backend, precision="f32")(image)["probabilities"]


@BACKENDS
def test_weights_elsewhere_are_refused(split, backend, monkeypatch):
    card, _ = split
    monkeypatch.chdir(card.weights_path.parent)  # where OpenVINO would look for them
    with pytest.raises(ModelError, match=r"keeps weights in mix\.bin") as caught:
        Network(card, backend=backend)
    assert "\n" not in str(caught.value)


@BACKENDS
def test_weights_that_the_card_lists_are_run_from_the_models_folder(split, backend, monkeypatch, tmp_path):
    card, whole = split
    (tmp_path / "mix.bin").write_bytes(bytes(84))
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(outputs(listed(card), backend), outputs(whole, backend))


@BACKENDS
def test_changed_or_missing_weights_elsewhere_are_refused(split, backend, monkeypatch):
    card, _ = split
    vouched = listed(card)
    outside = card.weights_path.with_name("mix.bin")
    monkeypatch.chdir(outside.parent)
    outside.write_bytes(bytes(84))
    with pytest.raises(ModelError, match=r"mix\.bin: sha256"):
        Network(vouched, backend=backend)
    outside.unlink()
    with pytest.raises(ModelError, match=r"mix\.bin: weights cannot be read"):
        Network(vouched, backend=backend)


@pytest.mark.parametrize("name", ["../mix.bin", "/etc/passwd", "", "a/b.bin", "..", "mix\nbin"])
def test_a_card_lists_files_of_its_own_folder_only(split, name):
    card, _ = split
    path = write_card(card.model_copy(update={"external": {name: "0" * 64}}), card.weights_path.parent)
    with pytest.raises(ModelError, match="external"):
        load_card(path)


def test_the_table_of_fields_is_that_of_onnx():
    """Every field of an ONNX message that leads to a tensor is followed."""
    kinds = {cls.DESCRIPTOR.full_name: kind for kind, cls in MESSAGES.items()}
    for kind, cls in MESSAGES.items():
        fields = [field for field in cls.DESCRIPTOR.fields if field.message_type is not None]
        inner = {field.number: kinds.get(field.message_type.full_name) for field in fields}
        assert {number: name for number, name in inner.items() if name} == _LEADS[kind]


def tensor(name="w", location="w.bin"):
    made = numpy_helper.from_array(np.zeros(4, np.float32), name)
    made.ClearField("raw_data")
    made.data_location = TensorProto.EXTERNAL
    if location is not None:
        made.external_data.add(key="offset", value="0")
        made.external_data.add(key="location", value=location)
    return made


def graph(*, nodes=(), weights=()):
    return helper.make_graph(list(nodes), "g", [], [], list(weights))


def with_node(node):
    return helper.make_model(graph(nodes=[node]))


def in_a_graph_in_a_node():
    return with_node(helper.make_node("If", ["x"], ["y"], then_branch=graph(weights=[tensor()])))


def in_a_function():
    node = helper.make_node("Constant", [], ["y"], value=tensor())
    model = helper.make_model(graph())
    model.functions.append(helper.make_function("d", "f", [], ["y"], [node], [helper.make_opsetid("", 18)]))
    return model


def in_training():
    model = helper.make_model(graph())
    model.training_info.add().algorithm.CopyFrom(graph(weights=[tensor()]))
    return model


def in_a_sparse_weight():
    model = helper.make_model(graph())
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(tensor())
    return model


@pytest.mark.parametrize(
    "model",
    [
        helper.make_model(graph(weights=[tensor()])),
        with_node(helper.make_node("Constant", [], ["y"], value=tensor())),
        in_a_graph_in_a_node(),
        in_a_function(),
        in_training(),
        in_a_sparse_weight(),
    ],
)
def test_weights_elsewhere_are_found_wherever_they_stand(model):
    assert external_files(model.SerializeToString()) == {"w.bin"}


def test_weights_elsewhere_that_name_no_file_are_found():
    model = helper.make_model(graph(weights=[tensor(location=None)]))
    assert external_files(model.SerializeToString()) == {""}


def test_weights_inside_need_no_file():
    model = helper.make_model(graph(weights=[numpy_helper.from_array(np.zeros(4, np.float32), "w")]))
    assert external_files(model.SerializeToString()) == set()


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a number without a value
        b"\x3a\x05\x00",  # a graph longer than the file
        b"\x3b\x3c",  # a group
        b"\x00\x00",  # field 0
        b"\xba\x80\x80\x80\x10\x00",  # the tag of a graph with a bit beyond the 32nd
        b"\x80" * 11,
        b"\x3d\x00",  # a fixed number that is cut
    ],
)
def test_what_a_backend_might_read_otherwise_is_refused(data):
    with pytest.raises(ValueError, match="a "):
        external_files(data)
