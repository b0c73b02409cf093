"""Sums over all pairs of pixels within a radius, by Fourier transform: linear in the area."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import oaconvolve

# Pixels of a side of a transform: the memory is this much, whatever the size of the slide.
_BLOCK_PX = 512
# Points of a side that stand for a pixel in the weight of a pair of pixels: the weights of the smallest disc
# in use, 1.6 px, add up to its area within 0.2 %.
_POINTS = 32


def sums_in_discs(fields: NDArray[np.float64], radii_px: Sequence[float]) -> NDArray[np.float64]:
    """Sum fields[i] at p x fields[j] at q over the pixels p, q, for each radius and each i, j.

    Each pair of pixels counts by the probability that two points, one uniform in each, lie within the radius;
    so with areas as fields the sums are the integrals of the set cross-covariances over discs, and with
    counts the pairs of cells, each counted with itself too.

    Parameters
    ----------
    fields : (f, h, w) float64
        Zero where nothing is.
    radii_px : sequence of float, px
        Ascending.

    Returns
    -------
    (radii, f, f) float64
    """
    total = np.zeros((len(radii_px), len(fields), len(fields)))
    reach = int(np.ceil(radii_px[-1])) + 1
    shape = tuple(
        min(_BLOCK_PX, int(fft.next_fast_len(side + 2 * reach, real=True) or 0)) for side in fields.shape[1:]
    )
    if fields.size == 0:
        return total
    discs = [_disc(shape, radius) for radius in radii_px]
    for centers, around in _blocks(fields, shape, reach):
        here = _transform(centers).view(np.float64).reshape(len(fields), -1)
        there = _transform(around).view(np.float64).reshape(len(fields), -1)
        for k, disc in enumerate(discs):
            total[k] += (here * disc) @ there.T
    return total


def within_discs(fields: NDArray[np.float64], radius_px: float) -> Iterator[NDArray[np.float64]]:
    """Yield for each field the sum of its pixels within the radius of each pixel, (h, w).

    Pairs of pixels count as in `sums_in_discs`: of a field times these sums, the sum over all pixels is it.
    """
    weights = _weights(radius_px, _POINTS)
    for field in fields:
        yield oaconvolve(field, weights, mode="same")


def _transform(fields: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the transforms of real fields over their last two axes."""
    return np.asarray(fft.rfft2(fields), np.complex128)


def _blocks(
    fields: NDArray[np.float64], shape: tuple[int, ...], reach: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the fields in each block, and in it and `reach` pixels round it; (f, *shape), zero beyond."""
    rows, columns = (side - 2 * reach for side in shape)
    _, height, width = fields.shape
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            own = fields[:, top : top + rows, left : left + columns]
            if not own.any():
                continue
            centers, around = np.zeros((2, len(fields), *shape))
            centers[:, reach : reach + own.shape[1], reach : reach + own.shape[2]] = own
            y, x = max(top - reach, 0), max(left - reach, 0)
            seen = fields[:, y : top + rows + reach, x : left + columns + reach]
            y, x = y - top + reach, x - left + reach
            around[:, y : y + seen.shape[1], x : x + seen.shape[2]] = seen
            yield centers, around


def _disc(shape: tuple[int, ...], radius_px: float) -> NDArray[np.float64]:
    """Return the transform of a disc's weights, real, as it multiplies flat transforms of fields (1, k)."""
    weights = _weights(radius_px, _POINTS)
    lags = np.arange(len(weights)) - len(weights) // 2
    whole = np.zeros(shape)
    whole[np.ix_(lags, lags)] = weights
    transform = _transform(whole).real / np.prod(shape)
    # The half of the frequencies that is left out is the mirror image of the inner columns.
    transform[:, 1 : (shape[1] + 1) // 2] *= 2
    return np.repeat(transform, 2, axis=1).reshape(1, -1)


@lru_cache(maxsize=16)
def _weights(radius_px: float, points: int) -> NDArray[np.float64]:
    """Return the probability that two points of two pixels lie within the radius, by the pixels' distance."""
    reach = int(np.ceil(radius_px)) + 1
    # A pixel of points x points: differences of their places along one side, and how often each occurs.
    steps = np.arange(1 - points, points)
    often = (points - np.abs(steps)) / points**2
    lags = np.arange(-reach, reach + 1)
    weights = np.zeros((len(lags), len(lags)))
    for step, share in zip(steps / points, often, strict=True):
        # Along the other side the points within reach are an interval: count them by their cumulative share.
        half = np.sqrt(np.maximum(radius_px**2 - (lags + step) ** 2, 0))[:, None]
        inside = (np.abs(lags + step) <= radius_px)[:, None]
        low = np.searchsorted(steps / points, -half - lags, "left")
        high = np.searchsorted(steps / points, half - lags, "right")
        total = np.append(0, np.cumsum(often))
        weights += share * inside * (total[high] - total[low])
    return weights
