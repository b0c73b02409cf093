"""CellViT's own package: random weights, outputs of the network, heads drawn from instances, nuclei.

    pip install cellvit

Started by runs/compare_imports.py with the Python that has this package. Its nuclei are split by HoVer-Net's
rule, as TIAToolbox's and those of HoVer-Net itself; histome has a rule of its own (`cells.decode.hover`).
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from cellvit.inference.postprocessing_numpy import DetectionCellPostProcessor
from cellvit.models.cell_segmentation.cellvit_256 import CellViT256
from fitting import fit_hover
from scipy import ndimage
from serve import serve

torch.set_num_threads(2)
N_CLASSES, WINDOW_PX, SHARED_PX = 5, 1024, 64
MODELS = {}


def make(folder):
    """Write a model with random weights as the package does: CellViT-256 of five types."""
    torch.manual_seed(3)
    net = CellViT256(None, num_nuclei_classes=N_CLASSES + 1, num_tissue_classes=19).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    MODELS["net"] = net
    save(folder)


def save(folder):
    """Write the checkpoint."""
    state = MODELS["net"].state_dict()
    torch.save({"arch": "CellViT256", "model_state_dict": state}, Path(folder) / "weights")


def fit(folder):
    """Let it find some of the nuclei of a field, and write it again."""
    folder, side, net = Path(folder), 512, MODELS["net"]
    image = np.load(folder / "image.npy")[:side, :side]
    layers = {"np": net.nuclei_binary_map_decoder, "hv": net.hv_map_decoder}
    layers = {name: decoder.decoder0_header[2] for name, decoder in layers.items()}
    fit_hover(layers, lambda: maps_of(image), folder, (slice(side), slice(side)))
    save(folder.parent / "model")


@torch.inference_mode()
def maps_of(pixels):
    """The network on an image, with mean and deviation 0.5 as its inference has them."""
    image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))[None].float() / 255
    return {name: value[0] for name, value in MODELS["net"]((image - 0.5) / 0.5).items()}


def exact(folder):
    """Outputs for one window, in the form of histome's contract."""
    maps = maps_of(np.load(Path(folder) / "image.npy"))
    nuclear = torch.softmax(maps["nuclei_binary_map"], 0)[1:]
    types = nuclear * torch.softmax(maps["nuclei_type_map"][1:], 0)
    classes = torch.cat([1 - types.sum(0, keepdim=True), types])
    np.savez(Path(folder) / "theirs.npz", classes=classes.numpy(), hv=maps["hv_map"].numpy())


def network(folder):
    """Run on an image, window by window as the package cuts it."""
    image = np.load(Path(folder) / "large.npy")
    step = WINDOW_PX - SHARED_PX
    for row in range(0, image.shape[0] - SHARED_PX, step):
        for col in range(0, image.shape[1] - SHARED_PX, step):
            window = image[row : row + WINDOW_PX, col : col + WINDOW_PX]
            rims = [(0, WINDOW_PX - side) for side in window.shape[:2]]
            maps_of(np.pad(window, [*rims, (0, 0)], mode="edge"))


def draw(folder):
    """Heads of instances with their types, as HoVer-Net draws them to learn from, and noise."""
    labels, types = np.load(Path(folder) / "truth.npy"), np.load(Path(folder) / "types.npy")
    rng, hv = np.random.default_rng(11), np.zeros((2, *labels.shape))
    for k, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == k
        for axis, places in enumerate(np.nonzero(inside)[::-1]):
            away = places - round(places.mean())
            ends = np.where(away < 0, -away.min(), max(away.max(), 1))
            hv[(axis, *box)][inside] = away / np.maximum(ends, 1)
    nuclear = np.clip(np.where(labels > 0, 0.85, 0.15) + rng.normal(0, 0.1, labels.shape), 0, 1)
    evidence = 3 * np.eye(N_CLASSES + 1)[types[labels]] + rng.normal(0, 1, (*labels.shape, N_CLASSES + 1))
    shares = np.exp(evidence[..., 1:])
    shares = np.moveaxis(nuclear[..., None] * shares / shares.sum(-1, keepdims=True), -1, 0)
    classes = np.concatenate([1 - shares.sum(0, keepdims=True), shares])
    hv = hv + rng.normal(0, 0.05, hv.shape)
    np.savez(Path(folder) / "heads.npz", classes=classes.astype(np.float32), hv=hv.astype(np.float32))


def decode(folder):
    """Nuclei of drawn heads: their label map and the type of each."""
    with np.load(Path(folder) / "heads.npz") as heads:
        classes, hv = heads["classes"], heads["hv"]
    nuclear = np.stack([classes[0], 1 - classes[0]], -1)
    types = np.moveaxis(np.concatenate([0 * classes[:1], classes[1:]]), 0, -1)
    planes = {"nuclei_binary_map": nuclear, "nuclei_type_map": types, "hv_map": np.moveaxis(hv, 0, -1)}
    process = DetectionCellPostProcessor(SimpleNamespace(), nr_types=N_CLASSES + 1)
    found, cells = process.post_process_batch(
        {name: torch.from_numpy(np.ascontiguousarray(plane))[None] for name, plane in planes.items()}
    )
    labels = found[0].numpy().astype(np.int32)
    kept = np.array(sorted(cells[0]))  # those with a contour of three corners
    number = np.zeros(labels.max() + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    named = np.array([cells[0][k]["type"] for k in kept])
    np.savez(Path(folder) / "found.npz", labels=number[labels], types=np.maximum(named, 1))


if __name__ == "__main__":
    serve({"make": make, "fit": fit, "exact": exact, "network": network, "draw": draw, "decode": decode})
