"""What lies on, over or in the tissue and must not be measured: inks, black and gray debris, edges, folds."""

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.qc import morphology
from histome.qc.colors import BLACK, BROWN_INK, COLD_INK, DENSITY_STEP, GRAY, RED_INK, RED_TRACE, Evidence

Mask = NDArray[np.bool_]

# A dot of ink or dirt that matters; smaller ones hide a few nuclei at most.
_INK_UM2, _DEBRIS_UM2 = 3_000.0, 2_000.0
# Ink fades over two pixels at 8 um/px: the fringe has neither the tissue's colors nor the ink's.
_FRINGE_UM = 16.0
# Red ink has the colors of bone and of packed red cells (both pass on up to 90 % of a field of bone), so it
# must be a stroke: at least 1.2 mm long, and not most of what is on the slide.
_RED_LENGTH_UM, _RED_LARGEST_SHARE = 1_200.0, 0.4
_RED_GAP_UM, _RED_REACH_UM, _RED_PIECE_UM2 = 24.0, 96.0, 2_500.0
# A pen draws 300-400 um wide; the coverslip's edge is a black line of some 100 um.
_PEN_WIDTH_UM = 180.0
# A fold doubles the density and keeps the hue; lymphoid tissue is dense too, but bluer than what is round it.
_FOLD_RATIO, _FOLD_DENSITY, _FOLD_HUE = 1.6, 0.9, 0.035
_FOLD_SOLID = 0.25
_FOLD_AROUND_UM, _FOLD_UM2, _FOLD_LENGTH_UM = 600.0, 4_000.0, 120.0


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
    strong &= morphology.share_around(strong, 3) > 0.3
    if not strong.any():
        return strong
    labels, areas = morphology.label(morphology.close_gaps(strong, _RED_GAP_UM / mpp))
    long = _lengths_px(labels, len(areas)) >= _RED_LENGTH_UM / mpp
    strokes = strong & long[labels]
    colored = np.count_nonzero(evidence.density > int(0.1 / DENSITY_STEP))
    if not strokes.any() or np.count_nonzero(strokes) > _RED_LARGEST_SHARE * colored:
        return np.zeros_like(strokes)
    # Where one stroke is drawn, smaller pieces of the same red are the same pen lifting off.
    pieces = strong & (strokes | (areas >= _RED_PIECE_UM2 / mpp**2)[labels])
    trace = evidence.has(RED_TRACE | RED_INK) & morphology.dilate(pieces, _RED_REACH_UM / mpp)
    return morphology.close_gaps(trace, 16.0 / mpp)


def _lengths_px(labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Diagonal of each label's bounding box; 0 for the outside."""
    rows, cols = np.nonzero(labels)
    ids = labels[rows, cols]
    low, high = np.full((2, count), 2**31 - 1), np.zeros((2, count), np.int64)
    for axis, values in enumerate((rows, cols)):
        np.minimum.at(low[axis], ids, values)
        np.maximum.at(high[axis], ids, values + 1)
    extent = np.maximum(high - low, 0)
    extent[:, 0] = 0
    return np.hypot(extent[0], extent[1])


def find_debris(evidence: Evidence, ink: Mask, *, mpp: float) -> Mask:
    """Return colorless dark matter that is no pen: dust, bubbles' rims, the coverslip's edge, carbon."""
    gray = evidence.has(GRAY | BLACK) & ~ink
    return morphology.keep_large(_joined(gray, mpp), _DEBRIS_UM2 / mpp**2) & ~ink


def find_folds(evidence: Evidence, tissue: Mask, *, mpp: float) -> Mask:
    """Return tissue that lies double: 1.6 times as dense as what is round it, of the same hue, and long."""
    side = max(3, round(_FOLD_AROUND_UM / mpp) | 1)
    # Fat and lumina would make all that lies beside them look dense.
    solid = tissue & (evidence.density > int(_FOLD_SOLID / DENSITY_STEP))
    weight = cv2.blur(solid.astype(np.float32), (side, side)) + 1e-6
    usual, hue = (
        _mean_around(plane, solid, side) / weight for plane in (evidence.density, evidence.red_share)
    )
    dense = evidence.density >= np.maximum(_FOLD_RATIO * usual, _FOLD_DENSITY / DENSITY_STEP)
    fold = dense & (np.abs(evidence.red_share - hue) < 255 * _FOLD_HUE) & tissue
    fold = _joined(fold & (morphology.share_around(fold, 3) > 0.4), mpp)
    labels, areas = morphology.label(fold)
    real = (areas >= _FOLD_UM2 / mpp**2) & (_lengths_px(labels, len(areas)) >= _FOLD_LENGTH_UM / mpp)
    return real[labels] & tissue


def _mean_around(plane: NDArray[np.uint8], mask: Mask, side: int) -> NDArray[np.float32]:
    return cv2.blur(np.where(mask, plane, 0).astype(np.float32), (side, side))  # type: ignore[return-value]
