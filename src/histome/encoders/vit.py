"""Foundation models: vision transformers made with timm, as their publishers' cards say."""

import importlib
import logging
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

from torch import nn

from histome.errors import UsageError

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

    Raises UsageError where timm is not installed or does not import, or does not know or fetch the model.
    """
    try:
        timm, layers = _import_timm()
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            f"timm does not import ({error}); install histome[vit], or take the encoder 'plain'"
        ) from error
    by_name = {"mlp_layer": layers, "act_layer": nn}
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a line for each of its retries
    named = {k: getattr(by_name[k], v) for k, v in arguments.items() if k in by_name and isinstance(v, str)}
    try:
        return timm.create_model(**{"dynamic_img_size": True, "num_classes": 0, **arguments, **named})
    except OSError as error:
        raise UsageError(
            f"{arguments['model_name']!r} cannot be fetched from its hub; without a network take a name that "
            "timm knows (uni2-h is known here) and a file of weights"
        ) from error
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"timm makes no vision transformer {arguments['model_name']!r} ({reason})"
        ) from error


def _import_timm() -> tuple[Any, Any]:
    return import_without_torchvision("timm"), importlib.import_module("timm.layers")


def import_without_torchvision(name: str) -> Any:
    """Import timm, or what stands on it; their torchvision is a stand-in meanwhile.

    They ask for torchvision, and a vision transformer and its losses call nothing of it. The CPU build of
    torch is paired with a CUDA build of torchvision that does not import; what others import stays as it is.
    """
    if name not in sys.modules:
        before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_torchvision(name)}
        sys.meta_path.insert(0, finder := _StandIns())
        try:
            importlib.import_module(name)
        finally:
            sys.meta_path.remove(finder)
            for other in [other for other in sys.modules if _is_torchvision(other)]:
                del sys.modules[other]
            sys.modules.update(before)
    return importlib.import_module(name)


def _is_torchvision(name: str) -> bool:
    return name.split(".")[0] == "torchvision"


class _StandIns(MetaPathFinder, Loader):
    """Finds torchvision and all below it: modules with whatever is asked of them."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A package for torchvision, nothing for any other name."""
        return ModuleSpec(fullname, self, is_package=True) if _is_torchvision(fullname) else None

    def exec_module(self, module: Any) -> None:
        """Give the module its attributes."""
        module.__getattr__ = _stand_in


class _Named(type):
    """A class with whatever attributes are asked of it, such as members of an enumeration."""

    def __getattr__(cls, name: str) -> str:
        return _asked(name)


def _stand_in(name: str) -> type:
    return _Named(_asked(name), (), {})


def _asked(name: str) -> str:
    if name.startswith("__"):  # by Python itself
        raise AttributeError(name)
    return name
