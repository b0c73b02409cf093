"""A torch module as an ONNX file that a model's card can name."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import nn

# A file of ONNX is one message of protobuf, of at most 2 GiB; the rest of the graph needs room too.
LARGEST_INLINE_BYTES = 1_800_000_000


def export_onnx(module: nn.Module, path: str, window_px: int, output_names: Sequence[str]) -> tuple[str, ...]:
    """Write `module` as ONNX with the static input "image" (1, window_px, window_px, 3) uint8.

    Returns the names of the files beside it that hold its weights: none, or one where they are too large for
    a file of ONNX (2 GB).
    """
    image = torch.zeros((1, window_px, window_px, 3), dtype=torch.uint8)
    module.eval()
    beside = sum(p.nbytes for p in module.parameters()) > LARGEST_INLINE_BYTES
    # What was scripted is exported as it is; the newer exporter takes Python alone.
    scripted = any(isinstance(part, torch.jit.ScriptModule) for part in module.modules())
    # Tracing runs it on a whole window: what gradients would need is not kept.
    with quiet_export(), torch.set_grad_enabled(not scripted):
        module = torch.jit.trace(module, image, check_trace=False) if scripted else module  # type: ignore[assignment]
        torch.onnx.export(
            module,
            (image,),
            path,
            input_names=["image"],
            output_names=list(output_names),
            opset_version=18,
            dynamo=not scripted,
            external_data=beside,
            verbose=False,
        )
    drop_traces(path)
    return (f"{Path(path).name}.data",) if beside else ()


@contextmanager
def quiet_export() -> Iterator[None]:
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


def drop_traces(path: str) -> None:
    """Remove the source lines that the exporter notes at every node: they name folders of this machine."""
    model = onnx.load(path, load_external_data=False)
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
