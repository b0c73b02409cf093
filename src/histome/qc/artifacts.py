"""What lies on the glass or the tissue and must not be measured: inks, black and gray debris, edges."""

import numpy as np
from numpy.typing import NDArray

from histome.geometry import morphology
from histome.qc.colors import BLACK, BROWN_INK, COLD_INK, DENSITY_STEP, GRAY, RED_INK, RED_TRACE, Evidence

Mask = NDArray[np.bool_]

# A dot of ink or dirt that matters; smaller ones hide a few nuclei at most.
_INK_UM2, _DEBRIS_UM2 = 3_000.0, 2_000.0
# Ink fades over two pixels at 8 um/px: the fringe has neither the tissue's colors nor the ink's.
_FRINGE_UM = 16.0
# Red ink has the colors of bone and of packed red cells (both pass on up to 80 % of a field of bone), so it
# must be a stroke: at least 1.2 mm long, dense (upper decile of a stroke 1.97; of 16 fields of bone with
# anything as long, at most 1.20), and not most of what is on the slide.
_RED_LENGTH_UM, _RED_CORE_DENSITY, _RED_LARGEST_SHARE = 1_200.0, 1.5, 0.4
_RED_GAP_UM, _RED_REACH_UM, _RED_PIECE_UM2 = 24.0, 96.0, 2_500.0
# A pen draws 300-400 um wide; the coverslip's edge is a black line of some 100 um.
_PEN_WIDTH_UM = 180.0


def find_ink(evidence: Evidence, *, mpp: float) -> Mask:
    """Return pen strokes and surgical ink of any color, bool (h, w)."""
    ink = morphology.keep_large(_joined(evidence.has(COLD_INK), mpp), _INK_UM2 / mpp**2)
    ink |= morphology.keep_large(_joined(evidence.has(BROWN_INK), mpp), 2 * _INK_UM2 / mpp**2)
    ink |= _black_pen(evidence, mpp)
    ink |= _red_pen(evidence, mpp)
    return morphology.dilate(ink, _FRINGE_UM / mpp)


def _joined(mask: Mask, mpp: float) -> Mask:
    return morphology.close_gaps(mask, 16.0 / mpp)


def _black_pen(evidence: Evidence, mpp: float) -> Mask:
    """Black at least as wide as a pen draws, with the gray it fades into."""
    black = evidence.has(BLACK)
    core = morphology.erode(_joined(black, mpp), _PEN_WIDTH_UM / 2 / mpp) & black
    if not core.any():
        return core
    stroke = morphology.reach_from(core, black)
    return stroke | (evidence.has(GRAY | BLACK) & morphology.dilate(stroke, 4 * _FRINGE_UM / mpp))


def _red_pen(evidence: Evidence, mpp: float) -> Mask:
    """Red strokes: long groups of ink-colored pixels, with the paler trace beside them."""
    strong = evidence.has(RED_INK)
    strong &= morphology.share_around(strong, 3) > 0.3 * 255
    if not strong.any():
        return strong
    found = morphology.components(morphology.close_gaps(strong, _RED_GAP_UM / mpp))
    strokes = strong & found.where(found.lengths_px >= _RED_LENGTH_UM / mpp)
    colored = np.count_nonzero(evidence.density > int(0.1 / DENSITY_STEP))
    if not strokes.any() or np.count_nonzero(strokes) > _RED_LARGEST_SHARE * colored:
        return np.zeros_like(strokes)
    if np.percentile(evidence.density[strokes], 90) * DENSITY_STEP < _RED_CORE_DENSITY:
        return np.zeros_like(strokes)
    # Where one stroke is drawn, smaller pieces of the same red are the same pen lifting off.
    pieces = strong & (strokes | found.where(found.areas_px >= _RED_PIECE_UM2 / mpp**2))
    trace = evidence.has(RED_TRACE | RED_INK) & morphology.dilate(pieces, _RED_REACH_UM / mpp)
    return morphology.close_gaps(trace, 16.0 / mpp)


def find_debris(evidence: Evidence, ink: Mask, *, mpp: float) -> Mask:
    """Return colorless dark matter that is no pen: dust, bubbles' rims, the coverslip's edge, carbon."""
    gray = evidence.has(GRAY | BLACK) & ~ink
    return morphology.keep_large(_joined(gray, mpp), _DEBRIS_UM2 / mpp**2) & ~ink
