"""Where there is tissue: stained pixels, with their fat, mucus and lumina, without dust."""

import numpy as np
from numpy.typing import NDArray

from histome.geometry import morphology
from histome.qc.colors import GREENISH, STAINED, TISSUE, Evidence
from histome.slide import Slide

Mask = NDArray[np.bool_]

STRIP_ROWS = 256
# A single stained pixel on glass is noise of JPEG: the thinnest septum of fat leaves two in its square of 25.
_NOISE_SIDE_PX, _NOISE_SHARE = 5, 0.05
# Fat cells are 50-130 um wide and show only their septa: gaps up to 128 um close.
CLOSING_UM = 64.0
# A lumen or vacuole up to 160 um across belongs to its tissue.
HOLE_UM2 = 20_000.0
# Judged within 330 um. Dried mounting medium has a trace of color in many pixels but a real one in next to
# none; fat has it in its septa (5 % and more). Shaded glass has its noise both ways (a seventh and more is
# greenish), fat and tissue have not (under a fiftieth).
_AROUND_UM, _STAINED_SHARE, _STAINED_PER_GREENISH = 330.0, 0.02, 10
_RIM_UM = 100.0
# Smaller than 80 x 80 um is a floater; a field smaller than 20 such pieces keeps what it has.
FRAGMENT_UM2 = 6_400.0
_FIELD_SHARE = 0.05


def strips(height: int) -> list[tuple[int, int]]:
    """Return the first row and the one past the last of each strip of a map."""
    return [(y, min(y + STRIP_ROWS, height)) for y in range(0, height, STRIP_ROWS)]


def read_strip(slide: Slide, mpp: float, rows: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the rows of the whole slide's image at `mpp`, (h, w, 3) uint8."""
    width = slide.shape_at(mpp)[1]
    return slide.read(0, rows[0] * mpp / slide.mpp.y, size=(width, rows[1] - rows[0]), mpp=mpp)


def find_tissue(evidence: Evidence, excluded: Mask, *, mpp: float, glass_seen: bool = True) -> Mask:
    """Return the tissue of a map at `mpp` um/px, bool (h, w); `excluded` (ink, debris) is never tissue.

    Where no glass was seen there is none to be told from tissue: any stained pixel counts.
    """
    stained = evidence.has(TISSUE) & ~excluded
    stained &= morphology.share_around(stained, _NOISE_SIDE_PX) > 255 * _NOISE_SHARE
    if glass_seen:
        stained &= _plausible(evidence, excluded, mpp)
    closed = morphology.close_gaps(stained, CLOSING_UM / mpp)
    closed = morphology.fill_small_holes(closed, HOLE_UM2 / mpp**2) & ~excluded
    smallest_um2 = min(FRAGMENT_UM2, _FIELD_SHARE * closed.size * mpp**2)
    return morphology.keep_large(closed, smallest_um2 / mpp**2)


def _plausible(evidence: Evidence, excluded: Mask, mpp: float) -> Mask:
    """Where the color is a stain's and not the lamp's or the compression's."""
    strong, stained = (evidence.has(bit) & ~excluded for bit in (STAINED, TISSUE))
    # The pale rim of an ink is greenish too and says nothing of the glass.
    greenish = evidence.has(GREENISH) & ~morphology.dilate(excluded, _RIM_UM / mpp)
    side_px = round(_AROUND_UM / mpp)
    real = morphology.share_around(strong, side_px) > 255 * _STAINED_SHARE
    limit = morphology.share_around(stained, side_px) // _STAINED_PER_GREENISH
    # One step of 255 is rounding and no color.
    return real & (morphology.share_around(greenish, side_px) <= limit + 1)
