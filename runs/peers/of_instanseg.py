"""InstanSeg's own package: random weights, outputs of the network, heads drawn from instances, nuclei.

    pip install instanseg-torch seaborn torchvision

Started by runs/compare_imports.py with the Python that has these packages. The perceptron that gives pixels
to nuclei is no random one: it takes a pixel that points to within four pixels of where the seed points, for
else there would be no nuclei to compare.
"""

from pathlib import Path

import numpy as np
import torch
from fitting import crossing, fitted, set_layer, watched
from instanseg.utils.loss.instanseg_loss import InstanSeg_Torchscript, ProbabilityNet
from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet
from instanseg.utils.utils import percentile_normalize
from scipy import ndimage
from serve import serve

torch.set_num_threads(2)
TILE_PX, UNIT_PX, REACH = 512, 4, 8.0
LAYERS = (256, 128, 64, 32)
MODELS = {}


class Given(torch.nn.Module):
    """Stands in for the network: what it gives was drawn."""

    def __init__(self, maps):
        super().__init__()
        self.maps = maps

    def forward(self, x):
        """Whatever the image."""
        return self.maps.clone()


def make(folder):
    """Export a model with random weights as the package does: brightfield_nuclei's sizes."""
    torch.manual_seed(3)
    net = InstanSeg_UNet(3, [[2, 2, 1]], layers=np.array(LAYERS), norm="BATCH", act="ReLU")
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    net.pixel_classifier = ProbabilityNet(4, width=5)
    voter = {name: torch.zeros_like(value) for name, value in net.pixel_classifier.state_dict().items()}
    for unit, (axis, sign) in enumerate(((0, 1), (0, -1), (1, 1), (1, -1))):
        voter["fc1.weight"][unit, axis] = sign
        voter["fc2.weight"][unit, unit] = 1
        voter["fc3.weight"][0, unit] = -4
    voter["fc3.bias"][0] = 4
    net.pixel_classifier.load_state_dict(voter)
    MODELS["traced"] = net
    MODELS["net"] = InstanSeg_Torchscript(net.eval(), pixel_size=0.5, backbone_dim_in=3)
    torch.jit.script(MODELS["net"]).save(str(Path(folder) / "weights"))


def fit(folder):
    """Let it find some of the nuclei of a field, at half of its size, and write it again."""
    folder, side = Path(folder), 480
    image = np.load(folder / "image.npy")[: 2 * side, : 2 * side]
    halves = np.rint(image.reshape(side, 2, side, 2, 3).mean((1, 3))).astype(np.uint8)
    with np.load(folder / "heads.npz") as heads:
        offset, seed = (heads[name][:, :side, :side] for name in ("offset", "seed"))
    # What is exported shares its weights with the network that it was traced of.
    last = MODELS["traced"].decoders[0].final_block
    features = watched(last[0], lambda: MODELS["traced"](scaled(halves)))
    # Where a seed may be 15 / 5 and more is given, an offset that is small is half its logit.
    weights, bias = crossing(features, seed > 0.7)
    layers = fitted(features, offset / 2), (0 * weights[[0, 0]], np.zeros(2)), (weights, bias + 3)
    for (layer, norm, _), values in zip(last, layers, strict=True):
        norm.reset_parameters()
        set_layer(layer, *values)
    torch.jit.script(MODELS["net"]).save(str(folder.parent / "model" / "weights"))


@torch.inference_mode()
def maps_of(pixels):
    """The network on an image."""
    return MODELS["net"].fcn(scaled(pixels))[0]


def scaled(pixels):
    """Pixels as the package scales them."""
    planes = torch.from_numpy(percentile_normalize(np.moveaxis(pixels, -1, 0).astype(np.float32)))
    return planes[None].clamp(-2, 3).float()


def exact(folder):
    """Outputs for one window."""
    maps = maps_of(np.load(Path(folder) / "image.npy"))
    named = {
        "seed": maps[4:] / 15 + 0.5,
        "offset": (torch.sigmoid(maps[:2]) - 0.5) * REACH,
        "spread": maps[2:4],
    }
    np.savez(Path(folder) / "theirs.npz", **{name: value.numpy() for name, value in named.items()})


def network(folder):
    """Run on an image, tile by tile as the package cuts it, but without the rims that its tiles share."""
    image = np.load(Path(folder) / "large.npy")
    for row in range(0, image.shape[0], TILE_PX):
        for col in range(0, image.shape[1], TILE_PX):
            maps_of(image[row : row + TILE_PX, col : col + TILE_PX])


def draw(folder):
    """Heads of instances at half the size (0.5 um/px), with noise: pixels point to their middle."""
    labels = np.load(Path(folder) / "truth.npy")[::2, ::2]
    labels = labels[: labels.shape[0] // 16 * 16, : labels.shape[1] // 16 * 16]
    rng = np.random.default_rng(11)
    places = np.stack(np.meshgrid(*(np.arange(n) / UNIT_PX for n in labels.shape[::-1])))
    ids = np.unique(labels)[1:]
    middles = np.zeros((2, labels.max() + 1))
    middles[:, ids] = [ndimage.mean(axis, labels, ids) for axis in places]
    offset = np.where(labels > 0, middles[:, labels] - places, 0) + rng.normal(0, 0.15, (2, *labels.shape))
    depth = np.zeros(labels.shape)
    for label, box in zip(ids, (ndimage.find_objects(labels)[k - 1] for k in ids), strict=True):
        inside = np.pad(labels[box] == label, 1)
        own = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
        depth[box] += own / max(own.max(), 1)
    seed = np.where(labels > 0, 0.5 + 0.5 * depth, 0) + rng.normal(0, 0.03, labels.shape)
    heads = {
        "seed": seed[None],
        "offset": np.clip(offset, -3.99, 3.99),
        "spread": np.zeros((2, *labels.shape)),
    }
    np.savez(Path(folder) / "heads.npz", **{name: value.astype(np.float32) for name, value in heads.items()})


@torch.inference_mode()
def decode(folder):
    """Nuclei of drawn heads: the exported module itself, what its network gives being drawn."""
    with np.load(Path(folder) / "heads.npz") as heads:
        raw = [
            torch.logit(torch.from_numpy(heads["offset"]) / REACH + 0.5),
            torch.from_numpy(heads["spread"]),
        ]
        raw.append((torch.from_numpy(heads["seed"]) - 0.5) * 15)
    maps = torch.cat(raw)[None].float()
    kept, MODELS["net"].fcn = MODELS["net"].fcn, Given(maps)
    found = MODELS["net"](torch.zeros(1, 3, *maps.shape[2:]))[0, 0].numpy().astype(np.int32)
    MODELS["net"].fcn = kept
    _, labels = np.unique(found, return_inverse=True)
    labels = labels.reshape(found.shape).astype(np.int32)
    np.savez(Path(folder) / "found.npz", labels=labels, types=np.ones(labels.max(), np.int64))


if __name__ == "__main__":
    serve({"make": make, "fit": fit, "exact": exact, "network": network, "draw": draw, "decode": decode})
