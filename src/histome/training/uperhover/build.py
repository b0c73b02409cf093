"""A fresh UperHoVer from the settings of a curriculum."""

from pickle import UnpicklingError
from warnings import catch_warnings, filterwarnings

import torch
from torch import nn

from histome.encoders import UNI2_H, find_encoder, timm_encoder
from histome.errors import UsageError
from histome.training.uperhover.config import CurriculumConfig, EncoderConfig
from histome.training.uperhover.encoder import EfficientNetLite, PlainViT, set_checkpointing
from histome.training.uperhover.network import UperHoVer

# What UperHoVer asks of an encoder.
_READ = ("blocks", "patch_embed", "forward_intermediates")


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


def start_weights(config: EncoderConfig) -> str:
    """Which encoder, and what its weights are where a stage starts, in words."""
    if config.weights is not None:
        return f"{config.name}, every stage starts from {config.weights}"
    if config.name == "efficientnet-lite0":
        return f"{config.name}, every stage starts from ImageNet's weights"
    told = f"{config.name}, every stage starts from random weights"
    return told if config.name == "plain" else f"{told}: name a file in encoder.weights for others"


def make_blank(config: CurriculumConfig) -> UperHoVer:
    """The network on the meta device, without any number: what its shapes are and what a step does."""
    blank = config.encoder.model_copy(update={"weights": None})
    with torch.device("meta"), catch_warnings():
        filterwarnings("ignore", "for .*: copying from a non-meta parameter")  # there is nothing to copy to
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
    if missing := [name for name in _READ if not hasattr(encoder, name)]:
        raise UsageError(
            f"encoder.name {config.name!r} has no {missing[0]}, which the taps read; take a vision "
            "transformer with one row of blocks, such as timm's vit_*, deit_*, beit* or eva02_*"
        )
    if config.weights is not None:
        try:
            state = torch.load(config.weights, weights_only=True, map_location="cpu")
            encoder.load_state_dict(state)
        except (OSError, EOFError, RuntimeError, TypeError, UnpicklingError) as error:
            line = " ".join(str(error).split())[:200]
            raise UsageError(f"{config.weights}: no weights of the encoder {config.name} ({line})") from error
    return encoder
