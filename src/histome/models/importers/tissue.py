"""Segmenters of tissue of any architecture, as ONNX or TorchScript: SegFormer, U-Net, what gives a class map.

What such a file does not say stands in a table: its classes and the tissue of ours that each is, resolution,
window, scaling of the pixels. Scaling and the sums of classes become part of the ONNX file.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper, version_converter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from histome.classes import TISSUE_CLASSES
from histome.config import read_settings
from histome.errors import ModelError, UsageError
from histome.models.card import Card
from histome.models.importers.torchscript import load_script
from histome.models.importers.write import imported_card, write_new
from histome.models.onnx_export import drop_traces, quiet_export

BACKGROUND = "background"
# Since this version a softmax is over one axis.
_OPSET = 13
_Three = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]


class TissueLayout(BaseModel):
    """What goes into a segmenter and what comes out.

    Attributes
    ----------
    classes : tuple of str
        In the order of its outputs, background included where it has one.
    tissues : tuple of str
        Of each, the one of `TISSUE_CLASSES` that it is, or "background" for what is none; several may be one.
    mpp : float, um/px
        It was trained at.
    window_px, halo_px : int, px
        Side of the window, a size that it takes; what of each side only gives context.
    mean, std : tuple of three float
        Its pixels are (RGB / 255 - mean) / std; of ImageNet if not given.
    values : "logits", "sigmoids" or "probabilities"
        What it gives: logits of one class a pixel, of each class by itself, or either's probabilities.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    tissues: tuple[str, ...]
    mpp: Annotated[float, Field(gt=0.05, lt=100)]
    window_px: Annotated[int, Field(ge=32, le=4096)]
    halo_px: Annotated[int, Field(ge=0)] = 64
    mean: _Three = (0.485, 0.456, 0.406)
    std: _Three = (0.229, 0.224, 0.225)
    values: Literal["logits", "sigmoids", "probabilities"] = "logits"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.tissues) != len(self.classes):
            raise ValueError(f"tissues must name one of ours for each of the {len(self.classes)} classes")
        if unknown := set(self.tissues) - {*TISSUE_CLASSES, BACKGROUND}:
            known = ", ".join((*TISSUE_CLASSES, BACKGROUND))
            raise ValueError(f"tissues: {', '.join(sorted(unknown))}: choose from {known}")
        if set(self.tissues) == {BACKGROUND}:
            raise ValueError("tissues: none of the classes is a tissue")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self


def read_tissue_layout(path: Path) -> TissueLayout:
    """Return the layout of a TOML file; raises UsageError for one that is not such a table."""
    if not path.is_file():
        raise UsageError(f"{path}: no file with classes, tissues, mpp and window_px")
    return read_settings(TissueLayout, path, what="entry")


def import_tissue(file: Path, out: Path, *, layout: TissueLayout, license_: str) -> Card:
    """Write model.onnx and card.toml of a segmenter into `out`, a new folder, and return the card.

    Raises
    ------
    ModelError
        A file that is neither ONNX nor TorchScript, another number of classes, a size that it does not take.
    OutputError
        The folder exists.
    """

    def save(path: Path) -> tuple[str, ...]:
        onnx.save(model, path)
        drop_traces(str(path))
        return ()

    theirs = _plain_onnx(file, layout.window_px)
    side = _answer_side(theirs, file, layout)
    model = _in_our_form(theirs, layout)
    missing = [name for name in TISSUE_CLASSES if name not in layout.tissues]
    card = imported_card(
        file,
        kind="tissue",
        name=out.name,
        license_=license_,
        task="segmenter",
        classes=TISSUE_CLASSES,
        mpp=layout.mpp,
        window_px=layout.window_px,
        halo_px=layout.halo_px,
        stride=layout.window_px // side,
        limits=(f"never finds {', '.join(missing)}",) if missing else (),
    )
    return write_new(out, card, save)


