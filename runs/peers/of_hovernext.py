"""HoVer-NeXt: random weights, outputs of the network, heads drawn from instances, nuclei.

    pip install timm segmentation-models-pytorch scikit-image opencv-python-headless

Its authors have no package in the registry. The encoder is timm's and the layers of the decoders are
segmentation-models-pytorch's, as theirs are; how these are joined, and the rule that makes nuclei of the
outputs (a watershed of scikit-image), follow what they describe.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
from fitting import crossing, set_layer, watched
from scipy import ndimage
from segmentation_models_pytorch.base import modules
from serve import serve
from skimage.segmentation import watershed

torch.set_num_threads(2)
N_CLASSES, TILE_PX, RIM_PX = 5, 256, 8
FOREGROUND, SEED, SMALLEST_PX = 0.5, 0.4, 10
DECODER = (256, 128, 64, 32, 16)
MODELS = {}


class Decoder(torch.nn.Module):
    """Twice the size five times, beside a map of the encoder while there are some."""

    def __init__(self, widths):
        super().__init__()
        skips = [*widths[-2::-1], 0, 0]
        self.blocks = torch.nn.ModuleList()
        for before, skip, width in zip((widths[-1], *DECODER[:-1]), skips, DECODER, strict=True):
            block = torch.nn.Module()
            for name, inputs in (("conv1", before + skip), ("conv2", width)):
                setattr(block, name, modules.Conv2dReLU(inputs, width, 3, padding=1, use_norm=False))
            self.blocks.append(block)

    def forward(self, levels):
        """Maps of the encoder, fine to coarse -> one of the image's size."""
        *skips, x = levels
        for block in self.blocks:
            x = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.cat([x, skips.pop()], 1) if skips else x
            x = block.conv2(block.conv1(x))
        return x


