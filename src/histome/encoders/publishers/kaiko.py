"""Encoders of kaiko.ai."""

from typing import Any

from histome.encoders.architectures import dinov2, timm
from histome.encoders.card import HALF
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {
    "publisher": "kaiko.ai",
    "gated": False,
    "mean": HALF,
    "std": HALF,
    "mpp": 0.5,
    "input_px": 224,
}
_SMALL: dict[str, Any] = {
    **_BY,
    "license": "kaiko non-commercial",
    "paper": "arXiv:2404.15217",
    "file": "model.safetensors",
}
_HUB = "1aurent/{}.kaiko_ai_towards_large_pathology_fms"


@encoder(
    **_SMALL, dimension=384, patch_px=16, hub=_HUB.format("vit_small_patch16_224"), parameters=21_665_664
)
def kaiko_vits16() -> Any:
    """ViT-S/16 pretrained on TCGA at several magnifications; its class token."""
    return timm("vit_small_patch16_224")


@encoder(**_SMALL, dimension=384, patch_px=8, hub=_HUB.format("vit_small_patch8_224"), parameters=21_670_272)
def kaiko_vits8() -> Any:
    """ViT-S/8 pretrained on TCGA at several magnifications; its class token."""
    return timm("vit_small_patch8_224")


@encoder(**_SMALL, dimension=768, patch_px=16, hub=_HUB.format("vit_base_patch16_224"), parameters=85_798_656)
def kaiko_vitb16() -> Any:
    """ViT-B/16 pretrained on TCGA at several magnifications; its class token."""
    return timm("vit_base_patch16_224")


@encoder(**_SMALL, dimension=768, patch_px=8, hub=_HUB.format("vit_base_patch8_224"), parameters=85_807_872)
def kaiko_vitb8() -> Any:
    """ViT-B/8 pretrained on TCGA at several magnifications; its class token."""
    return timm("vit_base_patch8_224")


@encoder(
    **_SMALL,
    dimension=1024,
    patch_px=14,
    hub=_HUB.format("vit_large_patch14_reg4_dinov2"),
    parameters=304_370_688,
)
def kaiko_vitl14() -> Any:
    """ViT-L/14 with 4 register tokens, positions of 518 px, pretrained on TCGA; its class token."""
    return timm("vit_large_patch14_reg4_dinov2", img_size=518)


@encoder(
    **_BY,
    license="MIT",
    dimension=3072,
    patch_px=14,
    pooling="class+mean",
    hub="kaiko-ai/midnight",
    file="model.safetensors",
    parameters=1_136_480_768,
    paper="arXiv:2504.05186",
)
def midnight_12k() -> Any:
    """ViT-g/14 pretrained on 12,000 slides of TCGA at 0.25-2 um/px; class token and mean of the patches."""
    return dinov2(
        hidden_size=1536,
        num_hidden_layers=40,
        num_attention_heads=24,
        patch_size=14,
        image_size=518,
        swiglu=True,
    )
