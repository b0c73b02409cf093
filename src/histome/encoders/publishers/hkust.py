"""Encoders of the Hong Kong University of Science and Technology."""

from typing import Any

from histome.encoders.architectures import timm
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {"publisher": "HKUST", "dimension": 1024, "mpp": 0.5, "input_px": 224}


@encoder(
    **_BY,
    license="MIT",
    gated=False,
    patch_px=14,
    hub="majiabo/GPFM",
    file="GPFM.pth",
    parameters=303_227_904,
    paper="arXiv:2407.18449",
)
def gpfm() -> Any:
    """ViT-L/14 distilled from several encoders; its class token."""
    return timm("vit_large_patch14_dinov2", init_values=1e-5)


@encoder(
    **_BY,
    gated=True,
    patch_px=16,
    hub="Wangyh/mSTAR",
    file="pytorch_model.bin",
    parameters=303_350_784,
    paper="arXiv:2407.15362",
)
def mstar() -> Any:
    """ViT-L/16 taught by slides, reports and gene expression; its class token."""
    return timm("vit_large_patch16_224", init_values=1e-5)
