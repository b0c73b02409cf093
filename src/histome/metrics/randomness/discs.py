"""Sums over all pairs of pixels within a radius, by Fourier transform: linear in the area."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

# Pixels of a side of a transform: the memory is this much, whatever the size of the slide.
_BLOCK_PX = 512
# Points of a side that stand for a pixel in the weight of a pair of pixels: the weights of the smallest disc
# in use, 1.6 px, add up to its area within 0.2 %.
_POINTS = 32


class FieldRows(NamedTuple):
    """Fields (f, h, w) float64 made when asked for: `part(lo, hi, across)` are some rows and columns."""

    shape: tuple[int, int, int]
    part: Callable[[int, int, slice], NDArray[np.float64]]

    @classmethod
    def of(cls, fields: NDArray[np.float64]) -> "FieldRows":
        """Return fields that are there as a whole."""
        count, height, width = fields.shape
        return cls((count, height, width), lambda lo, hi, across: fields[:, lo:hi, across])


def sums_in_discs(fields: FieldRows, radii_px: Sequence[float]) -> NDArray[np.float64]:
    """Sum fields[i] at p x fields[j] at q over the pixels p, q, for each radius and each i, j.

    Each pair of pixels counts by the probability that two points, one uniform in each, lie within the radius;
    so with areas as fields the sums are the integrals of the set cross-covariances over discs, and with
    counts the pairs of cells, each counted with itself too.

    Parameters
    ----------
    fields : FieldRows
        Zero where nothing is. Asked for some 500 x 500 pixels at a time, those round them included, row by
        row of such parts from the top, each row from the left.
    radii_px : sequence of float, px
        Ascending.

    Returns
    -------
    (radii, f, f) float64
    """
    count = fields.shape[0]
    total = np.zeros((len(radii_px), count, count))
    if 0 in fields.shape:
        return total
    shape, reach = _block_shape(fields, radii_px)
    discs = [_doubled(_disc(shape, radius), shape) for radius in radii_px]
    for block in _blocks(fields, shape, reach):
        here, there = (
            _transform(each, shape, corner).view(np.float64).reshape(count, -1)
            for each, corner in ((block.own, (reach, reach)), (block.around, block.corner))
        )
        for k, disc in enumerate(discs):
            total[k] += (here * disc) @ there.T
    return total


class DiscSums(NamedTuple):
    """Fields in a block of pixels whose first is (row, column), and the sums round each pixel of it."""

    row: int
    column: int
    own: NDArray[np.float64]  # (f, h, w)
    around: Iterator[NDArray[np.float64]]  # (f, h, w) within each radius, made when it is asked for


def within_discs(fields: FieldRows, radii_px: Sequence[float]) -> Iterator[DiscSums]:
    """Yield the sums of the pixels within radii of each pixel, for blocks that make up all that is not zero.

    Pairs of pixels count as in `sums_in_discs`: of a field times these sums, the sum over all pixels is it.
    """
    if 0 in fields.shape:
        return
    shape, reach = _block_shape(fields, radii_px)
    discs = [_disc(shape, radius) for radius in radii_px]
    for block in _blocks(fields, shape, reach):
        transforms = _transform(block.around, shape, block.corner)
        inner = tuple(slice(reach, reach + side) for side in block.own.shape[1:])
        around = (_sums_around(transforms, disc, shape, inner) for disc in discs)
        yield DiscSums(block.row, block.column, block.own, around)


def _sums_around(
    transforms: NDArray[np.complex128],
    disc: NDArray[np.float64],
    shape: tuple[int, int],
    inner: tuple[slice, ...],
) -> NDArray[np.float64]:
    """Return the sums in a disc round each pixel of a part of fields, from their transforms, (f, h, w)."""
    height, width = (part.stop - part.start for part in inner)
    sums = np.zeros((len(transforms), height, width))
    for found, each in zip(sums, transforms, strict=True):
        if each.any():
            found[:] = np.asarray(fft.irfft2(each * disc, shape))[inner]
    return sums


def _block_shape(fields: FieldRows, radii_px: Sequence[float]) -> tuple[tuple[int, int], int]:
    """Return the sides of a transform, and how many pixels round a block are in it."""
    reach = int(np.ceil(radii_px[-1])) + 1
    height, width = (
        min(_BLOCK_PX, int(fft.next_fast_len(side + 2 * reach, real=True) or 0)) for side in fields.shape[1:]
    )
    return (height, width), reach


def _transform(
    fields: NDArray[np.float64], shape: tuple[int, int], corner: tuple[int, int] = (0, 0)
) -> NDArray[np.complex128]:
    """Return the transforms of real fields (f, h, w) that lie at a corner of zeros of a shape."""
    found = np.zeros((len(fields), shape[0], shape[1] // 2 + 1), np.complex128)
    (top, left), (height, width) = corner, fields.shape[1:]
    for field, transform in zip(fields, found, strict=True):
        if field.any():  # most blocks hold few of the tissues
            whole = np.zeros(shape)
            whole[top : top + height, left : left + width] = field
            transform[:] = np.asarray(fft.rfft2(whole), np.complex128)
    return found


class _Block(NamedTuple):
    row: int
    column: int
    own: NDArray[np.float64]  # (f, h, w)
    around: NDArray[np.float64]  # the same and up to `reach` pixels round it
    corner: tuple[int, int]  # where its first pixel lies in a transform


def _blocks(fields: FieldRows, shape: tuple[int, int], reach: int) -> Iterator[_Block]:
    """Yield the blocks of the fields that hold anything."""
    rows, columns = (side - 2 * reach for side in shape)
    _, height, width = fields.shape
    for top in range(0, height, rows):
        above = max(top - reach, 0)
        for left in range(0, width, columns):
            beside = max(left - reach, 0)
            across = slice(beside, min(left + columns + reach, width))
            around = fields.part(above, min(top + rows + reach, height), across)
            own = around[:, top - above : top - above + rows, left - beside : left - beside + columns]
            if own.any():
                yield _Block(top, left, own, around, (above - top + reach, beside - left + reach))


def _disc(shape: tuple[int, int], radius_px: float) -> NDArray[np.float64]:
    """Return the transform of a disc's weights, real, (h, w // 2 + 1)."""
    weights = _weights(radius_px, _POINTS)
    lags = np.arange(len(weights)) - len(weights) // 2
    whole = np.zeros(shape)
    whole[np.ix_(lags, lags)] = weights
    return _transform(whole[None], shape)[0].real


def _doubled(disc: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return a disc's transform as factors of flat transforms of fields whose products are summed, (1, k)."""
    transform = disc / np.prod(shape)
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