class Net(torch.nn.Module):
    """Five maps of parts and 1 + k of types."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Module()
        self.encoder.model = timm.create_model("convnextv2_tiny", features_only=True, pretrained=False)
        widths = self.encoder.model.feature_info.channels()
        self.decoders = torch.nn.ModuleList(Decoder(widths) for _ in range(2))
        head = smp.base.SegmentationHead
        self.heads = torch.nn.ModuleList(head(DECODER[-1], n, kernel_size=1) for n in (5, 1 + N_CLASSES))

    def forward(self, x):
        """(n, 3, tile, tile) -> (n, 6 + k, tile, tile)."""
        levels = self.encoder.model(x)
        return torch.cat([h(d(levels)) for h, d in zip(self.heads, self.decoders, strict=True)], 1)


def make(folder):
    """Write a folder with random weights as its authors do: convnextv2_tiny, five types of PanNuke."""
    torch.manual_seed(3)
    net = Net().eval()
    for name, value in net.named_parameters():
        if value.ndim > 1 and not name.startswith("encoder"):
            torch.nn.init.kaiming_normal_(value)
        if ".grn." in name:
            torch.nn.init.normal_(value, 0, 0.3)
    weights = Path(folder) / "weights"
    (weights / "train").mkdir(parents=True)
    (weights / "params.toml").write_text(
        'dataset = "pannuke"\nencoder = "convnextv2_tiny"\ninst_channels = 5\n'
    )
    cuts = {"best_fg_f1": [FOREGROUND] * N_CLASSES, "best_seed_f1": [SEED] * N_CLASSES}
    (weights / "pannuke_test_param_dict.json").write_text(json.dumps(cuts))
    MODELS["net"] = net
    save(folder)


def save(folder):
    """Write the checkpoint."""
    state = {"step": 0, "model_state_dict": MODELS["net"].state_dict()}
    torch.save(state, Path(folder) / "weights" / "train" / "best_model")


def fit(folder):
    """Let it find some of the nuclei of a field, and write it again."""
    folder, last = Path(folder), MODELS["net"].heads[0][0]
    image, tiles = np.load(folder / "image.npy"), [slice(at, at + TILE_PX) for at in range(0, 768, TILE_PX)]
    places = [(row, col) for row in tiles for col in tiles]
    features = watched(last, lambda: [maps_of(image[place]) for place in places])
    with np.load(folder / "heads.npz") as heads:
        parts = heads["parts"].argmax(0)
    wanted = np.stack([parts[place] for place in places])
    weights, bias = crossing(features, np.stack([wanted == k for k in range(3)]))
    set_layer(last, np.pad(weights, ((2, 0), (0, 0))), np.pad(bias, (2, 0)))
    save(folder.parent / "model")


@torch.inference_mode()
def maps_of(tile):
    """Parts and types of one tile."""
    image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(tile, -1, 0)))[None].float() / 255
    maps = MODELS["net"](image)[0]
    return torch.softmax(maps[2:5], 0).numpy(), torch.softmax(maps[5:], 0).numpy()


def exact(folder):
    """Outputs for one window: the middles of its tiles side by side, and the outer rims."""
    image, step = np.load(Path(folder) / "image.npy"), TILE_PX - 2 * RIM_PX
    parts, classes = (np.zeros((n, *image.shape[:2]), np.float32) for n in (3, 1 + N_CLASSES))
    starts = range(0, image.shape[0] - TILE_PX + 1, step)
    for row in starts:
        for col in starts:
            # From each side but the outer ones the rim is left out.
            cut = [
                slice(RIM_PX if at else 0, TILE_PX - (RIM_PX if at != starts[-1] else 0)) for at in (row, col)
            ]
            to = tuple(
                slice(at + side.start, at + side.stop) for at, side in zip((row, col), cut, strict=True)
            )
            found = maps_of(image[row : row + TILE_PX, col : col + TILE_PX])
            for whole, maps in zip((parts, classes), found, strict=True):
                whole[(slice(None), *to)] = maps[(slice(None), *cut)]
    np.savez(Path(folder) / "theirs.npz", parts=parts, classes=classes)


def network(folder):
    """Run on an image, tile by tile."""
    image, step = np.load(Path(folder) / "large.npy"), TILE_PX - 2 * RIM_PX
    for row in range(0, image.shape[0] - TILE_PX + 1, step):
        for col in range(0, image.shape[1] - TILE_PX + 1, step):
            maps_of(image[row : row + TILE_PX, col : col + TILE_PX])


def draw(folder):
    """Parts of instances, the border two pixels wide, with noise; types with noise."""
    labels, types = np.load(Path(folder) / "truth.npy"), np.load(Path(folder) / "types.npy")
    rng = np.random.default_rng(11)
    inner = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
    parts = np.stack([labels == 0, (labels > 0) & inner, (labels > 0) & ~inner])
    evidence = 3 * parts + rng.normal(0, 0.6, parts.shape)
    evidence = np.stack([ndimage.gaussian_filter(plane, 0.7) for plane in evidence])
    kinds = np.moveaxis(3 * np.eye(N_CLASSES + 1)[types[labels]], -1, 0)
    kinds = kinds + rng.normal(0, 1, kinds.shape)
    shares = [np.exp(each) / np.exp(each).sum(0) for each in (evidence, kinds)]
    parts, classes = (each.astype(np.float32) for each in shares)
    np.savez(Path(folder) / "heads.npz", parts=parts, classes=classes)


def decode(folder):
    """Nuclei of drawn heads: their label map and the type of each."""
    with np.load(Path(folder) / "heads.npz") as heads:
        parts, classes = heads["parts"], heads["classes"]
    of = classes[1:].argmax(0)
    _, seeds = cv2.connectedComponents((parts[1] > SEED).astype(np.uint8), connectivity=8)
    found = watershed(1 - parts[1], seeds, mask=1 - parts[0] > FOREGROUND, connectivity=2)
    labels, types = np.zeros(found.shape, np.int32), []
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        if box is None:
            continue
        filled = ndimage.binary_fill_holes(found[box] == number)
        count, pieces = cv2.connectedComponents(filled.astype(np.uint8), connectivity=8)
        for piece in range(1, count):
            pixels = pieces == piece
            if pixels.sum() > SMALLEST_PX:
                types.append(np.bincount(of[box][pixels], minlength=N_CLASSES).argmax() + 1)
                labels[box][pixels] = len(types)
    np.savez(Path(folder) / "found.npz", labels=labels, types=np.array(types))


if __name__ == "__main__":
    serve({"make": make, "fit": fit, "exact": exact, "network": network, "draw": draw, "decode": decode})
