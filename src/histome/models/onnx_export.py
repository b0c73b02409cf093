"""A torch module as an ONNX file that a model's card can name."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
import torch
from torch import nn


def export_onnx(module: nn.Module, path: str, window_px: int, output_names: Sequence[str]) -> None:
    """Write `module` as ONNX with the static input "image" (1, window_px, window_px, 3) uint8."""
    image = torch.zeros((1, window_px, window_px, 3), dtype=torch.uint8)
    module.eval()
    with _quiet():
        torch.onnx.export(
            module,
            (image,),
            path,
            input_names=["image"],
            output_names=list(output_names),
            opset_version=18,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    _drop_traces(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words about torchvision and its own deprecated parts."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _drop_traces(path: str) -> None:
    """Remove the source lines that the exporter notes at every node: they name folders of this machine."""
    model = onnx.load(path)
    graph = model.graph
    for part in (
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
        graph,
        model,
    ):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)