def _plain_onnx(file: Path, side: int) -> onnx.ModelProto:
    """The file's network as ONNX with one input of pixels (1, 3, side, side)."""
    if not file.is_file():
        raise ModelError(f"{file}: cannot be read (no such file)")
    try:
        model = onnx.load(file) if file.suffix == ".onnx" else _traced(file, side)
        old = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")) < _OPSET
        model = version_converter.convert_version(model, _OPSET) if old else model
    except Exception as error:  # protobuf, onnx and TorchScript have many of their own
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file}: no ONNX file, and no TorchScript that becomes one ({reason})") from error
    held = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in held]
    shape = inputs[0].type.tensor_type if len(inputs) == 1 else None
    if shape is None or shape.elem_type != TensorProto.FLOAT or len(shape.shape.dim) != 4:
        raise ModelError(f"{file}: takes something else than pixels as float32 (1, 3, height, width)")
    return model


def _traced(file: Path, side: int) -> onnx.ModelProto:
    """TorchScript as ONNX."""
    with tempfile.TemporaryDirectory() as folder, quiet_export():
        path = str(Path(folder) / "traced.onnx")
        network = load_script(file)
        # What was scripted is exported as it is; the newer exporter takes Python alone.
        torch.onnx.export(network, (torch.zeros(1, 3, side, side),), path, opset_version=18, dynamo=False)
        return onnx.load(path)


def _answer_side(model: onnx.ModelProto, file: Path, layout: TissueLayout) -> int:
    """Side of the class map of one window, which it is run for; raises ModelError where it does not fit."""
    import onnxruntime

    window, k = layout.window_px, len(layout.classes)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        pixels = np.random.default_rng(0).standard_normal((1, 3, window, window), np.float32)
        answer = np.asarray(session.run(None, {name: pixels})[0])
    except Exception as error:  # the runtime's errors have no public base
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file}: does not run on windows of {window} px ({reason})") from error
    shape = answer.shape
    if len(shape) != 4 or shape[1] != k:
        raise ModelError(
            f"{file}: gives {shape}, the table names {k} classes: (1, {k}, height, width) is asked"
        )
    if shape[2] != shape[3] or window % shape[2]:
        raise ModelError(f"{file}: gives a map of {shape[2:]} px for {window} px; give another window_px")
    if layout.values == "probabilities" and not (answer.min() >= -1e-3 and answer.max() <= 1.001):
        raise ModelError(f'{file}: gives {answer.min():.3g} to {answer.max():.3g}: values = "logits" perhaps')
    return int(shape[2])


def _in_our_form(theirs: onnx.ModelProto, layout: TissueLayout) -> onnx.ModelProto:
    """The same network from uint8 (1, H, W, 3) to the probabilities of our tissues."""
    model = onnx.compose.add_prefix(theirs, "theirs/")
    graph, side = model.graph, layout.window_px
    held = {each.name for each in graph.initializer}
    pixels = next(each.name for each in graph.input if each.name not in held)
    answer = graph.output[0].name
    ours = np.array([[t == name for t in layout.tissues] for name in TISSUE_CLASSES], np.float32)
    scale = 255 * np.array(layout.std, np.float32)
    constants = {
        "mean": 255 * np.array(layout.mean, np.float32).reshape(1, 3, 1, 1),
        "scale": scale.reshape(1, 3, 1, 1),
        "tissues": ours[:, :, None, None],
        "none": np.float32(0),
        "all": np.float32(1),
    }
    before = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "mean"], ["centered"]),
        helper.make_node("Div", ["centered", "scale"], [pixels]),
    ]
    last = {
        "logits": helper.make_node("Softmax", [answer], ["shares"], axis=1),
        "sigmoids": helper.make_node("Sigmoid", [answer], ["shares"]),
        "probabilities": helper.make_node("Identity", [answer], ["shares"]),
    }
    after = [
        last[layout.values],
        helper.make_node("Conv", ["shares", "tissues"], ["summed"]),
        # Of sigmoids the sum may be above 1.
        helper.make_node("Clip", ["summed", "none", "all"], ["probabilities"]),
    ]
    nodes = [*before, *graph.node, *after]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, side, side, 3])
    shape = [1, len(TISSUE_CLASSES), None, None]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)
    made = helper.make_graph(nodes, "tissue", [image], [output], list(graph.initializer))
    made.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    made.sparse_initializer.extend(graph.sparse_initializer)
    opsets, functions = model.opset_import, model.functions
    return helper.make_model(made, opset_imports=opsets, ir_version=model.ir_version, functions=functions)
