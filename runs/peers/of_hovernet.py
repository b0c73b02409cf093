"""HoVer-Net of TIAToolbox: random weights, outputs of the network, heads drawn from instances, nuclei.

    pip install tiatoolbox

Started by runs/compare_imports.py with the Python that has this package. The fast mode, five types.
"""

from pathlib import Path

import numpy as np
import torch
from fitting import fit_hover
from of_cellvit import draw
from serve import serve
from tiatoolbox.models.architecture.hovernet import HoVerNet

torch.set_num_threads(2)
N_CLASSES, WINDOW_PX, RIM_PX = 5, 256, 46
MODELS = {}


def make(folder):
    """Write a model with random weights as the package does."""
    torch.manual_seed(3)
    net = HoVerNet(num_types=N_CLASSES + 1, mode="fast").eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    MODELS["net"] = net
    torch.save(net.state_dict(), Path(folder) / "weights")


@torch.inference_mode()
def maps_of(pixels):
    """The network on an image, less its rim."""
    image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))[None].float()
    return MODELS["net"](image)


def fit(folder):
    """Let it find some of the nuclei of a field, and write it again."""
    folder, side, net = Path(folder), 512, MODELS["net"]
    image, inner = np.load(folder / "image.npy")[:side, :side], slice(RIM_PX, side - RIM_PX)
    layers = {name: net.decoder[name][3].conv for name in ("np", "hv")}
    fit_hover(layers, lambda: maps_of(image), folder, (inner, inner))
    torch.save(net.state_dict(), folder.parent / "model" / "weights")


def exact(folder):
    """Outputs for one window, in the form of histome's contract: nothing in the rim."""
    maps = {name: value[0] for name, value in maps_of(np.load(Path(folder) / "image.npy")).items()}
    rim = [RIM_PX] * 4
    types = torch.softmax(maps["np"], 0)[1:] * torch.softmax(maps["tp"][1:], 0)
    types = torch.nn.functional.pad(types, rim)
    classes = torch.cat([1 - types.sum(0, keepdim=True), types])
    named = {"classes": classes, "hv": torch.nn.functional.pad(maps["hv"], rim)}
    np.savez(Path(folder) / "theirs.npz", **{name: value.numpy() for name, value in named.items()})


def network(folder):
    """Run on an image, window by window as the package cuts it, but without the image's outer rim."""
    image, step = np.load(Path(folder) / "large.npy"), WINDOW_PX - 2 * RIM_PX
    for row in range(0, image.shape[0] - 2 * RIM_PX, step):
        for col in range(0, image.shape[1] - 2 * RIM_PX, step):
            window = image[row : row + WINDOW_PX, col : col + WINDOW_PX]
            rims = [(0, WINDOW_PX - side) for side in window.shape[:2]]
            maps_of(np.pad(window, [*rims, (0, 0)], mode="edge"))


def decode(folder):
    """Nuclei of drawn heads: their label map and the type of each."""
    with np.load(Path(folder) / "heads.npz") as heads:
        classes, hv = heads["classes"], np.moveaxis(heads["hv"], 0, -1)
    types = np.concatenate([0 * classes[:1], classes[1:]]).argmax(0).astype(np.uint8)
    labels = HoVerNet._proc_np_hv(1 - classes[0][..., None], hv).astype(np.int32)
    cells = HoVerNet.get_instance_info(labels, types, verbose=False)
    kept = np.array(sorted(cells))
    number = np.zeros(labels.max() + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    named = np.array([cells[k]["type"] for k in kept])
    np.savez(Path(folder) / "found.npz", labels=number[labels], types=named)


if __name__ == "__main__":
    serve({"make": make, "fit": fit, "exact": exact, "network": network, "draw": draw, "decode": decode})
