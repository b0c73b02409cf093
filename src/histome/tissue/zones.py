"""Zones: the tumor's core, the bands either side of its front, and the tissue beyond."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.config import TissueConfig
from histome.geometry.distance import distance_to
from histome.slide.maps import ClassMap

ZONE_CLASSES = ("TUMOR_CORE", "INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN", "EXTRATUMORAL_TISSUE")
_CARCINOMA = TISSUE_CLASSES.index("CARCINOMA") + 1
# By code of the tissue map; necrosis, blood and what was not analyzed amid carcinoma are part of the tumor.
_OTHER_LIVING = np.array([False, *(name in NUCLEATED_TISSUES for name in TISSUE_CLASSES)])
_OTHER_LIVING[_CARCINOMA] = False
_Box = tuple[slice, slice]


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
    """A mask and where its (0, 0) lies in the map; it may reach beyond the map."""

    mask: NDArray[np.bool_]
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
    zones = np.where(tissue.array > 0, np.uint8(4), np.uint8(0))
    tumor = _tumor(tissue, rule, workers)
    if tumor is not None:
        margin_px = rule.margin_um / tissue.mpp
        part = _framed(tumor, int(margin_px) + 2)
        bands = np.full(part.mask.shape, 4, np.uint8)
        bands[distance_to(part.mask, workers=workers).within(margin_px)] = 3
        bands[part.mask] = 1
        bands[part.mask & distance_to(~part.mask, workers=workers).within(margin_px)] = 2
        _paste(zones, bands, part)
    return ClassMap(zones, tissue.mpp, ZONE_CLASSES, tissue.origin_px, tissue.frame)


def _tumor(tissue: ClassMap, rule: ZoneRule, workers: int) -> _Part | None:
    """Return the tumor mask, or None when no piece is large enough."""
    carcinoma = tissue.array == _CARCINOMA
    if not carcinoma.any():
        return None
    closing_px = rule.closing_um / tissue.mpp
    part = _framed(_Part(carcinoma, 0, 0), int(closing_px) + 2)
    dilated = distance_to(part.mask, workers=workers).within(closing_px)
    closed = ~distance_to(~dilated, workers=workers).within(closing_px)
    living, (inside, seen) = np.zeros(closed.shape, np.bool_), _overlap(part, tissue.array.shape)
    living[inside] = _OTHER_LIVING[tissue.array[seen]]
    smallest_px, hole_px = (um2 / tissue.mpp**2 for um2 in (rule.smallest_um2, rule.largest_hole_um2))
    filled = _filled_pieces(closed, living, smallest_px, hole_px)
    return _Part(filled, part.row, part.column) if filled.any() else None


def _filled_pieces(
    mask: NDArray[np.bool_], living: NDArray[np.bool_], smallest_px: float, hole_px: float
) -> NDArray[np.bool_]:
    """Keep the 8-connected pieces of `smallest_px`; fill the holes with at most `hole_px` of `living`."""
    found, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines: list[NDArray[Any]] = list(found)
    parent = np.array(tree, np.int64).reshape(-1, 4)[:, 3]
    area_px = np.array([cv2.contourArea(line) for line in lines])
    half = np.array([len(line) / 2 for line in lines])
    # Pick's theorem: an outline through pixel centers holds its area + half its steps + 1 pixels; that of a
    # hole runs through the pixels round it and holds its area - half its steps + 1 others.
    pixels = area_px + np.where(parent < 0, half, -half) + 1
    large = np.flatnonzero((parent >= 0) & (pixels > hole_px)).tolist()
    holes = np.array([k for k in large if _pixels_in(lines[k], living) > hole_px], np.int64)
    np.subtract.at(pixels, parent[holes], pixels[holes])
    kept = (parent < 0) & (pixels >= smallest_px)
    kept[holes] = kept[parent[holes]]
    filled = np.zeros(mask.shape, np.uint8)
    # What lies in another has the smaller area: islands are drawn into holes that were cut out before.
    for k in sorted(np.flatnonzero(kept).tolist(), key=lambda k: -area_px[k]):
        cv2.drawContours(filled, [lines[k]], -1, int(parent[k] < 0), cv2.FILLED)
        cv2.drawContours(filled, [lines[k]], -1, 1)
    return filled.view(np.bool_)


def _pixels_in(line: NDArray[Any], mask: NDArray[np.bool_]) -> int:
    """Count the pixels of a mask inside an outline through pixel centers, those on it left out."""
    x, y, width, height = cv2.boundingRect(line)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [line], -1, 1, cv2.FILLED, offset=(-x, -y))
    cv2.drawContours(inside, [line], -1, 0, offset=(-x, -y))
    return int(np.count_nonzero(inside & mask[y : y + height, x : x + width]))


def _framed(part: _Part, pad_px: int) -> _Part:
    """Cut a part to what it holds, with `pad_px` empty pixels on every side."""
    rows = np.flatnonzero(part.mask.any(axis=1))
    columns = np.flatnonzero(part.mask.any(axis=0))
    content = part.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(content, pad_px)
    return _Part(padded, part.row + int(rows[0]) - pad_px, part.column + int(columns[0]) - pad_px)


def _paste(zones: NDArray[np.uint8], bands: NDArray[np.uint8], part: _Part) -> None:
    """Write the bands over the analyzed pixels of `zones`, leaving out what lies beyond the map."""
    inside, seen = _overlap(part, zones.shape)
    np.copyto(zones[seen], bands[inside], where=zones[seen] > 0)


def _overlap(part: _Part, shape: tuple[int, ...]) -> tuple[_Box, _Box]:
    """Return where a part lies in a map of that shape: the pixels of the part, and those of the map."""
    inside, seen = [], []
    for start, side, end in zip((part.row, part.column), part.mask.shape, shape, strict=True):
        first, last = max(start, 0), min(start + side, end)
        inside.append(slice(first - start, last - start))
        seen.append(slice(first, last))
    return (inside[0], inside[1]), (seen[0], seen[1])
