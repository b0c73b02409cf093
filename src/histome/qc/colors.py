"""What the color of an 8 um pixel says: tissue, which ink, black, gray, and how dense it is.

Everything is measured in optical density against the slide's own glass, so a warm or dim lamp does not
matter. The limits are shares of the three channels in the summed density; figures beside them are
percentiles measured on the real fields of nine data sets at 8 um/px (1.0 million pixels with a density over
0.2).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Glass of the scanners seen is 240-246; used where a field shows no glass at all.
ASSUMED_GLASS = (243.0, 243.0, 243.0)
# Glass is bright (density under 0.12 a channel) and neutral (channels within 0.02), or tinted by the lamp
# from red to blue, never by a green of its own: pale mucus and eosin absorb green most. Warm tints stay
# small: beige is stroma.
_GLASS_DENSITY, _NEUTRAL_TINT, _WARM_TINT, _BLUE_TINT = 0.12, 0.02, 0.04, 0.12
# Smooth over 10 um: within 4 gray levels (glass of nine scanners: median 1-3). Pale stroma is as bright, but
# its fibers make 5-8.
GLASS_MPP, _GLASS_SIDE_PX, _GLASS_ROUGHNESS = 2.0, 5, 4
_GLASS_SHARE = 0.003

# Bits of the evidence map.
TISSUE, STAINED, GREENISH, COLD_INK, RED_INK, RED_TRACE, BROWN_INK, BLACK, GRAY = (1 << k for k in range(9))

# Stained tissue absorbs green most. Excess of green over the mean of red and blue: glass and dust stay under
# 0.006 (99.9 %), fat at 8 um/px has 0.01-0.05, mucus 0.03.
GREEN_EXCESS, STAINED_EXCESS = 0.010, 0.020
# The other way round is noise of color compression: 5-26 % of the pixels of shaded glass, under 0.5 % of fat.
GREEN_LACK = -0.006
_BEIGE_DENSITY = 0.12
# Under this summed density colors are noise of the camera and of JPEG.
_COLORED = 0.20
# Blue, green and black inks absorb red more than green; hematoxylin never does (99.9 % of tissue: -0.02).
_COLD, _INK_CHROMA = 0.04, 0.10
# Red ink: next to no red absorbed, as much blue as green. Shared with bone and blood, so never used alone.
_RED_MAX_RED, _RED_MIN_BLUE, _RED_DENSITY = 0.10, 0.35, 0.40
_TRACE_MAX_RED, _TRACE_MIN_BLUE, _TRACE_DENSITY = 0.22, 0.33, 0.15
# Brown and yellow ink absorb blue more than green; tissue: 99.9 % under 0.05.
_BROWN, _BROWN_DENSITY = 0.10, 0.30
# Black: no hue in spite of a density at which tissue always has one (lowest 0.1 % of lymphoid tissue: 0.119).
_BLACK_CHROMA, _BLACK_DENSITY = 0.10, 1.20
_GRAY_CHROMA, _GRAY_DENSITY = 0.10, 0.25

# Density in a byte: 0-3.19 in steps of 0.0125.
DENSITY_STEP = 0.0125


class Glass(NamedTuple):
    """Color of empty glass, 0-255, and whether the slide shows any (else it is assumed)."""

    rgb: tuple[float, float, float]
    seen: bool


def find_glass(thumbnail: Rgb) -> Glass:
    """Return the most frequent color among bright, neutral, smooth pixels of a thumbnail (h, w, 3).

    The thumbnail's pixels should not be finer than 2 um, or fibers look smooth. A field that is all tissue
    has no such pixels: then `ASSUMED_GLASS`.
    """
    density = [_density_of_byte(255.0)[thumbnail[..., k]] for k in range(3)]
    low, high = np.minimum.reduce(density), np.maximum.reduce(density)
    brightness = thumbnail.mean(axis=2, dtype=np.float32)
    side = np.ones((_GLASS_SIDE_PX, _GLASS_SIDE_PX), np.uint8)
    smooth = cv2.morphologyEx(brightness, cv2.MORPH_GRADIENT, side) <= _GLASS_ROUGHNESS
    bright, tint = (high < _GLASS_DENSITY) & smooth, high - low
    red, green, blue = density
    warm = (red <= green) & (green <= blue) & (tint < _WARM_TINT)
    cold = (red >= green) & (green >= blue) & (tint < _BLUE_TINT)
    for glass in (bright & ((tint < _NEUTRAL_TINT) | warm), bright & cold):
        if glass.mean() >= _GLASS_SHARE:
            return Glass(_common_color(thumbnail, glass, brightness), seen=True)
    return Glass(ASSUMED_GLASS, seen=False)


def _common_color(thumbnail: Rgb, glass: Mask, brightness: NDArray[np.float32]) -> tuple[float, float, float]:
    counts = np.bincount(brightness[glass].astype(int), minlength=256)
    mode = int(np.convolve(counts, np.ones(5), mode="same").argmax())
    red, green, blue = np.median(thumbnail[glass & (np.abs(brightness - mode) <= 3)], axis=0)
    return float(red), float(green), float(blue)


class Evidence(NamedTuple):
    """What color says of each pixel.

    Attributes
    ----------
    bits : (h, w) uint16
        `TISSUE`, `STAINED` and so on, one bit each.
    density : (h, w) uint8
        Summed density, in steps of `DENSITY_STEP`.
    red_share : (h, w) uint8
        255 times the share of red in the density (0.07-0.15 where eosin rules, 0.3-0.4 where hematoxylin
        does).
    """

    bits: NDArray[np.uint16]
    density: NDArray[np.uint8]
    red_share: NDArray[np.uint8]

    def has(self, bits: int) -> Mask:
        """Return where any of the bits is set."""
        return (self.bits & np.uint16(bits)) > 0

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> "Evidence":
        """Return a map of glass."""
        return cls(np.zeros(shape, np.uint16), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


def color_evidence(rgb: Rgb, glass: Glass) -> Evidence:
    """Return the evidence of (h, w, 3) pixels at about 8 um/px."""
    tables = [_density_of_byte(value) for value in glass.rgb]
    red, green, blue = (table[rgb[..., k]] for k, table in enumerate(tables))
    total = red + green + blue
    scale = 1 / np.maximum(total, 0.05)
    red_share, green_share, blue_share = red * scale, green * scale, blue * scale
    high = np.maximum(np.maximum(red_share, green_share), blue_share)
    chroma = high - np.minimum(np.minimum(red_share, green_share), blue_share)
    excess = green - (red + blue) / 2
    # Stroma that has lost its eosin is beige: blue is absorbed, too, and red the least.
    beige = (total > _BEIGE_DENSITY) & (chroma > _INK_CHROMA) & (red_share < green_share)
    found = {
        TISSUE: (excess > GREEN_EXCESS) | beige,
        STAINED: excess > STAINED_EXCESS,
        GREENISH: excess < GREEN_LACK,
        COLD_INK: (total > _COLORED) & (red_share - green_share > _COLD) & (chroma > _INK_CHROMA),
        RED_INK: (total > _RED_DENSITY) & (red_share < _RED_MAX_RED) & (blue_share > _RED_MIN_BLUE),
        RED_TRACE: (total > _TRACE_DENSITY) & (red_share < _TRACE_MAX_RED) & (blue_share > _TRACE_MIN_BLUE),
        BROWN_INK: (total > _BROWN_DENSITY) & (blue_share - green_share > _BROWN),
        BLACK: (total > _BLACK_DENSITY) & (chroma < _BLACK_CHROMA),
        GRAY: (total > _GRAY_DENSITY) & (chroma < _GRAY_CHROMA),
    }
    bits = np.zeros(total.shape, np.uint16)
    for bit, mask in found.items():
        bits |= np.where(mask, np.uint16(bit), np.uint16(0))
    density = np.clip(total / DENSITY_STEP, 0, 255).astype(np.uint8)
    return Evidence(bits, density, np.clip(255 * red_share, 0, 255).astype(np.uint8))


def _density_of_byte(glass: float) -> NDArray[np.float32]:
    return np.maximum(-np.log10(np.maximum(np.arange(256), 1) / glass), 0).astype(np.float32)
