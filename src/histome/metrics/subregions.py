"""The same metrics for parts of a slide: pieces of tissue, tiles, polygons of the user."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.config import MetricsConfig
from histome.errors import UsageError
from histome.geometry.raster import paint_polygons
from histome.geometry.shapes import Shapes
from histome.geotable import TableLike
from histome.metrics.maps import make_tissue_maps
from histome.metrics.measuring import METRIC_SCHEMA, measure_specimen
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.names import numbered, shown
from histome.qc.fragments import label_fragments
from histome.slide.maps import ClassMap
from histome.threads import available_cpus
from histome.tissue import Tissue
from histome.tissue.zones import DEFAULT_RULE, ZoneRule

_log = logging.getLogger(__name__)

SUBREGION_SCHEMA = pa.schema([pa.field("part", pa.string()), *METRIC_SCHEMA])
_SMALLEST_TILE_UM, _LARGEST_TILE_UM = 50.0, 100_000.0
# Pieces are told apart at the resolution of the quality map.
_PIECE_MPP = 8.0


class Subregion(NamedTuple):
    """Some pixels of the tissue map: those of `mask` (h, w), whose first one is (row, column) of the map."""

    name: str
    row: int
    column: int
    mask: NDArray[np.bool_]


def measure_subregions(
    tissue: ClassMap,
    cells: TableLike,
    per: str,
    *,
    polygons: Shapes | None = None,
    config: MetricsConfig | None = None,
    rule: ZoneRule = DEFAULT_RULE,
    workers: int | None = None,
) -> pa.Table:
    """Measure every part of a slide on its own: one row per part and metric, the part's name first.

    A cell belongs to the part that its pixel of the tissue map belongs to; what lies outside a part is as if
    it were not there, so a cell's neighbors across its border do not count. Parts without analyzed tissue are
    left out, regions with a warning.

    Parameters
    ----------
    per : str
        "piece" (connected tissue, joined over gaps of 200 um, from 0.1 mm2 on), "tile:<size>um" (from the
        slide's corner) or "region".
    polygons : Shapes or None, um
        The regions, one part each; overlaps allowed.
    rule : ZoneRule
        How the zones of each part are drawn.

    Raises
    ------
    UsageError
        Another `per`, or regions without polygons.
    """
    config, workers = config or MetricsConfig(), workers or available_cpus()
    whole = cells_as_arrays(cells, tissue)
    rows, columns = (np.floor(axis / tissue.mpp) for axis in (whole.y_um, whole.x_um))
    tables = [pa.table([pa.array([], field.type) for field in SUBREGION_SCHEMA], schema=SUBREGION_SCHEMA)]
    for part in find_subregions(tissue, per, polygons):
        height, width = part.mask.shape
        window = tissue.crop(part.column, part.row, width, height)
        own = replace(window, array=np.where(part.mask, window.array, np.uint8(0)))
        if not own.array.any():
            if per == "region":
                _log.warning("region %s holds no analyzed tissue and is left out", shown(part.name))
            continue
        r, c = rows - own.origin_px[1], columns - own.origin_px[0]
        near = np.flatnonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
        chosen = near[part.mask[r[near].astype(np.int64), c[near].astype(np.int64)]]
        part_tissue = Tissue.of(own, rule=rule, workers=workers)
        maps = make_tissue_maps(own, regions=part_tissue.regions, zones=part_tissue.zones, workers=workers)
        table = measure_specimen(counted_specimen(maps, whole.select(chosen)), config)
        tables.append(table.add_column(0, SUBREGION_SCHEMA.field("part"), pa.array([part.name] * len(table))))
    return pa.concat_tables(tables)


def find_subregions(tissue: ClassMap, per: str, polygons: Shapes | None = None) -> Iterator[Subregion]:
    """Yield the parts of a tissue map; raises UsageError as `measure_subregions`."""
    kind, _, size = per.partition(":")
    if kind == "tile":
        return _tiles(tissue, tile_size_um(size))
    if per == "piece":
        return _pieces(tissue)
    if per == "region":
        if polygons is None:
            raise UsageError("metrics per region need a file of polygons")
        return _polygons(tissue, polygons)
    raise UsageError(f"metrics per {per!r}: give piece, region or tile:<size>um")


def tile_size_um(text: str) -> float:
    """Return the side of a tile in um from a text such as "500um"; raises UsageError for another one."""
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*um", text)
    if size is None:
        raise UsageError(f"tiles of {text!r}: give their side in um, such as 500um")
    size_um = float(size[1])
    if not _SMALLEST_TILE_UM <= size_um <= _LARGEST_TILE_UM:
        raise UsageError(f"tiles of {size_um:g} um: give {_SMALLEST_TILE_UM:g} to {_LARGEST_TILE_UM:g} um")
    return size_um


def _tiles(tissue: ClassMap, size_um: float) -> Iterator[Subregion]:
    """Yield square tiles row by row from the slide's corner; a pixel belongs to the tile of its center."""
    sides = zip(tissue.origin_px[::-1], tissue.array.shape, strict=True)
    (rows, first_y), (columns, first_x) = (_edges(*side, tissue.mpp, size_um) for side in sides)
    for y, (top, bottom) in enumerate(pairwise(rows.tolist()), start=first_y):
        for x, (left, right) in enumerate(pairwise(columns.tolist()), start=first_x):
            name = f"tile x={x * size_um:g} y={y * size_um:g} um"
            yield Subregion(name, top, left, np.ones((bottom - top, right - left), np.bool_))


def _edges(origin_px: int, side_px: int, mpp: float, size_um: float) -> tuple[NDArray[np.int64], int]:
    """Return the first pixel of each tile along one side, and the end; and the number of the first tile."""
    first = int(np.floor(origin_px * mpp / size_um + 1e-9))
    end = int(np.ceil((origin_px + side_px) * mpp / size_um - 1e-9))
    edges = np.ceil(np.arange(first, max(end, first) + 1) * size_um / mpp - 0.5).astype(np.int64)
    return np.clip(edges - origin_px, 0, side_px), first


def _pieces(tissue: ClassMap) -> Iterator[Subregion]:
    """Yield the connected pieces of tissue, the largest first."""
    step = max(round(_PIECE_MPP / tissue.mpp), 1)
    coarse = tissue.array[step // 2 :: step, step // 2 :: step] > 0
    labels = label_fragments(coarse, mpp=tissue.mpp * step) if coarse.any() else coarse.astype(np.uint16)
    for number in range(1, int(labels.max(initial=0)) + 1):
        rows, columns = (np.flatnonzero((labels == number).any(axis=axis)) for axis in (1, 0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        mask = np.kron(labels[box] == number, np.ones((step, step), np.bool_))
        top, left = int(rows[0]) * step, int(columns[0]) * step
        mask = mask[: tissue.array.shape[0] - top, : tissue.array.shape[1] - left]
        yield Subregion(f"piece {number}", top, left, mask)


def _polygons(tissue: ClassMap, polygons: Shapes) -> Iterator[Subregion]:
    """Yield the pixels of each polygon, clipped to the map, none off it; equal labels are numbered."""
    height, width = tissue.array.shape
    names = numbered([str(label) for label in polygons.label])
    for name, shape in zip(names, polygons.geometry, strict=True):
        bounds = np.array(shape.bounds) / tissue.mpp - np.tile(tissue.origin_px, 2)
        left, top, right, bottom = np.floor(bounds).astype(np.int64).tolist()
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right + 1, width), min(bottom + 1, height)
        if right <= left or bottom <= top:
            yield Subregion(name, 0, 0, np.zeros((0, 0), np.bool_))
            continue
        painted = np.zeros((bottom - top, right - left), np.uint8)
        corner = (left + tissue.origin_px[0], top + tissue.origin_px[1])
        code = np.array([1], np.uint8)
        paint_polygons(painted, np.array([shape], object), code, unit_px=1 / tissue.mpp, origin_px=corner)
        yield Subregion(name, top, left, painted > 0)
