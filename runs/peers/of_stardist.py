"""StarDist's own package: random weights, outputs of the network, heads drawn from instances, nuclei.

    pip install stardist tensorflow-cpu

Started by runs/compare_imports.py with the Python that has these packages.
"""

import json
import os
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}

import keras
import numpy as np
import tensorflow as tf
from csbdeep.utils import normalize
from fitting import crossing, fitted
from serve import serve
from stardist.geometry import star_dist
from stardist.models import Config2D, StarDist2D
from stardist.utils import edt_prob

N_CLASSES, GRID = 5, 2
MODELS = {}


def make(folder):
    """Write a model with random weights as the package does: 2D_versatile_he's sizes, and five classes."""
    tf.config.threading.set_intra_op_parallelism_threads(2)
    keras.utils.set_random_seed(3)
    config = Config2D(axes="YXC", n_channel_in=3, n_rays=32, grid=(GRID, GRID), n_classes=N_CLASSES)
    model = StarDist2D(config, name="weights", basedir=folder)
    rng = np.random.default_rng(5)
    for weight in model.keras_model.weights:
        if weight.name.startswith("bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape).astype(np.float32))
    model.keras_model.save_weights(str(model.logdir / "weights_best.h5"))
    (model.logdir / "thresholds.json").write_text(json.dumps({"prob": 0.5, "nms": 0.3}))
    MODELS[folder] = StarDist2D(None, name="weights", basedir=folder)


def fit(folder):
    """Let it find some of the nuclei of a field, and write it again."""
    folder, side = Path(folder), 992
    model = MODELS[str(folder.parent / "model")]
    image = normalize(np.load(folder / "image.npy")[:side, :side], 1, 99.8)[None]
    last = {name: model.keras_model.get_layer(name) for name in ("prob", "dist")}
    seen = keras.Model(model.keras_model.input, last["prob"].input).predict(image, verbose=0)
    features = np.moveaxis(seen[0], -1, 0)
    with np.load(folder / "heads.npz") as heads:
        prob, dist = (heads[name][:, : side // GRID, : side // GRID] for name in last)
    for name, (weights, bias) in (("prob", crossing(features, prob > 0.5)), ("dist", fitted(features, dist))):
        last[name].set_weights([weights.T[None, None], bias])
    model.keras_model.save_weights(str(model.logdir / "weights_best.h5"))


def exact(folder):
    """Outputs for one window."""
    prob, dist, classes = predict(folder, "image.npy")
    maps = {"prob": prob[None], "dist": np.moveaxis(dist, -1, 0), "classes": np.moveaxis(classes, -1, 0)}
    np.savez(Path(folder) / "theirs.npz", **maps)


def network(folder):
    """Run on an image in one piece."""
    predict(folder, "large.npy")


def predict(folder, image):
    """The network on an image, scaled as the package's script scales it."""
    return MODELS[folder].predict(normalize(np.load(Path(folder) / image), 1, 99.8))


def draw(folder):
    """Heads of instances with their types, as the package draws them to learn from, and noise."""
    labels, types = np.load(Path(folder) / "truth.npy"), np.load(Path(folder) / "types.npy")
    rng = np.random.default_rng(11)
    dist = star_dist(labels, 32, grid=(GRID, GRID))
    grid = labels[::GRID, ::GRID]
    # Kept from 1, where ties would leave it to chance which cell wins.
    prob = np.clip(0.8 * edt_prob(grid) + rng.normal(0, 0.05, grid.shape), 0, 1).astype(np.float32)
    dist = np.maximum(dist * (1 + rng.normal(0, 0.1, dist.shape)), 1e-3).astype(np.float32)
    evidence = 3 * np.eye(N_CLASSES + 1)[types[grid]] + rng.normal(0, 1, (*grid.shape, N_CLASSES + 1))
    classes = np.exp(evidence) / np.exp(evidence).sum(-1, keepdims=True)
    maps = {"prob": prob[None], "dist": np.moveaxis(dist, -1, 0), "classes": np.moveaxis(classes, -1, 0)}
    np.savez(Path(folder) / "heads.npz", **{name: a.astype(np.float32) for name, a in maps.items()})


def decode(folder):
    """Nuclei of drawn heads: their label map and the type of each."""
    heads = np.load(Path(folder) / "heads.npz")
    prob, dist, classes = (
        heads["prob"][0],
        np.moveaxis(heads["dist"], 0, -1),
        np.moveaxis(heads["classes"], 0, -1),
    )
    shape = tuple(side * GRID for side in prob.shape)
    labels, found = MODELS[next(iter(MODELS))]._instances_from_prediction(
        shape, prob, dist, prob_class=classes
    )
    # Theirs may call a nucleus background; the likeliest type besides is compared.
    np.savez(Path(folder) / "found.npz", labels=labels, types=found["class_prob"][:, 1:].argmax(1) + 1)


if __name__ == "__main__":
    serve({"make": make, "fit": fit, "exact": exact, "network": network, "draw": draw, "decode": decode})
