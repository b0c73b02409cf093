"""Encoders of Bioptimus."""

from typing import Any

from histome.encoders.architectures import FromFolder, timm
from histome.encoders.registry import encoder

_BY: dict[str, Any] = {
    **{"publisher": "Bioptimus", "mpp": 0.5, "input_px": 224, "patch_px": 14, "file": "pytorch_model.bin"},
    **{"mean": (0.707223, 0.578729, 0.703617), "std": (0.211883, 0.230117, 0.177517)},
}
_GIANT: dict[str, Any] = {"dimension": 1536, "parameters": 1_134_774_272}


@encoder(**_BY, **_GIANT, license="Apache-2.0", gated=True, hub="bioptimus/H-optimus-0")
def h_optimus_0() -> Any:
    """ViT-g/14 with 4 register tokens pretrained with DINOv2 on more than 500,000 slides; its class token."""
    return timm("vit_giant_patch14_reg4_dinov2", init_values=1e-5)


@encoder(**_BY, **_GIANT, license="CC-BY-NC-ND-4.0", gated=True, hub="bioptimus/H-optimus-1")
def h_optimus_1() -> Any:
    """ViT-g/14 with 4 register tokens, the successor of H-optimus-0; its class token."""
    return timm("vit_giant_patch14_reg4_dinov2", init_values=1e-5)


@encoder(
    **{**_BY, "file": "model.safetensors"},
    dimension=768,
    license="CC-BY-NC-ND-4.0",
    gated=True,
    hub="bioptimus/H0-mini",
    paper="arXiv:2501.16239",
)
def h0_mini() -> Any:
    """Distilled from H-optimus-0 into a ViT-B/14 with registers and SwiGLU; its class token."""
    return FromFolder({"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"})
