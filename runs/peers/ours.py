"""histome's side of a comparison: the imported model on the same pixels, its decoder on the same heads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from serve import serve

from histome.cells.decode import DecodeSettings, decode
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.slide import TileGrid

THREADS = 2
_OPEN = {}


def opened(folder):
    """The model of a folder, loaded once: as a profile runs it."""
    if folder not in _OPEN:
        _OPEN[folder] = Network(load_card(Path(folder) / "ours"), threads=THREADS)
    return _OPEN[folder]


def exact(folder):
    """Outputs for one window in 32-bit floats."""
    card = load_card(Path(folder) / "ours")
    outputs = Network(card, precision="f32")(np.load(Path(folder) / "image.npy")[None])
    np.savez(Path(folder) / "ours.npz", **{name: array[0] for name, array in outputs.items()})


def network(folder):
    """Run on an image window by window, with the rims that are thrown away."""
    model, image = opened(folder), np.load(Path(folder) / "large.npy")
    halo, window = model.card.halo_px, model.card.window_px
    padded = np.pad(image, ((halo, window), (halo, window), (0, 0)), mode="reflect")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda at: model(window_at(padded, at, window)[None]), corners(image, model.card)))
    return {"backend": f"{model.backend} {model.precision}"}


def corners(image, card):
    """Upper left corners of the windows of an image, in pixels of the one padded by a halo."""
    grid = TileGrid(image.shape[1::-1], card.core_px, card.halo_px)
    return [(tile.core.y0, tile.core.x0) for tile in grid]


def window_at(array, at, side):
    """A copy of a square of an array (h, w, ...)."""
    return np.ascontiguousarray(array[at[0] : at[0] + side, at[1] : at[1] + side])


def decode_(folder):
    """Nuclei of drawn heads."""
    card = load_card(Path(folder).parent / "model" / "ours")
    with np.load(Path(folder) / "heads.npz") as heads:
        found = decode(card.task, dict(heads), DecodeSettings.of(card))
    np.savez(Path(folder) / "ours.npz", labels=found.labels, logits=found.logits)


if __name__ == "__main__":
    serve({"exact": exact, "network": network, "decode": decode_})
