"""The last layer of a network with random weights, fitted to the labels of a field: so that it finds nuclei.

What goes into a last layer of 1 x 1 is a few dozen random features of the image; its weights are those that
come nearest (least squares) to what `draw` made of the labels. No model of anything; but nuclei come out.
"""

import numpy as np

RIDGE, SPREAD = 1e-3, 3.0


def fitted(features, wanted):
    """Features (c, ...) and planes (k, ...) -> weights (k, c) and biases (k) that give the planes best."""
    flat, planes = (each.reshape(len(each), -1).astype(np.float64) for each in (features, wanted))
    middle, spread = flat.mean(1), flat.std(1) + 1e-9
    flat = (flat - middle[:, None]) / spread[:, None]
    mean = planes.mean(1)
    products = flat @ flat.T / flat.shape[1] + RIDGE * np.eye(len(flat))
    weights = np.linalg.solve(products, flat @ (planes - mean[:, None]).T / flat.shape[1]).T / spread
    return weights, mean - weights @ middle


def crossing(features, wanted):
    """The same for masks, as logits: as many pixels of each above 0 as the mask (k, ...) has."""
    weights, bias = fitted(features, wanted)
    given = weights @ features.reshape(len(features), -1) + bias[:, None]
    cuts = [np.quantile(plane, 1 - mask.mean()) for plane, mask in zip(given, wanted, strict=True)]
    scale = SPREAD / given.std(1)
    return weights * scale[:, None], (bias - cuts) * scale


def watched(layer, run):
    """What goes into a layer of PyTorch (c, n, h, w) while `run` runs its network."""
    seen = []
    hook = layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach().numpy()))
    run()
    hook.remove()
    return np.concatenate(seen).swapaxes(0, 1)


def set_layer(layer, weights, bias):
    """Weights and biases of a layer of PyTorch."""
    layer.weight.detach().numpy()[...] = weights.reshape(layer.weight.shape)
    layer.bias.detach().numpy()[...] = bias


def fit_hover(layers, run, folder, cut):
    """Fit the last layers `np` and `hv` to the heads drawn of a field, of which the network gives a part."""
    with np.load(folder / "heads.npz") as heads:
        nuclear, hv = 1 - heads["classes"][(slice(1), *cut)], heads["hv"][(slice(None), *cut)]
    features = watched(layers["np"], run)
    weights, bias = crossing(features, nuclear > 0.5)
    set_layer(layers["np"], np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2)
    set_layer(layers["hv"], *fitted(watched(layers["hv"], run), hv))
