"""A plain convolutional encoder: feature maps at strides 2 to 32, to be put under any decoder."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from histome.training.checkpoint import load_average
from histome.training.networks import conv_block

WIDTHS = (32, 64, 128, 224, 320)
DEPTHS = (2, 2, 3, 3, 3)


class Residual(nn.Module):
    """Some convolutions added to their input: ReLU(x + f(x)), the channels unchanged.

    Parameters
    ----------
    channels : int
        Of input and output.
    depth : int
        Number of 3x3 convolutions in f, each with batch norm, all but the last with ReLU.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        blocks = [conv_block(channels, channels) for _ in range(depth)]
        self.body = nn.Sequential(*blocks[:-1], blocks[-1][:2])

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        return nn.functional.relu(x + self.body(x))


class PlainEncoder(nn.Module):
    """3x3 convolutions, batch norm and ReLU; a stage halves the side with its first convolution.

    Parameters
    ----------
    widths : sequence of int
        Channels of the stages, at strides 2, 4, 8, ...
    depths : sequence of int
        3x3 convolutions of each stage. From three on, those after the first are a residual block.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        inputs = (3, *self.widths[:-1])
        parts = zip(inputs, self.widths, depths, strict=True)
        self.stages = nn.ModuleList(_stage(*part) for part in parts)

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels a pixel of each feature map."""
        return tuple(2 ** (k + 1) for k in range(len(self.widths)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) of `scale_pixels` -> [(N, widths[k], H / strides[k], W / strides[k])]."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _stage(in_channels: int, out_channels: int, depth: int) -> nn.Sequential:
    first = conv_block(in_channels, out_channels, 2)
    if depth < 3:
        return nn.Sequential(first, *(conv_block(out_channels, out_channels) for _ in range(depth - 1)))
    return nn.Sequential(first, Residual(out_channels, depth - 1))


def load_student(folder: Path, widths: Sequence[int], depths: Sequence[int]) -> PlainEncoder:
    """Return the averaged student of the last checkpoint of `histome train distill`."""
    prefix = "student."
    state = {k.removeprefix(prefix): v for k, v in load_average(folder).items() if k.startswith(prefix)}
    student = PlainEncoder(widths, depths)
    student.load_state_dict(state)
    return student.eval()
