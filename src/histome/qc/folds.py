"""Tissue that lies double."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from histome.geometry import morphology
from histome.qc.colors import DENSITY_STEP, Evidence
from histome.qc.foreground import strips

Mask = NDArray[np.bool_]
Plane = NDArray[np.floating]

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
# What is usual round a place changes slowly: it is computed on blocks of 4 x 4 pixels.
_COARSE = 4


class _Candidates(NamedTuple):
    """Pixels as dense as a fold's core, as its edge, and pixels of ordinary tissue."""

    core: Mask
    band: Mask
    ordinary: Mask


def find_folds(evidence: Evidence, tissue: Mask, *, mpp: float) -> Mask:
    """Return tissue that lies double: denser bands of the hue of the ordinary tissue on both their sides."""
    pixels = _candidates(evidence, tissue, mpp)
    found = morphology.components(morphology.close_gaps(pixels.band, 8.0 / mpp))
    core_px = np.bincount(found.labels[pixels.core], minlength=len(found.areas_px))
    length_um, area_um2 = found.lengths_px * mpp, found.areas_px * mpp**2
    width_um = area_um2 / np.maximum(length_um, mpp)
    slender = width_um <= np.minimum(_FOLD_WIDTH_UM, length_um / _FOLD_SLENDER)
    likely = slender & (length_um >= _FOLD_LENGTH_UM) & (area_um2 >= _FOLD_UM2) & (core_px >= 8)
    boxes = find_objects(found.labels)
    for number in np.flatnonzero(likely).tolist():
        likely[number] = _has_sides(found.labels, number, boxes[number - 1], pixels.ordinary, mpp)
    return found.where(likely) & tissue


def _candidates(evidence: Evidence, tissue: Mask, mpp: float) -> _Candidates:
    """Compare each pixel with the solid tissue within 300 um of it, strip by strip."""
    usual, usual_hue = _surroundings(evidence, tissue, mpp)
    height, width = tissue.shape
    pixels = _Candidates(*(np.zeros(tissue.shape, bool) for _ in range(3)))
    for first, last in strips(height):
        rows = slice(first, last)
        here, hue = _smooth(evidence, first, last)
        ratio = here / np.maximum(_rows_of(usual, rows, width), 1e-6)
        change = np.abs(hue - _rows_of(usual_hue, rows, width))
        dense = tissue[rows] & (evidence.density[rows] > _FOLD_DENSITY / DENSITY_STEP)
        pixels.core[rows] = dense & (ratio > _FOLD_RATIO) & (change < _FOLD_HUE)
        pixels.band[rows] = dense & (ratio > _FOLD_EDGE_RATIO) & (change < _FOLD_EDGE_HUE)
        pixels.ordinary[rows] = tissue[rows] & (ratio > _FOLD_SIDES_RATIO) & (ratio < _FOLD_EDGE_RATIO)
    return pixels


def _surroundings(evidence: Evidence, tissue: Mask, mpp: float) -> tuple[Plane, Plane]:
    """Mean density and mean share of red of the solid tissue round each block of `_COARSE` pixels."""
    # Fat and lumina would make all that lies beside them look dense.
    solid = tissue & (evidence.density > int(_FOLD_SOLID / DENSITY_STEP))
    side = max(3, round(_FOLD_AROUND_UM / mpp / _COARSE) | 1)
    weight = _mean(_blocks(solid.astype(np.float32)), side)
    density = np.where(solid, evidence.density, 0).astype(np.float32)
    usual = _mean(_blocks(density), side)
    density *= evidence.red_share
    red = _mean(_blocks(density), side)
    tiny = np.float32(1e-6)
    return usual / np.maximum(weight, tiny), red / np.maximum(np.float32(255) * usual, tiny)


def _smooth(evidence: Evidence, first: int, last: int) -> tuple[Plane, Plane]:
    """Density and share of red of rows `first` to `last`, means of 3 x 3 pixels."""
    top, bottom = max(0, first - 1), min(last + 1, evidence.density.shape[0])
    density = evidence.density[top:bottom].astype(np.float32)
    here = _mean(density, 3)
    red = _mean(density * evidence.red_share[top:bottom], 3)
    hue = red / np.maximum(np.float32(255) * here, np.float32(1e-6))
    rows = slice(first - top, last - top)
    return here[rows], hue[rows]


def _has_sides(
    labels: NDArray[np.int32], number: int, within: tuple[slice, ...], ordinary: Mask, mpp: float
) -> bool:
    inner, outer = (um / mpp for um in _FOLD_SIDES_UM)
    pad = int(np.ceil(outer)) + 1
    box = tuple(slice(max(0, side.start - pad), side.stop + pad) for side in within)
    band = labels[box] == number
    sides = morphology.dilate(band, outer) & ~morphology.dilate(band, inner)
    return bool(ordinary[box][sides].mean() >= _FOLD_SIDES_SHARE) if sides.any() else False


def _blocks(plane: Plane) -> Plane:
    """Means of blocks of `_COARSE` x `_COARSE` pixels; a block cut by the border holds zeros."""
    pad = [(0, -n % _COARSE) for n in plane.shape]
    whole = np.pad(plane, pad)
    size = whole.shape[1] // _COARSE, whole.shape[0] // _COARSE
    return cv2.resize(whole, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _rows_of(coarse: Plane, rows: slice, width: int) -> Plane:
    """Values of some rows of full resolution: each pixel has its block's."""
    picked = coarse[np.arange(rows.start, rows.stop) // _COARSE]
    return np.repeat(picked, _COARSE, axis=1)[:, :width]


def _mean(plane: Plane, side: int) -> Plane:
    return cv2.blur(plane, (side, side))  # type: ignore[return-value]
