"""Encoders of Paige."""

from typing import Any

from histome.encoders.architectures import timm
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {"publisher": "Paige", "gated": True, "file": "pytorch_model.bin"}
_SHAPE: dict[str, Any] = {
    "dimension": 2560,
    "input_px": 224,
    "patch_px": 14,
    "mpp": 0.5,
    "pooling": "class+mean",
}
_VIT_H: dict[str, Any] = {
    "init_values": 1e-5,
    "mlp_ratio": 5.3375,
    "mlp_layer": "SwiGLUPacked",
    "act_layer": "SiLU",
}


@encoder(
    **_BY,
    **_SHAPE,
    license="Apache-2.0",
    hub="paige-ai/Virchow",
    parameters=631_229_184,
    paper="doi:10.1038/s41591-024-03141-0",
)
def virchow() -> Any:
    """ViT-H/14 pretrained with DINOv2 on 1.5 million slides; class token and mean of the patches."""
    return timm("vit_huge_patch14_224", **_VIT_H)


@encoder(
    **_BY,
    **_SHAPE,
    license="CC-BY-NC-ND-4.0",
    hub="paige-ai/Virchow2",
    parameters=631_239_424,
    paper="arXiv:2408.00738",
)
def virchow2() -> Any:
    """ViT-H/14 with 4 register tokens, 3.1 million slides, mixed magnifications; class token and patches."""
    return timm("vit_huge_patch14_224", reg_tokens=4, **_VIT_H)
