"""Tile encoder of Prov-GigaPath (Microsoft Research, Providence)."""

from typing import Any

from histome.encoders.architectures import timm
from histome.encoders.registry import encoder


@encoder(
    publisher="Microsoft",
    license="Apache-2.0",
    gated=True,
    dimension=1536,
    mpp=0.5,
    input_px=224,
    patch_px=16,
    parameters=1_134_953_984,
    hub="prov-gigapath/prov-gigapath",
    file="pytorch_model.bin",
    paper="doi:10.1038/s41586-024-07441-w",
)
def prov_gigapath() -> Any:
    """ViT-g/16 pretrained with DINOv2 on 171,189 slides; its class token. Tiles of 256 px lose their rims."""
    return timm(
        "vit_giant_patch14_dinov2",
        patch_size=16,
        embed_dim=1536,
        depth=40,
        num_heads=24,
        mlp_ratio=5.33334,
        init_values=1e-5,
    )
