"""What a model answered to one drawn window: a few numbers in its card that a later run is held against."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.models.card import Card
from histome.models.runtime import Outputs

_SPACING_UM = 16.0
_PINK, _FALL = (236.0, 196.0, 216.0), (-18.0, -30.0, -14.0)
_PURPLE = (104.0, 72.0, 148.0)
# Share of an output's largest reference value. bf16 moves a mean by under 1 % (see models.runtime).
TOLERANCE = 0.02


def reference_window(card: Card, columns: int | None = None) -> NDArray[np.uint8]:
    """Draw the window that reference outputs are of: dark ellipses on pink, no side like another.

    Returns (1, window, window, 3) uint8, `columns` px wide when given. Closed-form arithmetic, no random
    numbers: the same pixels with every version of every library.
    """
    rows, columns = card.window_px, columns or card.window_px
    x, y = (np.arange(n) * card.mpp for n in (columns, rows))
    x, y = x[None, :], y[:, None]
    column, row = np.floor(x / _SPACING_UM), np.floor(y / _SPACING_UM)
    mix = (0.37 * column + 0.61 * row) % 1.0
    dx = x - (column + 0.5) * _SPACING_UM - 3.0 * np.sin(7.0 * row + column)
    dy = y - (row + 0.5) * _SPACING_UM - 3.0 * np.sin(5.0 * column + 2.0 * row)
    radius_um = 2.5 + 2.5 * mix
    reach = np.hypot(dx, dy * (0.7 + 0.6 * mix)) / radius_um
    cover = np.clip(4.0 * (1.0 - reach) + 0.5, 0.0, 1.0)[..., None]
    slope = (x / x.max(initial=1.0) + 0.5 * y / y.max(initial=1.0))[..., None]
    ground = np.array(_PINK) + np.array(_FALL) * slope
    nucleus = np.array(_PURPLE) + 40.0 * mix[..., None]
    return np.rint(cover * nucleus + (1 - cover) * ground).astype(np.uint8)[None]


def summarize(outputs: Outputs) -> dict[str, tuple[float, ...]]:
    """Mean of each channel of each output in the four quarters of the window: channel by channel, row by row.

    This is what a card's `reference` holds, made from the outputs for `reference_window`.
    """
    return {name: tuple(_quarters(array[0])) for name, array in outputs.items()}


def _quarters(planes: NDArray[np.floating]) -> list[float]:
    middle = [side // 2 for side in planes.shape[1:]]
    parts = [
        planes[:, rows, columns].mean(axis=(1, 2), dtype=np.float64)
        for rows in (slice(middle[0]), slice(middle[0], None))
        for columns in (slice(middle[1]), slice(middle[1], None))
    ]
    return np.stack(parts, axis=1).round(5).ravel().tolist()


def largest_difference(
    found: Mapping[str, tuple[float, ...]], wanted: Mapping[str, tuple[float, ...]]
) -> float:
    """Largest difference of two summaries, as a share of each output's largest value; inf where unlike.

    Of an output that goes both ways the share is a third of that: its values are far larger than their means,
    and bf16 moves such a mean by up to 5 % of the largest.
    """
    if found.keys() != wanted.keys() or any(len(found[name]) != len(wanted[name]) for name in wanted):
        return np.inf
    shares = [
        np.abs(np.subtract(found[name], means)).max() / _size(np.array(means))
        for name, means in wanted.items()
    ]
    return float(max(shares, default=0.0))


def _size(means: NDArray[np.float64]) -> float:
    both_ways = means.min() < 0 < means.max()
    return max(float(np.abs(means).max()) * (3 if both_ways else 1), 0.01)
