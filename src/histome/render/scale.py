"""Values in colors from low to high that every eye tells apart (viridis), as the viewer draws them, too."""

import numpy as np
from numpy.typing import NDArray

from histome.colors import rgb
from histome.render.layers import Layer

# Ends and quarters of matplotlib's viridis (CC0); between them colors are mixed in equal steps.
STOPS = ("#440154", "#3B528B", "#21918C", "#5EC962", "#FDE725")
_NOTHING, _STEPS = 0, 255


def scale_colors(alpha: int = 255, *, fading: bool = False) -> NDArray[np.uint8]:
    """Return the colors of codes 0 (nothing, transparent) and 1 to 255 (low to high), RGBA (256, 4).

    Fading, the lower half grows out of nothing: where next to none is, what lies below keeps its colors.
    """
    stops = np.array([rgb(color) for color in STOPS], float)
    at = np.linspace(0, len(STOPS) - 1, _STEPS)
    mixed = [np.interp(at, np.arange(len(STOPS)), stops[:, channel]) for channel in range(3)]
    colors = np.zeros((_STEPS + 1, 4), np.uint8)
    opacity = np.minimum(2 * np.linspace(0, 1, _STEPS), 1.0) if fading else np.ones(_STEPS)
    colors[1:] = np.rint(np.column_stack([*mixed, alpha * opacity]))
    return colors


def scale_codes(
    values: NDArray[np.floating] | NDArray[np.integer], low: float, high: float
) -> NDArray[np.uint8]:
    """Return 1 to 255 for values from low to high, what lies beyond as the end; 0 for NaN."""
    known = ~np.isnan(values)
    share = np.divide(np.where(known, values, low) - low, high - low or 1.0)
    return np.where(known, 1 + np.rint(np.clip(share, 0, 1) * (_STEPS - 1)), _NOTHING).astype(np.uint8)


def scale_layer(codes: NDArray[np.uint8], alpha: int = 255, *, fading: bool = False) -> Layer:
    """Return codes of `scale_codes` as a layer, see `scale_colors`."""
    return Layer(codes, scale_colors(alpha, fading=fading))
