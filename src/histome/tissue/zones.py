"""Zones: the tumor's core, the bands either side of its front, and the tissue beyond."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.config import TissueConfig
from histome.geometry.distance import distance_to, distance_to_codes
from histome.slide.maps import ClassMap

ZONE_CLASSES = ("TUMOR_CORE", "INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN", "EXTRATUMORAL_TISSUE")
_CARCINOMA = TISSUE_CLASSES.index("CARCINOMA") + 1
# By code of the tissue map; necrosis, blood and what was not analyzed amid carcinoma are part of the tumor.
_OTHER_LIVING = np.array([False, *(name in NUCLEATED_TISSUES for name in TISSUE_CLASSES)])
_OTHER_LIVING[_CARCINOMA] = False
_Box = tuple[slice, slice]
# By twice 0 far from the tumor, 1 near it, 2 inside, and 1 more where its outside is near.
_ZONE_OF_BANDS = np.zeros(256, np.uint8)
_ZONE_OF_BANDS[:6] = 4, 4, 3, 3, 1, 2


class ZoneRule(NamedTuple):
    """How zones are drawn, all in um.

    Attributes
    ----------
    closing_um : float, um
        Radius of the closing.
    smallest_um2 : float, um2
        Smallest tumor.
    margin_um : float, um
        Width of each margin.
    largest_hole_um2 : float, um2
        The most that a hole that is filled holds of living tissue other than carcinoma.
    """

    closing_um: float = 100.0
    smallest_um2: float = 50_000.0
    margin_um: float = 500.0
    largest_hole_um2: float = 1e6 * TissueConfig().largest_hole_mm2


class _Part(NamedTuple):
    """A mask, or codes, and where its (0, 0) lies in the map; it may reach beyond the map."""

    mask: NDArray[Any]
    row: int
    column: int


def zone_rule(config: TissueConfig) -> ZoneRule:
    """Return the rule of some settings."""
    return ZoneRule(largest_hole_um2=1e6 * config.largest_hole_mm2)


DEFAULT_RULE = ZoneRule()


def find_zones(tissue: ClassMap, rule: ZoneRule = DEFAULT_RULE, *, workers: int = 1) -> ClassMap:
    """Return the zone of every analyzed pixel as a class map (ZONE_CLASSES) of the tissue map's shape.

    The tumor is the carcinoma closed by a disc of radius 100 um, its holes filled but for those with more
    than 0.8 mm2 of other living tissue, its 8-connected pieces under 0.05 mm2 dropped. Its core lies more
    than 500 um inside it, the inner margin is the rest of it; the outer margin lies within 500 um of it, all
    other analyzed tissue is extratumoral: bands either side of the front as in Hendry et al. 2017
    (doi:10.1097/PAP.0000000000000162). What is outside the map counts as not tumor. Pixels that are not
    analyzed are 0, inside the tumor too; without a tumor all tissue is extratumoral. Distances are between
    the centers of pixels either side of the front.
    """
    shape, margin_px = tissue.array.shape, rule.margin_um / tissue.mpp
    zones = _bands_round(_tumor(tissue, rule, workers), shape, margin_px, workers)
    zones[tissue.array == 0] = 0
    return ClassMap(zones, tissue.mpp, ZONE_CLASSES, tissue.origin_px, tissue.frame)


def _bands_round(
    tumor: _Part | None, shape: tuple[int, ...], margin_px: float, workers: int
) -> NDArray[np.uint8]:
    """Return the zones of a map of that shape, all of it taken as analyzed; two maps are held at most."""
    if tumor is None:
        return np.full(shape, 4, np.uint8)
    mask, row, column = _framed(tumor, int(margin_px) + 2)
    del tumor
    near = distance_to(mask, workers=workers).within(margin_px).view(np.uint8)
    near += mask  # 0 far, 1 near, 2 the tumor
    del mask
    from_outside = distance_to_codes(near, np.array([True, True, False]), workers=workers).within(margin_px)
    near *= 2
    near += from_outside
    del from_outside
    part = _Part(cv2.LUT(near, _ZONE_OF_BANDS), row, column)
    del near
    zones = np.full(shape, 4, np.uint8)
    inside, seen = _overlap(part, shape)
    zones[seen] = part.mask[inside]
    return zones


def _near_outside(mask: NDArray[np.bool_], radius_px: float, workers: int) -> NDArray[np.bool_]:
    """Return where a false pixel of a mask is at most `radius_px` away."""
    false = np.array([True, False])
    return distance_to_codes(mask.view(np.uint8), false, workers=workers).within(radius_px)


def _tumor(tissue: ClassMap, rule: ZoneRule, workers: int) -> _Part | None:
    """Return the tumor mask, or None when no piece is large enough."""
    part = _closed_carcinoma(tissue, rule.closing_um / tissue.mpp, workers)
    if part is None:
        return None
    smallest_px, hole_px = (um2 / tissue.mpp**2 for um2 in (rule.smallest_um2, rule.largest_hole_um2))
    filled = _filled_pieces(part, tissue.array, smallest_px, hole_px)
    return _Part(filled, part.row, part.column) if filled.any() else None


def _closed_carcinoma(tissue: ClassMap, closing_px: float, workers: int) -> _Part | None:
    """Return the carcinoma closed by a disc; at most two masks are in memory at once."""
    part = _Part(tissue.array == _CARCINOMA, 0, 0)
    if not part.mask.any():
        return None
    part = _framed(part, int(closing_px) + 2)
    mask, row, column = part
    del part
    mask = distance_to(mask, workers=workers).within(closing_px)
    mask = _near_outside(mask, closing_px, workers)
    np.logical_not(mask, out=mask)
    return _Part(mask, row, column)


def _filled_pieces(
    part: _Part, codes: NDArray[np.uint8], smallest_px: float, hole_px: float
) -> NDArray[np.bool_]:
    """Keep the 8-connected pieces of `smallest_px`; fill the holes with at most `hole_px` of living tissue.

    `codes` are those of the whole map.
    """
    mask = part.mask
    found, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines: list[NDArray[Any]] = list(found)
    parent = np.array(tree, np.int64).reshape(-1, 4)[:, 3]
    area_px = np.array([cv2.contourArea(line) for line in lines])
    half = np.array([len(line) / 2 for line in lines])
    # Pick's theorem: an outline through pixel centers holds its area + half its steps + 1 pixels; that of a
    # hole runs through the pixels round it and holds its area - half its steps + 1 others.
    pixels = area_px + np.where(parent < 0, half, -half) + 1
    large = np.flatnonzero((parent >= 0) & (pixels > hole_px)).tolist()
    holes = np.array([k for k in large if _living_in(lines[k], part, codes) > hole_px], np.int64)
    np.subtract.at(pixels, parent[holes], pixels[holes])
    kept = (parent < 0) & (pixels >= smallest_px)
    kept[holes] = kept[parent[holes]]
    filled = np.zeros(mask.shape, np.uint8)
    # What lies in another has the smaller area: islands are drawn into holes that were cut out before.
    for k in sorted(np.flatnonzero(kept).tolist(), key=lambda k: -area_px[k]):
        cv2.drawContours(filled, [lines[k]], -1, int(parent[k] < 0), cv2.FILLED)
        cv2.drawContours(filled, [lines[k]], -1, 1)
    return filled.view(np.bool_)


def _living_in(line: NDArray[Any], part: _Part, codes: NDArray[np.uint8]) -> int:
    """Count the pixels of other living tissue inside an outline in a part, those on it left out."""
    x, y, width, height = cv2.boundingRect(line)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [line], -1, 1, cv2.FILLED, offset=(-x, -y))
    cv2.drawContours(inside, [line], -1, 0, offset=(-x, -y))
    own, seen = _overlap(_Part(inside.view(np.bool_), part.row + y, part.column + x), codes.shape)
    return int(np.count_nonzero(inside.view(np.bool_)[own] & _OTHER_LIVING[codes[seen]]))


def _framed(part: _Part, pad_px: int) -> _Part:
    """Cut a part to what it holds, with `pad_px` empty pixels on every side."""
    rows = np.flatnonzero(part.mask.any(axis=1))
    columns = np.flatnonzero(part.mask.any(axis=0))
    content = part.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(content, pad_px)
    return _Part(padded, part.row + int(rows[0]) - pad_px, part.column + int(columns[0]) - pad_px)


def _overlap(part: _Part, shape: tuple[int, ...]) -> tuple[_Box, _Box]:
    """Return where a part lies in a map of that shape: the pixels of the part, and those of the map."""
    inside, seen = [], []
    for start, side, end in zip((part.row, part.column), part.mask.shape, shape, strict=True):
        first, last = max(start, 0), min(start + side, end)
        inside.append(slice(first - start, last - start))
        seen.append(slice(first, last))
    return (inside[0], inside[1]), (seen[0], seen[1])
