"""OpenVINO's graphs: what is rewritten when a model is loaded, and how they are run.

A U-Net makes a map twice as large by repeating its pixels, joins it to the finer one and convolves both by
3 x 3 pixels. Of a window's nine pixels of the repeated map at most four differ. The sums of their weights are
one convolution that runs backward (4 x 4, stride 2) on the small map: 15 % fewer products for histome's
network of nuclei, nothing repeated in memory, the same values but for rounding.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# Of outputs of so many planes: a CPU computes all values of a pixel beside each other, and to lay 32 of them
# out as planes takes a tenth of the time of the network that computes them.
_MANY_PLANES = 16


def fold_repeats(graph: Any) -> int:
    """Rewrite an OpenVINO graph in place; returns how many convolutions were folded."""
    found = [node for node in graph.get_ordered_ops() if _joins_repeated(node)]
    for joined in found:
        _fold(joined)
    graph.validate_nodes_and_infer_types()
    return len(found)


def _joins_repeated(joined: Any) -> bool:
    """Whether a node joins a map repeated 2 x 2 and another, for one 3 x 3 convolution of stride 1."""
    if joined.get_type_name() != "Concat" or joined.get_input_size() != 2 or joined.get_axis() not in (1, -3):
        return False
    users = list(joined.output(0).get_target_inputs())
    return len(users) == 1 and _is_repeat(joined.input_value(0)) and _is_plain(users[0].get_node())


def _is_repeat(planes: Any) -> bool:
    node = planes.get_node()
    if node.get_type_name() != "Interpolate" or len(planes.get_target_inputs()) != 1:
        return False
    small, large = node.input_value(0).partial_shape, planes.partial_shape
    if not (small.is_static and large.is_static and len(small) == len(large) == 4):
        return False
    about = node.get_attributes()
    how = tuple(about[name] for name in ("mode", "coordinate_transformation_mode", "nearest_mode"))
    n, channels, height, width = small.to_shape()
    doubled = [n, channels, 2 * height, 2 * width] == list(large.to_shape())
    return doubled and how == ("nearest", "asymmetric", "floor")


def _is_plain(node: Any) -> bool:
    if node.get_type_name() != "Convolution":
        return False
    weights, about = node.input_value(1), node.get_attributes()
    kept = (
        weights.get_node().get_type_name() == "Constant"
        and weights.get_element_type().get_type_name() == "f32"
    )
    around = {name: list(about[name]) for name in ("strides", "dilations", "pads_begin", "pads_end")}
    return kept and list(weights.shape[2:]) == [3, 3] and all(v == [1, 1] for v in around.values())


def _fold(joined: Any) -> None:
    from openvino import opset13

    small, fine = joined.input_value(0).get_node().input_value(0), joined.input_value(1)
    convolved = next(iter(joined.output(0).get_target_inputs())).get_node()
    weights = np.array(convolved.input_value(1).get_node().data, np.float32)
    of_small, of_fine = np.split(weights, [small.shape[1]], axis=1)
    backward = np.ascontiguousarray(_both_axes(of_small).transpose(1, 0, 2, 3))
    around: dict[str, Any] = {name: [1, 1] for name in ("pads_begin", "pads_end", "dilations")}
    total = opset13.add(
        opset13.convolution_backprop_data(small, backward, [2, 2], **around),
        opset13.convolution(fine, np.ascontiguousarray(of_fine), [1, 1], **around),
    )
    for user in convolved.output(0).get_target_inputs():
        user.replace_source_output(total.output(0))


def _both_axes(weights: Float32) -> Float32:
    """Weights of 3 x 3 on repeated pixels as those of 4 x 4 that each small pixel has on the large map."""
    for axis in (2, 3):
        before, here, after = np.moveaxis(weights, axis, 0)
        weights = np.moveaxis(np.stack([after, here + after, before + here, before]), 0, axis)
    return weights


def keep_pixels_whole(graph: Any) -> set[int]:
    """Give outputs of many planes as (1, h, w, planes), as they are computed; returns which ones."""
    from openvino import opset13

    turned = set()
    for place, result in enumerate(graph.get_results()):
        planes = result.input_value(0)
        if len(planes.shape) == 4 and planes.shape[1] >= _MANY_PLANES:
            pixels = opset13.transpose(planes, np.array([0, 2, 3, 1], np.int64))
            result.input(0).replace_source_output(pixels.output(0))
            turned.add(place)
    graph.validate_nodes_and_infer_types()
    return turned


class OpenVinoRun:
    """A compiled model with one infer request for each thread that calls it.

    `names` are those of its outputs; those whose places are in `by_pixels` it gives as (1, h, w, planes).
    """

    def __init__(self, compiled: Any, names: tuple[str, ...], by_pixels: set[int]) -> None:
        self._compiled = compiled
        self._names = names
        self._by_pixels = by_pixels
        self._mine = threading.local()

    def __call__(self, image: NDArray[np.uint8]) -> dict[str, Float32]:
        """Return the outputs of one window by name, each (1, planes, h, w)."""
        if not hasattr(self._mine, "request"):
            self._mine.request = self._compiled.create_infer_request()
        arrays = self._mine.request.infer([image]).to_tuple()
        return {
            name: np.moveaxis(array, -1, 1) if place in self._by_pixels else array
            for place, (name, array) in enumerate(zip(self._names, arrays, strict=True))
        }
