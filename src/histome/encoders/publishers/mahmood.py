"""Encoders of the Mahmood Lab (Harvard Medical School, Brigham and Women's Hospital)."""

from typing import Any

from histome.encoders.architectures import timm
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {"publisher": "Mahmood Lab", "gated": True, "license": "CC-BY-NC-ND-4.0", "mpp": 0.5}
_CONCH = (
    "its network is in its publisher's package; export its image tower to ONNX (float (n, 3, h, w) in, "
    "vectors out) and give --weights FILE.onnx"
)


@encoder(
    **_BY,
    dimension=1024,
    input_px=224,
    patch_px=16,
    parameters=303_350_784,
    hub="MahmoodLab/UNI",
    file="pytorch_model.bin",
    paper="doi:10.1038/s41591-024-02857-3",
)
def uni() -> Any:
    """ViT-L/16 pretrained with DINOv2 on 100,000 slides of Mass General Brigham; its class token."""
    return timm("vit_large_patch16_224", init_values=1e-5)


@encoder(
    **_BY,
    dimension=1536,
    input_px=224,
    patch_px=14,
    parameters=681_394_176,
    hub="MahmoodLab/UNI2-h",
    file="pytorch_model.bin",
)
def uni2_h() -> Any:
    """ViT-H/14 with 8 register tokens and SwiGLU, the successor of UNI; its class token."""
    from histome.encoders.vit import UNI2_H, timm_encoder

    return timm_encoder(**UNI2_H)


@encoder(
    **_BY,
    dimension=512,
    input_px=448,
    patch_px=16,
    pooling="own",
    hub="MahmoodLab/CONCH",
    file="pytorch_model.bin",
    needs=_CONCH,
    paper="doi:10.1038/s41591-024-02856-4",
)
def conch() -> Any:
    """ViT-B/16 image tower of a vision-language model (CoCa); its attention pool before the projection."""


@encoder(
    **_BY,
    dimension=768,
    input_px=448,
    patch_px=16,
    pooling="own",
    hub="MahmoodLab/conchv1_5",
    file="pytorch_model_vision.bin",
    needs=_CONCH,
)
def conch_v1_5() -> Any:
    """ViT-L/16 image tower, the tile encoder of TITAN."""
