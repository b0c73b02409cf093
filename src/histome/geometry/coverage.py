"""Pixels that a picture covers in part: the last row and column of a map may reach beyond it."""

import numpy as np
from numpy.typing import NDArray

# The covered share of each row (h,) and of each column (w,): a pixel's share is their product.
Shares = tuple[NDArray[np.float64], NDArray[np.float64]]

# Rounding, not a border: lengths in um are products of floats.
_WHOLE = 1 - 1e-6
# Bounds the memory of counting: 8 bytes a pixel.
_BLOCK_ROWS = 256


def pixel_shares(first: int, count: int, extent_px: float) -> NDArray[np.float64]:
    """Return the share of each of the pixels first, first + 1, ... that lies before extent_px, (count,)."""
    share = np.clip(extent_px - first - np.arange(count), 0.0, 1.0)
    return np.where(share > _WHOLE, 1.0, share)


def covered_px(mask: NDArray[np.bool_] | NDArray[np.uint8], shares: Shares) -> float:
    """Return the area of a mask (h, w) of 0 and 1 in pixels, each by its share."""
    rows, columns = shares
    bottom, right = _whole(rows), _whole(columns)
    inner = np.count_nonzero(mask[:bottom, :right])
    beside = rows @ mask[:, right:] @ columns[right:]
    below = rows[bottom:] @ mask[bottom:, :right].sum(axis=1)
    return float(inner + beside + below)


def covered_counts(codes: NDArray[np.uint8], shares: Shares, n_codes: int) -> NDArray[np.float64]:
    """Return the area of each code 0..n_codes - 1 of a map (h, w) in pixels, each by its share.

    Whole pixels are counted and a row's or column's share taken once, so that a map cropped to what it holds
    has the same areas to the last digit.
    """
    rows, columns = shares
    bottom, right = _whole(rows), _whole(columns)
    counts = np.zeros(n_codes)
    for row in range(0, bottom, _BLOCK_ROWS):
        counts += _counts(codes[row : min(row + _BLOCK_ROWS, bottom), :right], n_codes)
    for row in range(bottom, len(rows)):
        counts += rows[row] * _counts(codes[row, :right], n_codes)
    for column in range(right, len(columns)):
        counts += columns[column] * _counts(codes[:bottom, column], n_codes)
        for row in range(bottom, len(rows)):
            counts[codes[row, column]] += rows[row] * columns[column]
    return counts


def _counts(codes: NDArray[np.uint8], n_codes: int) -> NDArray[np.int64]:
    return np.bincount(codes.ravel(), minlength=n_codes)


def _whole(shares: NDArray[np.float64]) -> int:
    """Number of pixels before the first that is covered in part."""
    partial = np.flatnonzero(shares < 1)
    return int(partial[0]) if len(partial) else len(shares)
