"""Pixels scaled by percentiles of their window, inside a network: exact, and without sorting."""

import math

import torch
from torch import Tensor


def scale_by_percentiles(image: Tensor, low: float, high: float) -> Tensor:
    """uint8 of any shape -> float32: its `low`-th percentile becomes 0, its `high`-th 1, all channels."""
    pixels = image.to(torch.int32)
    least, most = (percentile(pixels, share) for share in (low, high))
    return (pixels.float() - least) / (most - least).clamp(min=1e-20)


def scale_channels(image: Tensor, low: float, high: float, *, least: float) -> Tensor:
    """uint8 (1, H, W, 3) -> float32 (1, 3, H, W), each channel's `low`-th percentile 0 and its `high`-th 1.

    What lies between the two counts as `least` where it is less.
    """
    scaled = []
    for channel in image.to(torch.int32).unbind(-1):
        bottom, top = (percentile(channel, share) for share in (low, high))
        scaled.append((channel.float() - bottom) / (top - bottom).clamp(min=least))
    return torch.stack(scaled, 1)


def percentile(pixels: Tensor, share: float) -> Tensor:
    """Percentile of whole numbers from 0 to 255, linear between the two it lies between, as NumPy's.

    The two are found by halving the range, each step one count: eight passes where sorting takes twenty.
    """
    place = share / 100 * (pixels.numel() - 1)
    rank = math.floor(place)
    value = torch.zeros((), dtype=torch.int32, device=pixels.device)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        below = (pixels < value + bit).sum(dtype=torch.int32)
        value = value + bit * (below <= rank).to(torch.int32)
    upto = (pixels <= value).sum(dtype=torch.int32)
    above = torch.where(pixels > value, pixels, 255).amin(tuple(range(pixels.ndim)))
    after = torch.where(upto > rank + 1, value, above).float()
    return value.float() + (after - value.float()) * (place - rank)
