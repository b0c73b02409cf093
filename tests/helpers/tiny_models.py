"""Small ONNX models with known outputs, and cards for them."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.models.card import Card, DataSource, Thresholds, write_card

_PARTS = {"tissue": "tissue", "cells": "nuclei"}


def stardist_model(
    folder: Path, *, window_px: int = 64, rename: dict[str, str] | None = None, classes: int = 9
) -> Card:
    """Write an ONNX of two random convolutions with a star-convex detector's outputs, and its card."""
    rng = np.random.default_rng(1)
    heads = {"prob": 1, "dist": 32, "logits": classes}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "stem"], ["stemmed"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["stemmed"], ["features"]),
    ]
    weights = {"scale": np.float32(1 / 255), "stem": _normal(rng, (16, 3, 3, 3))}
    for head, channels in heads.items():
        weights[f"w_{head}"] = _normal(rng, (channels, 16, 3, 3))
        nodes.append(helper.make_node("Conv", ["features", f"w_{head}"], [f"raw_{head}"], pads=[1, 1, 1, 1]))
        activation = {"prob": "Sigmoid", "dist": "Softplus", "logits": "Identity"}[head]
        nodes.append(helper.make_node(activation, [f"raw_{head}"], [(rename or {}).get(head, head)]))
    sizes = {(rename or {}).get(head, head): channels for head, channels in heads.items()}
    return _write(folder, nodes, weights, sizes, task="stardist", classes=CELL_CLASSES, window_px=window_px)


def dark_detector(folder: Path, *, window_px: int = 128, bgr: bool = False, darkest: float = 150.0) -> Card:
    """Write an ONNX that calls every dark place a nucleus of 4 px radius, and its card; sees 2 x 2 px."""
    color = np.array([0.5, 0.4, 0.1], np.float32)[:: -1 if bgr else 1].reshape(1, 3, 1, 1)
    weights = {
        "mean": np.broadcast_to(color / 4, (1, 3, 2, 2)).copy(),
        "slope": np.float32(-0.2),
        "offset": np.float32(0.2 * darkest),
        "w_dist": np.zeros((32, 1, 1, 1), np.float32),
        "b_dist": np.full(32, 4.0, np.float32),
        "w_logits": np.linspace(-0.02, 0.02, 9, dtype=np.float32).reshape(9, 1, 1, 1),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "mean"], ["light"], strides=[2, 2]),
        helper.make_node("Mul", ["light", "slope"], ["darkness"]),
        helper.make_node("Add", ["darkness", "offset"], ["raw"]),
        helper.make_node("Sigmoid", ["raw"], ["prob"]),
        helper.make_node("Conv", ["light", "w_dist", "b_dist"], ["dist"]),
        helper.make_node("Conv", ["light", "w_logits"], ["logits"]),
    ]
    sizes = {"prob": 1, "dist": 32, "logits": 9}
    return _write(folder, nodes, weights, sizes, task="stardist", classes=CELL_CLASSES, window_px=window_px)


def tiny_settings(folder: Path, *, dark: bool = False, more: str = "") -> Path:
    """Write two models of a few weights and settings that name them, and return the settings.

    `dark` takes the `dark_detector`, in many small windows; `more` is TOML behind the models.
    """
    segmenter_model(folder / "tiny-tissue")
    if dark:
        dark_detector(folder / "tiny-nuclei", window_px=64)
    else:
        stardist_model(folder / "tiny-nuclei")
    lines = [f'[{part}]\nmodel = "{folder / f"tiny-{name}"}"' for part, name in _PARTS.items()]
    path = folder / "settings.toml"
    path.write_text("\n".join([*lines, more, ""]))
    return path


def segmenter_model(folder: Path, *, window_px: int = 64) -> Card:
    """Write an ONNX whose seven probabilities are a known function of the pixel, and its card."""
    weights = {"mix": np.linspace(-0.01, 0.01, 21, dtype=np.float32).reshape(7, 3, 1, 1)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "mix"], ["raw"], strides=[2, 2]),
        helper.make_node("Sigmoid", ["raw"], ["probabilities"]),
    ]
    sizes = {"probabilities": 7}
    return _write(
        folder, nodes, weights, sizes, task="segmenter", classes=TISSUE_CLASSES, window_px=window_px
    )


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def _write(folder, nodes, weights, sizes, *, task, classes, window_px) -> Card:
    folder.mkdir(parents=True, exist_ok=True)
    side = window_px // 2
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, window_px, window_px, 3])
    outputs = [
        helper.make_tensor_value_info(o, TensorProto.FLOAT, [1, n, side, side]) for o, n in sizes.items()
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "made_in_a_test", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    card = Card(
        name=folder.name,
        task=task,
        description="made in a test",
        classes=classes,
        mpp=0.5,
        window_px=window_px,
        halo_px=8,
        stride=2,
        sha256=hashlib.sha256(data).hexdigest(),
        thresholds=Thresholds(prob=0.5, nms=0.3, abstain=0.4),
        training_data=(DataSource(name="none", license="CC0-1.0"),),
        scores={"f1": {"value": 0.75, "low": 0.7, "high": 0.8, "units": 10}},
    )
    write_card(card, folder)
    return card.at(folder)
