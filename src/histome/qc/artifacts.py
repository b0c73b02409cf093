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
# must be a stroke: at least 1.8 mm long, with a dense core (upper decile of a pen's stroke 1.96, of bone
# 0.7-1.2), and not most of what is on the slide.
_RED_LENGTH_UM, _RED_CORE_DENSITY, _RED_LARGEST_SHARE = 1_800.0, 1.4, 0.4
_RED_GAP_UM, _RED_REACH_UM, _RED_PIECE_UM2 = 24.0, 96.0, 2_500.0
# A pen draws 300-400 um wide; the coverslip's edge is a black line of some 100 um.
_PEN_WIDTH_UM = 180.0
# A fold doubles the density and keeps the hue; lymphoid tissue is dense too, but bluer than what is round
# it; dark epithelium is not, but it is no band with ordinary tissue on both sides. The limits are for few
# false alarms (0.00 % of the tissue of 282 real fields without folds) and find a third of folds drawn on
# real tissue: those in pale tissue.
_FOLD_RATIO, _FOLD_HUE = 1.6, 0.04
_FOLD_EDGE_RATIO, _FOLD_EDGE_HUE, _FOLD_DENSITY = 1.3, 0.07, 0.6
_FOLD_SOLID, _FOLD_AROUND_UM = 0.25, 600.0
_FOLD_UM2, _FOLD_LENGTH_UM, _FOLD_WIDTH_UM, _FOLD_SLENDER = 4_000.0, 200.0, 140.0, 3.0
# Beside a fold, from 24 to 96 um, at least this share is tissue of 0.55-1.3 times the usual density.
_FOLD_SIDES_UM, _FOLD_SIDES_RATIO, _FOLD_SIDES_SHARE = (24.0, 96.0), 0.55, 0.8


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
    if np.percentile(evidence.density[strokes], 90) * DENSITY_STEP < _RED_CORE_DENSITY:
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
    """Return tissue that lies double: denser bands of the hue of the ordinary tissue on both their sides."""
    ratio, hue_change = _contrast(evidence, tissue, mpp)
    dense = tissue & (evidence.density > _FOLD_DENSITY / DENSITY_STEP)
    core = dense & (ratio > _FOLD_RATIO) & (hue_change < _FOLD_HUE)
    band = dense & (ratio > _FOLD_EDGE_RATIO) & (hue_change < _FOLD_EDGE_HUE)
    labels, areas = morphology.label(morphology.close_gaps(band, 8.0 / mpp))
    core_areas = np.bincount(labels[core], minlength=len(areas))
    length_um, area_um2 = _lengths_px(labels, len(areas)) * mpp, areas * mpp**2
    width_um = area_um2 / np.maximum(length_um, mpp)
    slender = (length_um >= _FOLD_LENGTH_UM) & (
        width_um <= np.minimum(_FOLD_WIDTH_UM, length_um / _FOLD_SLENDER)
    )
    likely = slender & (area_um2 >= _FOLD_UM2) & (core_areas >= 8)
    ordinary = tissue & (ratio > _FOLD_SIDES_RATIO) & (ratio < _FOLD_EDGE_RATIO)
    for number in np.flatnonzero(likely):
        likely[number] = _has_sides(labels, int(number), ordinary, mpp)
    return likely[labels] & tissue


def _contrast(
    evidence: Evidence, tissue: Mask, mpp: float
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Density over that of the solid tissue within 300 um, and difference to its hue (share of red)."""
    density = evidence.density.astype(np.float32)
    red = density * (evidence.red_share / np.float32(255))
    # Fat and lumina would make all that lies beside them look dense.
    solid = tissue & (evidence.density > int(_FOLD_SOLID / DENSITY_STEP))
    side = max(3, round(_FOLD_AROUND_UM / mpp) | 1)
    weight = np.maximum(_mean(solid.astype(np.float32), side), 1e-6)
    usual = np.maximum(_mean(np.where(solid, density, 0), side), 1e-6)
    usual_hue = _mean(np.where(solid, red, 0), side) / usual
    here = np.maximum(_mean(density, 3), 1e-6)
    return here * weight / usual, np.abs(_mean(red, 3) / here - usual_hue)


def _has_sides(labels: NDArray[np.int32], number: int, ordinary: Mask, mpp: float) -> bool:
    inner, outer = (um / mpp for um in _FOLD_SIDES_UM)
    rows, cols = np.nonzero(labels == number)
    pad = int(np.ceil(outer)) + 1
    box = tuple(slice(max(0, int(v.min()) - pad), int(v.max()) + pad + 1) for v in (rows, cols))
    band = labels[box] == number
    sides = morphology.dilate(band, outer) & ~morphology.dilate(band, inner)
    return bool(ordinary[box][sides].mean() >= _FOLD_SIDES_SHARE) if sides.any() else False


def _mean(plane: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    return cv2.blur(plane, (side, side))  # type: ignore[return-value]
