"""Cellpose's own package: random weights, outputs of the network, heads drawn from instances, nuclei.

    pip install cellpose

Started by runs/compare_imports.py with the Python that has this package. The network is Cellpose-SAM with a
smaller encoder (4 blocks of 256 channels, two of the published model's 24 of 1,024 being of each kind that it
has): names, layers and windows are the published model's. CELLPOSE_FULL=1 takes its own sizes.
"""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from cellpose import dynamics, transforms, vit
from cellpose.core import run_net
from fitting import crossing, fitted, set_layer, watched
from segment_anything.modeling import ImageEncoderViT
from serve import serve

torch.set_num_threads(2)
SIZES = {"depth": 4, "embed_dim": 256, "num_heads": 4, "global_attn_indexes": (1, 3)}
SCALE, TILE_PX = 5.0, 256
MODELS = {}
transforms.get_pad_yx = lambda *_, **__: (0, 0, 0, 0)


def encoder(_):
    """What stands where Cellpose takes Segment Anything's: the same with other sizes."""
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    made = ImageEncoderViT(
        img_size=1024,
        patch_size=16,
        out_chans=256,
        window_size=14,
        use_rel_pos=True,
        norm_layer=norm,
        **SIZES,
    )
    return SimpleNamespace(image_encoder=made)


def make(folder):
    """Write a model with random weights as the package does."""
    if not os.environ.get("CELLPOSE_FULL"):
        vit.sam_model_registry = {"vit_l": encoder}
    torch.manual_seed(3)
    net = vit.CPSAM().eval()
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.requires_grad and value.ndim > 0 and not name.startswith("diam"):
                value.add_(0.02 * torch.randn_like(value))
        net.out.weight.mul_(8)
    MODELS["net"] = net
    net.save_model(Path(folder) / "weights")


def fit(folder):
    """Let it find some of the nuclei of a field, and write it again."""
    folder, net, side = Path(folder), MODELS["net"], 3 * TILE_PX
    image = transforms.normalize_img(np.load(folder / "image.npy")[:side, :side].astype(np.float32))
    features = watched(net.out, lambda: net(tiles_of(np.moveaxis(image, -1, 0))))
    with np.load(folder / "heads.npz") as heads:
        planes = np.concatenate([SCALE * heads["flow"], heads["prob"] > 0.5])[:, :side, :side]
    # A token gives 8 x 8 pixels of each plane.
    planes = torch.nn.functional.pixel_unshuffle(tiles_of(planes), 8).numpy().swapaxes(0, 1)
    flow, prob = np.split(planes, [len(planes) * 2 // 3])
    both = zip(fitted(features, flow), crossing(features, prob), strict=True)
    set_layer(net.out, *map(np.concatenate, both))
    net.save_model(folder.parent / "model" / "weights")


def tiles_of(planes):
    """Planes (k, h, w) of whole tiles -> (n, k, tile, tile)."""
    folds = torch.from_numpy(np.ascontiguousarray(planes)).float().unfold(1, TILE_PX, TILE_PX)
    return folds.unfold(2, TILE_PX, TILE_PX).flatten(1, 2).swapaxes(0, 1)


def maps_of(pixels):
    """The network on an image, scaled, cut and put together as the package does; in 32-bit floats.

    But for the rim of 8 px of zeros that it lays around an image: around a window there is slide.
    """
    scaled = transforms.normalize_img(pixels.astype(np.float32))
    return run_net(MODELS["net"], scaled[None], bsize=256, batch_size=8, tile_overlap=0.1)[0][0]


def exact(folder):
    """Outputs for one window."""
    maps = torch.from_numpy(np.moveaxis(maps_of(np.load(Path(folder) / "image.npy")), -1, 0))
    named = {"prob": torch.sigmoid(maps[2:]), "flow": maps[:2] / SCALE}
    np.savez(Path(folder) / "theirs.npz", **{name: value.numpy() for name, value in named.items()})


def network(folder):
    """Run on an image."""
    maps_of(np.load(Path(folder) / "large.npy"))


def draw(folder):
    """Heads of instances as the package draws them to learn from, and noise."""
    labels = np.load(Path(folder) / "truth.npy")
    _, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape).astype(np.int32)
    rng = np.random.default_rng(11)
    flow = dynamics.masks_to_flows_gpu(dense)[0] + rng.normal(0, 0.2, (2, *labels.shape))
    logit = np.where(labels > 0, 3.0, -3.0) + rng.normal(0, 1, labels.shape)
    heads = {"flow": flow, "prob": 1 / (1 + np.exp(-logit[None]))}
    np.savez(Path(folder) / "heads.npz", **{name: value.astype(np.float32) for name, value in heads.items()})


def decode(folder):
    """Nuclei of drawn heads, with the thresholds that `eval` has."""
    with np.load(Path(folder) / "heads.npz") as heads:
        flow, prob = SCALE * heads["flow"], heads["prob"][0].astype(np.float64)
    logit = np.log(prob / (1 - prob)).astype(np.float32)
    labels = dynamics.resize_and_compute_masks(flow, logit, device=torch.device("cpu")).astype(np.int32)
    np.savez(Path(folder) / "found.npz", labels=labels, types=np.ones(labels.max(), np.int64))


if __name__ == "__main__":
    serve({"make": make, "fit": fit, "exact": exact, "network": network, "draw": draw, "decode": decode})
