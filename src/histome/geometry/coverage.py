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


def covered_counts(
    codes: NDArray[np.uint8],
    shares: Shares,
    n_codes: int,
    *,
    within: tuple[NDArray[np.uint8], int] | None = None,
) -> NDArray[np.float64]:
    """Return the area of each code 0..n_codes - 1 of a map (h, w) in pixels, each by its share.

    Whole pixels are counted and a row's or column's share taken once, so that a map cropped to what it holds
    has the same areas to the last digit. `within` are the codes of another map of the same pixels and how
    many there are: the areas are those of both codes, (n_codes, others).
    """
    others, other_codes = (None, 1) if within is None else within

    def count(*box: slice | int) -> NDArray[np.int64]:
        both = codes[box] if others is None else codes[box] * np.uint8(other_codes) + others[box]
        return np.bincount(both.ravel(), minlength=n_codes * other_codes)

    rows, columns = shares
    bottom, right = _whole(rows), _whole(columns)
    counts = np.zeros(n_codes * other_codes)
    for row in range(0, bottom, _BLOCK_ROWS):
        counts += count(slice(row, min(row + _BLOCK_ROWS, bottom)), slice(right))
    for row in range(bottom, len(rows)):
        counts += rows[row] * count(row, slice(right))
    for column in range(right, len(columns)):
        counts += columns[column] * count(slice(bottom), column)
        for row in range(bottom, len(rows)):
            counts += rows[row] * columns[column] * count(slice(row, row + 1), column)
    return counts if within is None else counts.reshape(n_codes, other_codes)


def _whole(shares: NDArray[np.float64]) -> int:
    """Number of pixels before the first that is covered in part."""
    partial = np.flatnonzero(shares < 1)
    return int(partial[0]) if len(partial) else len(shares)
