"""Segmenters whose map is known, and their card."""

import numpy as np

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.models.card import Card

_MARKER, _VALID = (QC_CLASSES.index(name) for name in ("MARKER", "VALID_TISSUE"))


def segmenter_card(**changes):
    fields = {"window_px": 128, "halo_px": 16, "stride": 2, "mpp": 1.0, "sha256": "0" * 64} | changes
    return Card(name="test", task="segmenter", description="d", classes=TISSUE_CLASSES, **fields)


class MeanColor:
    """Probability k of a cell is a fixed mix of the mean color of its 2 x 2 pixels: blind to windows."""

    def __init__(self, **changes):
        self.card = segmenter_card(**changes)
        self.windows = self.px = 0

    def __call__(self, image):
        self.windows += 1
        self.px += image.shape[1] * image.shape[2]
        rows, columns = (side // 2 for side in image.shape[1:3])
        mean = image[0].reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3)) / 255
        mix = np.random.default_rng(0).dirichlet(np.ones(3), 7)
        return {"probabilities": np.einsum("kc,ijc->kij", mix, mean)[None].astype(np.float32)}


class InkNetwork:
    """Calls ink what is darker than 60 in green, all else valid."""

    def __init__(self, mpp=1.0):
        self.card = Card(
            name="ink",
            task="quality",
            description="d",
            classes=QC_CLASSES,
            mpp=mpp,
            window_px=256,
            halo_px=32,
            stride=2,
            sha256="0" * 64,
        )

    def __call__(self, image):
        green = image[0, 1::2, 1::2, 1]
        probabilities = np.full((1, 5, *green.shape), 0.1, np.float32)
        probabilities[0, _MARKER] = np.where(green < 60, 0.9, 0.1)
        probabilities[0, _VALID] = np.where(green < 60, 0.1, 0.9)
        return {"probabilities": probabilities}
