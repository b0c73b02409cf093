"""HistoPLUS: random weights and outputs of the network; heads and nuclei are those of `of_cellvit`.

    pip install timm xformers cellvit

Its package is in no registry. The transformer is timm's with the perceptron of xformers, the layers of the
decoders are those of CellViT's package, as HistoPLUS describes itself; how these are joined follows that.
"""

from functools import partial
from pathlib import Path

import numpy as np
import of_cellvit
import timm
import torch
from cellvit.models.utils.blocks import Conv2DBlock, Deconv2DBlock
from fitting import fit_hover
from serve import serve
from timm.models.vision_transformer import LayerScale
from xformers.ops import SwiGLU

N_CLASSES, WIDTH, LEARNED_PX, TOKEN_PX = 5, 192, 448, 14
MEAN, STD = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
BRANCHES = {"np": 2, "hv": 2, "tp": 1 + N_CLASSES}
MODELS = {}


def gated(in_features, hidden_features, **_):
    """The perceptron of a block: two thirds of the width, a multiple of eight."""
    return SwiGLU(in_features, (int(hidden_features * 2 / 3) + 7) // 8 * 8, in_features)


def branch(outputs):
    """A decoder, by the names of its stages."""
    up = partial(torch.nn.ConvTranspose2d, kernel_size=2, stride=2)
    stages = torch.nn.ModuleDict({"bottleneck_upsampler": up(WIDTH, 512)})
    for name, inputs, inner, outer, count in (
        ("decoder3_upsampler", 1024, 512, 256, 3),
        ("decoder2_upsampler", 512, 256, 128, 2),
        ("decoder1_upsampler", 256, 128, 64, 2),
    ):
        blocks = [Conv2DBlock(inputs if k == 0 else inner, inner) for k in range(count)]
        stages[name] = torch.nn.Sequential(*blocks, up(inner, outer))
    last = torch.nn.Conv2d(64, outputs, 1)
    stages["decoder0_header"] = torch.nn.Sequential(Conv2DBlock(128, 64), Conv2DBlock(64, 64), last)
    return stages


class Net(torch.nn.Module):
    """Maps by branch."""

    def __init__(self):
        super().__init__()
        about = {"img_size": LEARNED_PX, "dynamic_img_size": True, "num_classes": 0, "init_values": 1e-5}
        self.backbone = torch.nn.Module()
        self.backbone.feature_extractor = timm.create_model(
            "vit_base_patch14_reg4_dinov2",
            mlp_layer=gated,
            features_only=True,
            out_indices=[3, 5, 7, 11],
            embed_dim=WIDTH,
            num_heads=WIDTH // 64,
            **about,
        )
        self.neck = torch.nn.Module()
        ways = ((), (512, 256, 128), (512, 256), (512,))
        self.neck.necks = torch.nn.ModuleList(
            torch.nn.Sequential(*(Deconv2DBlock(a, b) for a, b in zip((WIDTH, *way), way, strict=False)))
            for way in ways
        )
        self.neck.necks[0] = torch.nn.Sequential(Conv2DBlock(3, 32), Conv2DBlock(32, 64))
        for name, outputs in BRANCHES.items():
            setattr(self, f"{name}_branch", branch(outputs))

    def forward(self, image):
        """(1, 3, H, W) -> maps of the same size."""
        levels = [image, *self.backbone.feature_extractor(image)]
        skips = [neck(level) for neck, level in zip(self.neck.necks, levels[:-1], strict=True)]
        found = {}
        for name in BRANCHES:
            first, *stages, last = getattr(self, f"{name}_branch").values()
            x = first(levels[-1])
            for stage, skip in zip(stages, reversed(skips[1:]), strict=True):
                x = stage(torch.cat([skip, x], 1))
            x = torch.nn.functional.interpolate(x, size=image.shape[2:], mode="bilinear", align_corners=False)
            found[name] = last(torch.cat([skips[0], x], 1))[0]
        return found


def make(folder):
    """Write a checkpoint with random weights: a transformer of 192 channels for 768, five types."""
    torch.manual_seed(3)
    net = Net().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, LayerScale):
            module.gamma.data.uniform_(0.2, 1)
    MODELS["net"] = net
    torch.save(net.state_dict(), Path(folder) / "weights")


def fit(folder):
    """Let it find some of the nuclei of a field, at its half of the size, and write it again."""
    folder, side, net = Path(folder), 448, MODELS["net"]
    image = np.load(folder / "image.npy")[:side, :side]
    layers = {name: getattr(net, f"{name}_branch")["decoder0_header"][2] for name in ("np", "hv")}
    fit_hover(layers, lambda: maps_of(image), folder, (slice(side), slice(side)))
    torch.save(net.state_dict(), folder.parent / "model" / "weights")


@torch.inference_mode()
def maps_of(pixels):
    """The network on an image."""
    image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))[None].float() / 255
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (MEAN, STD))
    return MODELS["net"]((image - mean) / std)


def exact(folder):
    """Outputs for one window, in the form of histome's contract."""
    maps = maps_of(np.load(Path(folder) / "image.npy"))
    types = torch.softmax(maps["np"], 0)[1:] * torch.softmax(maps["tp"][1:], 0)
    classes = torch.cat([1 - types.sum(0, keepdim=True), types])
    np.savez(Path(folder) / "theirs.npz", classes=classes.numpy(), hv=maps["hv"].numpy())


def network(folder):
    """Run on an image, window by window: 784 px, 64 of them shared."""
    image = np.load(Path(folder) / "large.npy")
    for row in range(0, image.shape[0] - 64, 720):
        for col in range(0, image.shape[1] - 64, 720):
            window = image[row : row + 784, col : col + 784]
            rims = [(0, 784 - side) for side in window.shape[:2]]
            maps_of(np.pad(window, [*rims, (0, 0)], mode="edge"))


if __name__ == "__main__":
    drawn = {"draw": of_cellvit.draw, "decode": of_cellvit.decode}
    serve({"make": make, "fit": fit, "exact": exact, "network": network} | drawn)
