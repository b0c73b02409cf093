"""Encoders of HistAI."""

from typing import Any

from histome.encoders.architectures import dinov2
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {
    **{"publisher": "HistAI", "license": "Apache-2.0", "mpp": 0.5, "input_px": 224, "patch_px": 14},
    **{"mean": (0.7068, 0.5755, 0.722), "std": (0.195, 0.2316, 0.1816), "paper": "arXiv:2406.05074"},
    "file": "model.safetensors",
}
_SHAPE: dict[str, Any] = {"patch_size": 14, "image_size": 224, "registers": 4}


@encoder(**_BY, dimension=768, hub="histai/hibou-b", parameters=85_728_768)
def hibou_b() -> Any:
    """ViT-B/14 with 4 register tokens pretrained with DINOv2; its class token."""
    return dinov2(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, **_SHAPE)


@encoder(**_BY, dimension=1024, gated=True, hub="histai/hibou-L", parameters=303_233_024)
def hibou_l() -> Any:
    """ViT-L/14 with 4 register tokens pretrained with DINOv2; its class token."""
    return dinov2(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, **_SHAPE)
