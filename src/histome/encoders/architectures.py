"""How publishers' networks are built, with random weights; libraries are imported when one is asked for."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FromFolder:
    """A network whose shape only its publisher's config.json states: timm makes it from that folder.

    Attributes
    ----------
    arguments : dict
        Of `timm.create_model`, besides what the file says.
    """

    arguments: dict[str, Any]


def timm(model: str, **arguments: Any) -> Any:
    """Build a model of timm, 224 px where nothing else is said; without a head."""
    from histome.encoders.vit import timm_encoder

    return timm_encoder(model_name=model, **{"img_size": 224, **arguments})


def timm_convolutions(model: str) -> Any:
    """Build a convolutional model of timm, its last maps averaged."""
    return timm(model, img_size=None, dynamic_img_size=None)


def dinov2(*, registers: int = 0, swiglu: bool = False, **config: Any) -> Any:
    """Build a DINOv2 of transformers; `config` as in its configuration."""
    import transformers

    if registers:
        made = transformers.Dinov2WithRegistersConfig(
            num_register_tokens=registers, use_swiglu_ffn=swiglu, **config
        )
        return transformers.Dinov2WithRegistersModel(made)
    return transformers.Dinov2Model(transformers.Dinov2Config(use_swiglu_ffn=swiglu, **config))


def vit(**config: Any) -> Any:
    """Build a ViT of transformers without its pooler."""
    import transformers

    return transformers.ViTModel(transformers.ViTConfig(**config), add_pooling_layer=False)
