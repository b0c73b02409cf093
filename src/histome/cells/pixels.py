"""What the pixels inside a nucleus say: its stain and its class evidence, each in one compiled pass."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.slide.stain import hematoxylin_eosin_od

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

# Densities of each byte of each channel, (256, 3 channels, 2 stains): unmixing is linear, so a pixel's
# density is the sum of its channels' entries. Channels not in question are white (255), which adds nothing.
_BYTES = np.full((256, 3, 3), 255, np.uint8)
for _channel in range(3):
    _BYTES[:, _channel, _channel] = np.arange(256)
_DENSITY = np.ascontiguousarray(hematoxylin_eosin_od(_BYTES), dtype=np.float64)


class Stains(NamedTuple):
    """Optical densities inside n nuclei, each (n,) float64; NaN for a nucleus without a pixel.

    Fixed stain vectors (`slide.stain`): comparable between scanners only after color calibration.
    """

    hematoxylin_od_mean: NDArray[np.float64]
    hematoxylin_od_sd: NDArray[np.float64]
    eosin_od_mean: NDArray[np.float64]


def measure_stains(rgb: NDArray[np.uint8], labels: Int32, n: int) -> Stains:
    """Average the stains over each nucleus' pixels; the SD is that of the pixels (divided by their number).

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        The window.
    labels : (h, w) int32
        Instance map, 0 = background, 1..n the nuclei.
    n : int
        Number of nuclei.
    """
    sums = np.zeros((n + 1, 4))
    _sum_stains(rgb, labels, _DENSITY, sums)
    with np.errstate(invalid="ignore"):
        means = sums[1:, :3] / sums[1:, 3:]
    variance = np.maximum(means[:, 1] - means[:, 0] ** 2, 0.0)
    return Stains(means[:, 0], np.sqrt(variance), means[:, 2])


def mean_logits(logits: Float32, labels: Int32, centers_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average class logits over each nucleus' grid cells.

    Parameters
    ----------
    logits : (classes, h, w) float32
        One column a grid cell.
    labels : (h * stride, w * stride) int32
        Instance map, 1..n.
    centers_px : (n, 2) float64, px
        x, y in input pixels: the grid cell there stands for a nucleus that covers none.

    Returns
    -------
    (n, classes) float64
        The means, one row a nucleus.
    """
    stride = labels.shape[0] // logits.shape[1]
    n = len(centers_px)
    # The pixel right below and right of each grid cell's center stands for the cell.
    grid = np.ascontiguousarray(labels[stride // 2 :: stride, stride // 2 :: stride])
    sums = np.zeros((n + 1, len(logits) + 1))
    _sum_logits(logits, grid, sums)
    sums = sums[1:]
    bare = sums[:, -1] == 0
    cells = np.clip((centers_px[bare] / stride).astype(np.int64), 0, np.array(grid.shape[::-1]) - 1)
    sums[bare, :-1] = logits[:, cells[:, 1], cells[:, 0]].T
    sums[bare, -1] = 1
    return sums[:, :-1] / sums[:, -1:]


def class_probabilities(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the calibrated probabilities, softmax(logits / temperature) over the last axis."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=-1, keepdims=True)


@njit(cache=True, nogil=True)
def _sum_stains(rgb, labels, density, sums):  # pragma: no cover (compiled)
    """Per label: sum of hematoxylin, of its square, of eosin, and the number of pixels."""
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            label = labels[row, col]
            if label > 0:
                r, g, b = rgb[row, col, 0], rgb[row, col, 1], rgb[row, col, 2]
                hematoxylin = density[r, 0, 0] + density[g, 1, 0] + density[b, 2, 0]
                sums[label, 0] += hematoxylin
                sums[label, 1] += hematoxylin * hematoxylin
                sums[label, 2] += density[r, 0, 1] + density[g, 1, 1] + density[b, 2, 1]
                sums[label, 3] += 1


@njit(cache=True, nogil=True)
def _sum_logits(logits, grid, sums):  # pragma: no cover (compiled)
    """Per label: sum of each logit, and the number of grid cells in the last column."""
    classes = logits.shape[0]
    for row in range(grid.shape[0]):
        for col in range(grid.shape[1]):
            label = grid[row, col]
            if label > 0:
                for k in range(classes):
                    sums[label, k] += logits[k, row, col]
                sums[label, classes] += 1
