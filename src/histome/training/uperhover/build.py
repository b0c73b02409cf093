"""A fresh UperHoVer from the settings of a curriculum."""

from pickle import UnpicklingError

import torch
from torch import nn

from histome.encoders import UNI2_H, find_encoder, timm_encoder
from histome.errors import UsageError
from histome.training.uperhover.config import CurriculumConfig, EncoderConfig
from histome.training.uperhover.encoder import EfficientNetLite, PlainViT, set_checkpointing
from histome.training.uperhover.network import UperHoVer


def make_network(config: CurriculumConfig) -> UperHoVer:
    """A fresh network: the encoder's start weights, decoders random by the seed."""
    torch.manual_seed(config.training.seed)
    encoder = make_encoder(config.encoder)
    net = UperHoVer(encoder, taps=config.encoder.taps, **config.decoder.model_dump())
    if config.encoder.frozen:
        encoder.requires_grad_(False)
    if config.encoder.checkpointing:
        set_checkpointing(encoder, True)
    return net


def make_blank(config: CurriculumConfig) -> UperHoVer:
    """The network on the meta device, without any number: what its shapes are and what a step does."""
    blank = config.encoder.model_copy(update={"weights": None})
    with torch.device("meta"):
        return make_network(config.model_copy(update={"encoder": blank}))


def make_encoder(config: EncoderConfig) -> nn.Module:
    """The encoder with its start weights."""
    if config.name == "plain":
        encoder: nn.Module = PlainViT(config.width, config.depth, config.heads, config.patch_px)
    elif config.name == "efficientnet-lite0":
        known = find_encoder("imagenet-efficientnet-lite0")
        assert known.build is not None
        assert known.mean is not None
        assert known.std is not None
        encoder = EfficientNetLite(known.build(), known.mean[0], known.std[0])
    elif config.name == "uni2-h":
        encoder = timm_encoder(**UNI2_H)
    else:
        encoder = timm_encoder(model_name=config.name)
    if config.weights is not None:
        try:
            state = torch.load(config.weights, weights_only=True, map_location="cpu")
            encoder.load_state_dict(state)
        except (OSError, EOFError, RuntimeError, TypeError, UnpicklingError) as error:
            line = " ".join(str(error).split())[:200]
            raise UsageError(f"{config.weights}: no weights of the encoder {config.name} ({line})") from error
    return encoder
