"""The networks that histome trains: one plain U-Net shape with stride-2 output, and its ONNX wrapper.

Plain 3x3 convolutions with a stride-2 stem and output are the fastest shape on a CPU
(measured: output resolution is the biggest lever, 3.7-5x; see benchmarks/).
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

# ImageNet-free normalization: H&E pixels sit near 200; this centers them without data set statistics.
PIXEL_MEAN, PIXEL_SCALE = 190.0, 60.0
# Pixels a unit of the offset head: 8 px (4 um at 0.5 um/px) is a typical radius.
OFFSET_PX = 8.0


def on_device(net: nn.Module, device: str) -> None:
    """Move a network to a device, channels last: the faster layout of its convolutions."""
    net.to(device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def conv_block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def strided_maps(x: Tensor, blocks: Iterable[nn.Module]) -> list[Tensor]:
    """Send maps (N, C, h, w) through blocks and return the last of each stride, the finest first."""
    maps = []
    for block in blocks:
        y = block(x)
        if y.shape[-1] < x.shape[-1]:
            maps.append(x)
        x = y
    return [*maps, x]


class UNet(nn.Module):
    """A U-Net with a stride-2 stem and stride-2 output.

    Parameters
    ----------
    widths : Sequence[int]
        Channels at strides 2, 4, 8, ...; the last one is the bottleneck.
    heads : dict[str, int]
        Output channels of each head, by name: 1x1 convolutions on one shared 3x3 block.
    head_width : int
        Channels of that block.
    """

    def __init__(self, widths: Sequence[int], heads: dict[str, int], head_width: int = 48) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_block(3, widths[0], 2), conv_block(widths[0], widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(conv_block(a, b, 2), conv_block(b, b)) for a, b in pairwise(widths)
        )
        up = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList(nn.Sequential(conv_block(a + b, b), conv_block(b, b)) for a, b in up)
        self.last = conv_block(widths[0], head_width)
        self.heads = nn.ModuleDict({name: nn.Conv2d(head_width, n, 1) for name, n in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) normalized pixels -> {head: (N, channels, H/2, W/2)} raw values."""
        x = self.stem(x)
        skips = [x]
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skips.pop()], 1))
        x = self.last(x)
        return {name: head(x) for name, head in self.heads.items()}


def scale_pixels(image: Tensor) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, H, W)."""
    return (image.permute(0, 3, 1, 2).float() - PIXEL_MEAN) / PIXEL_SCALE


def star_distance(raw: Tensor) -> Tensor:
    """Raw output -> ray length in pixels, positive; 8 px (4 um at 0.5 um/px) is a typical radius."""
    return 8.0 * nn.functional.softplus(raw)


def full_resolution(raw: Tensor) -> Tensor:
    """The mask head's four channels a cell -> (N, H, W) logits, one an input pixel."""
    return nn.functional.pixel_shuffle(raw, 2)[:, 0]


class StardistExport(nn.Module):
    """uint8 image in; probability, ray lengths (pixels), class logits, nuclear mask and offsets out."""

    outputs = ("prob", "dist", "logits", "mask", "offset")

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, H, W, 3) uint8 -> 1, 32, 9 and (last) 2 channels at half the resolution, mask (1, 1, H, W)."""
        out = self.net(scale_pixels(image))
        mask = torch.sigmoid(nn.functional.pixel_shuffle(out["mask"], 2))
        offset = OFFSET_PX * out["offset"]
        return torch.sigmoid(out["prob"]), star_distance(out["dist"]), out["logits"], mask, offset


class SegmenterExport(nn.Module):
    """uint8 image in; one sigmoid probability a class out."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """(1, H, W, 3) uint8 -> (1, classes, H/2, W/2)."""
        return torch.sigmoid(self.net(scale_pixels(image))["logits"])
