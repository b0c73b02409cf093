"""Foundation models: vision transformers made with timm, as their publishers' cards say."""

import importlib
import sys
from typing import Any

import torch
from torch import nn

from histome.errors import UsageError

# What `_import_timm` defines lives as long as this.
_STAND_INS = torch.library.Library("torchvision", "FRAGMENT")
# Arguments of timm.create_model for UNI2-h; its weights are gated: who holds them names their file (in a
# curriculum: `encoder.weights`). SwiGLUPacked and SiLU are put in by `timm_encoder`.
UNI2_H: dict[str, Any] = {
    "model_name": "vit_giant_patch14_224",
    "img_size": 224,
    "patch_size": 14,
    "depth": 24,
    "num_heads": 24,
    "init_values": 1e-5,
    "embed_dim": 1536,
    "mlp_ratio": 2.66667 * 2,
    "num_classes": 0,
    "no_embed_class": True,
    "mlp_layer": "SwiGLUPacked",
    "act_layer": "SiLU",
    "reg_tokens": 8,
    "dynamic_img_size": True,
}


def timm_encoder(**arguments: Any) -> nn.Module:
    """Make an encoder with timm; arguments of `timm.create_model`, such as `UNI2_H`.

    Raises UsageError where timm is not installed or does not import.
    """
    try:
        timm, layers = _import_timm()
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            f"timm does not import ({error}); install histome[vit], or take the encoder 'plain'"
        ) from error
    by_name = {"mlp_layer": layers, "act_layer": nn}
    named = {k: getattr(by_name[k], v) for k, v in arguments.items() if k in by_name and isinstance(v, str)}
    return timm.create_model(**{"dynamic_img_size": True, "num_classes": 0, **arguments, **named})


def _import_timm() -> tuple[Any, Any]:
    """Return timm and timm.layers, with stand-ins for operators of torchvision where its library is missing.

    The registry pairs the CPU build of torch with a CUDA build of torchvision: its Python part then asks for
    operators that nothing registered. timm calls none of them.
    """
    try:
        return importlib.import_module("timm"), importlib.import_module("timm.layers")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]
    for name in ("nms", "qnms"):
        _STAND_INS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("timm"), importlib.import_module("timm.layers")
