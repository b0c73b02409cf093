"""The maps inside an encoder, finest first, for heads that learn on them: the encoder itself does not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histome.encoders import EncoderCard, find_encoder, open_encoder
from histome.encoders.card import IMAGENET_MEAN, IMAGENET_STD
from histome.errors import UsageError
from histome.models.onnx_export import LARGEST_INLINE_BYTES
from histome.training.checkpoint import CHECKPOINT, read_state
from histome.training.encoders.network import PlainEncoder, load_student
from histome.training.encoders.pretraining import load_encoder
from histome.training.networks import scale_pixels, strided_maps

# Input pixels a pixel of the maps that a head reads.
STRIDES = (4, 8, 16, 32)
_BINS = 16

Maps = Callable[[Tensor], Sequence[Tensor]]


class FrozenMaps(nn.Module):
    """Four maps of an encoder, at `STRIDES`; only what LoRA added is trained of it, its norms count nothing.

    Parameters
    ----------
    encoder : nn.Module
        What the maps are of.
    read : callable
        Pixels (N, 3, H, W), 0-255, to four maps; those of a transformer have one size and are resized here.
    name, terms : str
        What the encoder is called, and its license.

    Attributes
    ----------
    lora : int
        Rank of what `add_lora` added; 0: nothing.
    """

    def __init__(self, encoder: nn.Module, read: Maps, name: str, terms: str = "Apache-2.0") -> None:
        super().__init__()
        self.encoder, self.read = encoder.requires_grad_(False).eval(), read
        self.name, self.terms, self.lora = name, terms, 0
        with torch.no_grad():
            self.channels = tuple(one.shape[1] for one in self(torch.zeros(1, 3, 128, 128)))

    @property
    def adapters(self) -> list[nn.Module]:
        """What LoRA added."""
        parts = self.encoder.named_modules()
        return [part for name, part in parts if name.endswith(("lora_A", "lora_B"))]

    def train(self, mode: bool = True) -> "FrozenMaps":
        """Stay as it is."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(N, 3, H, W), 0-255 -> [(N, channels[k], H / STRIDES[k], W / STRIDES[k])]."""
        sizes = [[side // stride for side in pixels.shape[-2:]] for stride in STRIDES]
        maps = self.read(pixels)
        return [
            one
            if list(one.shape[-2:]) == size
            else F.interpolate(one, size=size, mode="bilinear", align_corners=False)
            for one, size in zip(maps, sizes, strict=True)
        ]


def open_maps(name: str, weights: Path | None = None) -> FrozenMaps:
    """Return the maps of an encoder: a name of `histome encoders list`, `timm:MODEL`, or a pretraining.

    Parameters
    ----------
    name : str
        Or the folder of a run of `histome train encoder` or `distill`, of which the checkpoint is read.
    weights : Path or None
        Of the encoder, where they are not inside.

    Raises
    ------
    UsageError
        An encoder whose maps are not seen from outside: one of ONNX, or without any.
    """
    if (Path(name) / CHECKPOINT).is_file():
        return _of_run(Path(name))
    card = find_encoder(name)
    if card.name == "color-histogram":
        return FrozenMaps(nn.Identity(), color_maps, card.name)
    network = open_encoder(card, weights).network
    if network is not None and sum(p.nbytes for p in network.parameters()) > LARGEST_INLINE_BYTES:
        raise UsageError(f"{card.name}: too large for one file of ONNX; distill it: histome train distill")
    for fits, read in _READERS:
        if network is not None and fits(network):
            return FrozenMaps(network, read(network, card), card.name, card.license or "unknown")
    raise UsageError(
        f"{card.name}: its maps cannot be read, only its vectors; take one of timm or transformers"
    )


def _of_run(folder: Path) -> FrozenMaps:
    state = read_state(folder / CHECKPOINT)
    called, recipe = folder.resolve().name, state.get("recipe", {})
    if isinstance(state.get("teacher"), dict):
        network = load_encoder(folder)[0]
        return FrozenMaps(network, _of_timm(network, EncoderCard(name=called, publisher="")), called)
    if not {"widths", "depths"} <= recipe.keys():
        raise UsageError(f"{folder}: no run of `histome train encoder` or `distill`")
    return plain_maps(load_student(folder, recipe["widths"], recipe["depths"]), called)


def plain_maps(encoder: PlainEncoder, name: str) -> FrozenMaps:
    """Return the maps of a plain encoder of histome's."""
    # Told from its strides: stride 2 is left out.
    return FrozenMaps(encoder, lambda pixels: encoder(_scaled(pixels))[1:], name)


def _scaled(pixels: Tensor) -> Tensor:
    return scale_pixels(pixels.permute(0, 2, 3, 1))


def color_maps(pixels: Tensor) -> list[Tensor]:
    """Shares of the pixels of each place in 16 bins of each of red, green and blue: no network."""
    bins = torch.arange(_BINS, device=pixels.device).view(1, 1, _BINS, 1, 1)
    finest = ((pixels[:, :, None] / _BINS).floor() == bins).float().flatten(1, 2)
    maps = [F.avg_pool2d(finest, STRIDES[0])]
    for _ in STRIDES[1:]:
        maps.append(F.avg_pool2d(maps[-1], 2))
    return maps


def _normalized(card: EncoderCard) -> Callable[[Tensor], Tensor]:
    mean, std = (
        torch.tensor(given).view(1, 3, 1, 1) * 255
        for given in (card.mean or IMAGENET_MEAN, card.std or IMAGENET_STD)
    )
    return lambda pixels: (pixels - mean.to(pixels.device)) / std.to(pixels.device)


def _of_timm(network: Any, card: EncoderCard) -> Maps:
    """Four blocks of a transformer of timm, evenly over its depth, of pixels resized to whole patches."""
    patch, depth = int(network.patch_embed.patch_size[0]), len(network.blocks)
    taps, normalized = [round(depth * k / 4) - 1 for k in (1, 2, 3, 4)], _normalized(card)

    def read(pixels: Tensor) -> Sequence[Tensor]:
        whole = _whole_patches(normalized(pixels), patch)
        return network.forward_intermediates(whole, indices=taps, intermediates_only=True)

    return read


def _of_transformers(network: Any, card: EncoderCard) -> Maps:
    """As `_of_timm`, of transformers."""
    config, normalized = network.config, _normalized(card)
    patch, prefix = int(config.patch_size), 1 + getattr(config, "num_register_tokens", 0)
    taps = [round(config.num_hidden_layers * k / 4) for k in (1, 2, 3, 4)]
    options = {"interpolate_pos_encoding": True} if type(network).__name__ == "ViTModel" else {}

    def read(pixels: Tensor) -> Sequence[Tensor]:
        whole = _whole_patches(normalized(pixels), patch)
        size = [side // patch for side in whole.shape[-2:]]
        states = network(pixel_values=whole, output_hidden_states=True, **options).hidden_states
        return [states[tap][:, prefix:].transpose(1, 2).unflatten(2, size) for tap in taps]

    return read


def _of_efficientnet(network: Any, card: EncoderCard) -> Maps:
    """The last maps of strides 4 to 32."""
    normalized = _normalized(card)

    def read(pixels: Tensor) -> Sequence[Tensor]:
        x = F.relu6(network._bn0(network._conv_stem(normalized(pixels))))
        return strided_maps(x, network._blocks)[1:]

    return read


def _whole_patches(pixels: Tensor, patch: int) -> Tensor:
    size = [max(1, round(side / patch)) * patch for side in pixels.shape[-2:]]
    if list(pixels.shape[-2:]) == size:
        return pixels
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, EncoderCard], Maps]], ...] = (
    (lambda net: hasattr(net, "forward_intermediates") and hasattr(net, "blocks"), _of_timm),
    (lambda net: hasattr(net, "_conv_stem"), _of_efficientnet),
    (lambda net: hasattr(net, "config") and hasattr(net.config, "num_hidden_layers"), _of_transformers),
)
