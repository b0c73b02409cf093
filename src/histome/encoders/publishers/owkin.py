"""Encoders of Owkin."""

from typing import Any

from histome.encoders.architectures import dinov2, vit
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {
    "publisher": "Owkin",
    "gated": False,
    "license": "Owkin non-commercial",
    "mpp": 0.5,
    "patch_px": 16,
}


@encoder(
    **_BY,
    dimension=768,
    input_px=224,
    parameters=85_798_656,
    hub="owkin/phikon",
    file="model.safetensors",
    paper="doi:10.1101/2023.07.21.23292757",
)
def phikon() -> Any:
    """ViT-B/16 pretrained with iBOT on 40 million tiles of TCGA; its class token."""
    return vit()


@encoder(
    **_BY,
    dimension=1024,
    input_px=224,
    parameters=303_351_808,
    hub="owkin/phikon-v2",
    file="model.safetensors",
    paper="arXiv:2409.09173",
)
def phikon_v2() -> Any:
    """ViT-L/16 pretrained with DINOv2 on public slides; its class token."""
    return dinov2(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, patch_size=16, image_size=224
    )
