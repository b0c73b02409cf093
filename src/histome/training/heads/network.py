"""A small pyramid on an encoder's maps: logits a pixel; and a nuclei network whose classes are its."""

from torch import Tensor, nn
from torch.nn import functional as F

from histome.training.heads.maps import FrozenMaps
from histome.training.networks import PIXEL_MEAN, PIXEL_SCALE, conv_block


class Pyramid(nn.Module):
    """Maps of several strides brought to one width, the coarser added to the finer.

    Batch norms and 3x3 convolutions alone: a pixel follows its surroundings, not what else is in a window.

    Parameters
    ----------
    channels : tuple of int
        Of the maps, finest first.
    width : int
        Of the result.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, affine=False) for c in channels)
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.blocks = nn.ModuleList(conv_block(width, width) for _ in channels)
        self.last = conv_block(width, width)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps, finest first -> (N, width, h, w) of the finest."""
        x = None
        for norm, lateral, block, one in reversed(
            list(zip(self.norms, self.laterals, self.blocks, maps, strict=True))
        ):
            here = lateral(norm(one))
            if x is not None:
                here = here + F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(here)
        assert x is not None
        return self.last(x)


class EncoderHead(nn.Module):
    """What learns on an encoder's maps, for the networks below: logits at half the input's resolution.

    Parameters
    ----------
    maps : FrozenMaps
        Of the encoder.
    outputs : int
        Logits a pixel.
    width : int
        Channels of the pyramid.
    """

    def __init__(self, maps: FrozenMaps, outputs: int, width: int = 48) -> None:
        super().__init__()
        self.maps, self.pyramid = maps, Pyramid(maps.channels, width)
        self.heads = nn.ModuleDict({"logits": nn.Conv2d(width, outputs, 1)})

    @property
    def learned(self) -> nn.ModuleList:
        """What is trained, and all that a checkpoint holds."""
        return nn.ModuleList([self.pyramid, self.heads, *self.maps.adapters])

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W), 0-255 -> (N, outputs, H/2, W/2); sides are multiples of 32."""
        logits = self.heads["logits"](self.pyramid(self.maps(pixels)))
        return F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)


class OnEncoder(EncoderHead):
    """The head alone: a map of classes."""

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) -> (N, outputs, H/2, W/2)."""
        return self.of_pixels(image.permute(0, 3, 1, 2).float())


class ClassesOnEncoder(EncoderHead):
    """A nuclei network that stays as it is, but for the classes: those of a head on an encoder.

    Parameters
    ----------
    detector : nn.Module
        Makes the outlines; as `nuclei.train.make_network` returns one.
    """

    def __init__(self, detector: nn.Module, maps: FrozenMaps, outputs: int, width: int = 48) -> None:
        super().__init__(maps, outputs, width)
        self.detector = detector.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) of `scale_pixels` -> the detector's outputs, its logits exchanged."""
        out = dict(self.detector(x))
        return out | {"logits": self.of_pixels(x * PIXEL_SCALE + PIXEL_MEAN)}
