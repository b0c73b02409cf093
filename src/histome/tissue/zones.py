"""Zones: the tumor's core, the bands either side of its front, and the tissue beyond."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.geometry.distance import distance_to
from histome.slide.maps import ClassMap

ZONE_CLASSES = ("TUMOR_CORE", "INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN", "EXTRATUMORAL_TISSUE")
_CARCINOMA = TISSUE_CLASSES.index("CARCINOMA") + 1


class ZoneRule(NamedTuple):
    """How zones are drawn, all in um: radius of the closing, smallest tumor kept, width of each margin."""

    closing_um: float = 100.0
    smallest_um2: float = 50_000.0
    margin_um: float = 500.0


class _Part(NamedTuple):
    """A mask and where its (0, 0) lies in the map; it may reach beyond the map."""

    mask: NDArray[np.bool_]
    row: int
    column: int


DEFAULT_RULE = ZoneRule()


def find_zones(tissue: ClassMap, rule: ZoneRule = DEFAULT_RULE, *, workers: int = 1) -> ClassMap:
    """Return the zone of every analyzed pixel as a class map (ZONE_CLASSES) of the tissue map's shape.

    The tumor is the carcinoma closed by a disc of radius 100 um, its holes filled, its 8-connected pieces
    under 0.05 mm2 dropped. Its core lies more than 500 um inside it, the inner margin is the rest of it; the
    outer margin lies within 500 um of it, all other analyzed tissue is extratumoral: bands either side of the
    front as in Hendry et al. 2017 (doi:10.1097/PAP.0000000000000162). What is outside the map counts as not
    tumor. Pixels that are not analyzed are 0, inside the tumor too; without a tumor all tissue is
    extratumoral. Distances are between the centers of pixels either side of the front.
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
    filled = _filled_pieces(closed, rule.smallest_um2 / tissue.mpp**2)
    return _Part(filled, part.row, part.column) if filled.any() else None


def _filled_pieces(mask: NDArray[np.bool_], smallest_px: float) -> NDArray[np.bool_]:
    """Fill the holes of the 8-connected pieces and keep those of at least `smallest_px` pixels."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # Pick's theorem: pixels of a filled outline through pixel centers = its area + half its steps + 1.
    large = [line for line in outlines if cv2.contourArea(line) + len(line) / 2 + 1 >= smallest_px]
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, large, -1, 1, cv2.FILLED)
    return filled.view(np.bool_)


def _framed(part: _Part, pad_px: int) -> _Part:
    """Cut a part to what it holds, with `pad_px` empty pixels on every side."""
    rows = np.flatnonzero(part.mask.any(axis=1))
    columns = np.flatnonzero(part.mask.any(axis=0))
    content = part.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    padded = np.pad(content, pad_px)
    return _Part(padded, part.row + int(rows[0]) - pad_px, part.column + int(columns[0]) - pad_px)


def _paste(zones: NDArray[np.uint8], bands: NDArray[np.uint8], part: _Part) -> None:
    """Write the bands over the analyzed pixels of `zones`, leaving out what lies beyond the map."""
    top, left = max(part.row, 0), max(part.column, 0)
    bottom = min(part.row + bands.shape[0], zones.shape[0])
    right = min(part.column + bands.shape[1], zones.shape[1])
    seen = bands[top - part.row : bottom - part.row, left - part.column : right - part.column]
    view = zones[top:bottom, left:right]
    np.copyto(view, seen, where=view > 0)
