"""Convolutions of repeated pixels, folded: the same function of the pixels, for fewer products."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from histome.models.graphs import fold_repeats
from histome.models.registry import find_model
from histome.models.runtime import import_openvino

SMALL, FINE, OUT = 3, 2, 5


def _graph(*, mode="nearest", pads=1, twice=2.0, order=("large", "fine"), more_users=False):
    """Read a graph that repeats `small`, joins it with `fine` and convolves both."""
    rng = np.random.default_rng(3)
    constants = {
        "scales": np.array([1, 1, twice, twice], np.float32),
        "weights": rng.standard_normal((OUT, SMALL + FINE, 3, 3)).astype(np.float32),
        "bias": rng.standard_normal(OUT).astype(np.float32),
    }
    about = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        helper.make_node("Resize", ["small", "", "scales"], ["large"], **about),
        helper.make_node("Concat", list(order), ["joined"], axis=1),
        helper.make_node("Conv", ["joined", "weights", "bias"], ["convolved"], pads=[pads] * 4),
        helper.make_node("Relu", ["convolved"], ["out"]),
    ]
    outputs = ["out", *(["seen"] if more_users else [])]
    nodes += [helper.make_node("Relu", ["joined"], ["seen"])] if more_users else []
    fine = (1, FINE, int(6 * twice), int(4 * twice))
    return _read(nodes, constants, {"small": (1, SMALL, 6, 4), "fine": fine}, outputs)


def _read(nodes, constants, inputs, outputs):
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    parts = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made_in_a_test", ports, ends, parts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return import_openvino().Core().read_model(model.SerializeToString())


def _run(graph, *, height=6, width=4):
    rng = np.random.default_rng(4)
    small = rng.standard_normal((1, SMALL, height, width)).astype(np.float32)
    fine = rng.standard_normal((1, FINE, 2 * height, 2 * width)).astype(np.float32)
    compiled = import_openvino().Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({"small": small, "fine": fine})[0]


def test_a_folded_convolution_is_the_same_function_up_to_the_border():
    graph = _graph()
    assert fold_repeats(graph) == 1
    assert "Interpolate" not in {node.get_type_name() for node in graph.get_ordered_ops()}
    np.testing.assert_allclose(_run(graph), _run(_graph()), atol=1e-4)


def test_a_folded_convolution_takes_windows_of_any_size():
    plain, folded = _graph(), _graph()
    fold_repeats(folded)
    sides = {"small": [1, SMALL, -1, -1], "fine": [1, FINE, -1, -1]}
    for graph in (plain, folded):
        graph.reshape(sides)
    np.testing.assert_allclose(_run(folded, height=3, width=7), _run(plain, height=3, width=7), atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"mode": "linear"}, {"pads": 0}, {"twice": 3.0}, {"order": ("fine", "large")}, {"more_users": True}],
    ids=str,
)
def test_what_is_something_else_stays_as_it_is(changes):
    graph = _graph(**changes)
    before = [node.get_type_name() for node in graph.get_ordered_ops()]
    assert fold_repeats(graph) == 0
    assert [node.get_type_name() for node in graph.get_ordered_ops()] == before


def test_signals_of_another_rank_stay_as_they_are():
    constants = {
        "scales": np.array([1, 1, 2], np.float32),
        "weights": np.ones((1, SMALL + FINE, 3), np.float32),
    }
    about = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        helper.make_node("Resize", ["small", "", "scales"], ["large"], **about),
        helper.make_node("Concat", ["large", "fine"], ["joined"], axis=1),
        helper.make_node("Conv", ["joined", "weights"], ["out"], pads=[1, 1]),
    ]
    assert (
        fold_repeats(_read(nodes, constants, {"small": (1, SMALL, 6), "fine": (1, FINE, 12)}, ["out"])) == 0
    )


def test_all_four_steps_up_of_the_shipped_network_of_nuclei_are_folded():
    card = find_model("nuclei")
    graph = import_openvino().Core().read_model(card.weights_path.read_bytes())
    graph.reshape({"image": [1, card.window_px, card.window_px, 3]})
    assert fold_repeats(graph) == 4
