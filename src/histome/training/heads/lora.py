"""LoRA (Hu et al. 2021, arXiv:2106.09685): additions of low rank to an encoder, learned with the head."""

from pathlib import Path
from typing import Any

from torch import nn

from histome.errors import UsageError
from histome.training.heads.maps import FrozenMaps, open_maps


def tuned_maps(name: str, weights: str | None, rank: int) -> FrozenMaps:
    """Return the maps of an encoder as `open_maps` does, with additions of a rank; 0: none."""
    maps = open_maps(name, Path(weights) if weights else None)
    if rank:
        add_lora(maps, rank)
    return maps


def add_lora(maps: FrozenMaps, rank: int) -> None:
    """Put additions of a rank beside all linear layers of an encoder; they begin as 0 and alone are learned.

    Raises UsageError where peft is missing, or the encoder is no transformer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UsageError("LoRA needs peft: pip install 'histome[lora]'") from error
    network: Any = maps.encoder
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise UsageError(f"{maps.name}: has no linear layers that LoRA could add to; leave --lora out")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=layers), network)
    maps.lora = rank


def merge_lora(maps: FrozenMaps) -> None:
    """Add the learned additions to the layers themselves: the encoder is a plain one again."""
    if not maps.lora:
        return
    from peft.tuners.lora import LoraLayer

    network = maps.encoder
    found: list[tuple[str, Any]] = [(n, m) for n, m in network.named_modules() if isinstance(m, LoraLayer)]
    for name, layer in found:
        layer.merge()
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, layer.get_base_layer())
    network.requires_grad_(False)
