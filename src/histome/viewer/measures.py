"""Numbers on demand: of the slide, of a region, of tiles; by the code that `histome metrics run` runs."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from histome.classes import CELL_CLASSES
from histome.config import MetricsConfig, TissueConfig
from histome.errors import HistomeError, MissingPartError
from histome.geometry.shapes import Shapes
from histome.metrics.catalogue import FAMILIES, find_metric, search_metrics
from histome.metrics.declaration import Metric
from histome.metrics.format import MetricTable, format_metric
from histome.metrics.subregions import measure_subregions, tile_size_um
from histome.report.wording import plain_name_of
from histome.tissue.zones import ZoneRule, zone_rule
from histome.viewer.view import SlideView

# What is shown when nothing was searched for: of families that measure a region while it is looked at.
SHOWN_METRICS = (
    "ABSOLUTE_AREA",
    "RELATIVE_AREA_CARCINOMA",
    "RELATIVE_AREA_STROMA",
    "RELATIVE_AREA_NECROSIS",
    "CELL_N_TOTAL",
    "TUMOR_PURITY",
    "IMMUNE_CELL_FRACTION",
    "CELL_DENSITY_LYMPHOCYTE_CARCINOMA",
    "CELL_DENSITY_LYMPHOCYTE_STROMA",
    *(f"CELL_PERCENTAGE_{name.upper()}" for name in CELL_CLASSES),
)
_POLYGONS = ("Polygon", "MultiPolygon")
_MOST_FOUND = 60
_MOST_CORNERS = 20_000
_MOST_TILES = 4000
_REGION = "region"


class Measures:
    """The numbers of one profile, with its edits so far; what was measured once is kept."""

    def __init__(self, view: SlideView, edits: int = 0) -> None:
        self._view, self.edits = view, edits
        self._of_region = lru_cache(128)(self._measure_region)
        self._of_tiles = lru_cache(16)(self._measure_tiles)

    def rows(self, words: Sequence[str], outline: bytes | None) -> dict[str, Any]:
        """Return the metrics that words find (the usual ones for none), of the slide or of a region.

        `outline` is a polygon in um, WKB.
        """
        found = search_metrics(words) if words else [find_metric(name) for name in SHOWN_METRICS]
        shown = found[:_MOST_FOUND]
        table = self._slide_table() if outline is None else self._region_table(outline, shown)
        return {"found": len(found), "rows": [_row(metric, table) for metric in shown]}

    def heat(self, name: str, size: str) -> dict[str, Any]:
        """Return a metric in square tiles of a size such as 500um, each with its place in um and value."""
        metric = find_metric(name)
        table = self._of_tiles(metric.family, size)
        values = table.filter(pa.array([each == name for each in table["name"].to_pylist()])).to_pylist()
        tiles = []
        for row in values:
            left, top = map(float, re.findall(r"[xy]=(\S+)", row["part"]))
            shown = format_metric(MetricTable(pa.Table.from_pylist([row], schema=table.schema))[name])
            text = f"{shown.text} {shown.unit}".strip()
            tiles.append({"x": left, "y": top, "value": row["value"], "text": text, "reason": row["reason"]})
        return {"size_um": tile_size_um(size), "formula": metric.formula, "tiles": tiles}

    def _slide_table(self) -> MetricTable:
        try:
            return MetricTable(self._view.profile.metrics)
        except MissingPartError:
            return MetricTable(pa.table({name: [] for name in ("name", "value", "unit", "n", "reason")}))

    def _region_table(self, outline: bytes, metrics: Iterable[Metric]) -> MetricTable:
        families = {metric.family for metric in metrics}
        tables = [self._of_region(outline, name) for name in FAMILIES if name in families]
        return MetricTable(pa.concat_tables(tables))

    def _measure_region(self, outline: bytes, family: str) -> pa.Table:
        polygon = shapely.from_wkb(outline)
        shapes = Shapes(np.array([polygon], object), np.array([_REGION], object))
        table = self._measured(family, _REGION, polygon.bounds, shapes)
        if not len(table):
            raise HistomeError("there is no analyzed tissue in this region")
        return table.drop_columns(["part"])

    def _measure_tiles(self, family: str, size: str) -> pa.Table:
        width, height = (side * self._view.unit_um for side in self._view.size)
        side = tile_size_um(size)
        if width * height / side**2 > _MOST_TILES:
            raise HistomeError(
                f"tiles of {size} on this slide are more than {_MOST_TILES:,}: take larger ones"
            )
        return self._measured(family, f"tile:{size}", (0.0, 0.0, width, height), None)

    def _measured(
        self, family: str, per: str, bounds_um: tuple[float, ...], polygons: Shapes | None
    ) -> pa.Table:
        tissue, cells = self._view.tissue, self._view.cells
        if tissue is None or cells is None:
            raise HistomeError("this profile has no tissue and cells to measure")
        # A cell belongs to a region by its pixel of the map: those a pixel away have no say.
        x, y = self._view.centers.T * self._view.unit_um
        left, top, right, bottom = bounds_um
        margin = 2 * tissue.map.mpp
        near = (x > left - margin) & (x < right + margin) & (y > top - margin) & (y < bottom + margin)
        chosen = cells.filter(pa.array(near))
        config, rule = self._settings(family)
        return measure_subregions(tissue.map, chosen, per, polygons=polygons, config=config, rule=rule)

    def _settings(self, family: str) -> tuple[MetricsConfig, ZoneRule]:
        """Return how the profile was measured, for one family."""
        told = self._view.profile.run.get("config", {})
        metrics = {
            key: told.get("metrics", {}).get(key) for key in ("confident_only", "block_um", "draws", "seed")
        }
        known = {key: value for key, value in metrics.items() if value is not None}
        hole = told.get("tissue", {}).get("largest_hole_mm2", TissueConfig().largest_hole_mm2)
        rule = zone_rule(TissueConfig().updated(largest_hole_mm2=hole))
        return MetricsConfig().updated(families=(family,), **known), rule


def outline_of(geometry: Mapping[str, Any], unit_um: float) -> bytes:
    """Return a GeoJSON polygon or multipolygon in the viewer's unit in um, as WKB; raises HistomeError."""
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except (shapely.errors.GEOSException, TypeError, ValueError) as error:
        raise HistomeError("the region is no GeoJSON polygon") from error
    corners = shapely.get_coordinates(shape)
    if shape is None or shape.geom_type not in _POLYGONS or len(corners) > _MOST_CORNERS:
        raise HistomeError(f"a region is a polygon of at most {_MOST_CORNERS:,} corners")
    if not np.isfinite(corners).all() or shape.area == 0:
        raise HistomeError("a region needs an area")
    return shapely.to_wkb(shapely.transform(shape, lambda xy: xy * unit_um))


def _row(metric: Metric, table: MetricTable) -> dict[str, Any]:
    shown, plain = table.formatted(metric.name), plain_name_of(metric.name)
    return {
        "name": metric.name,
        "label": metric.formula if plain == metric.name else plain,
        "formula": metric.formula,
        "text": shown.text,
        "unit": shown.unit,
        "n": shown.n,
        "value": shown.raw,
        "interval": shown.interval,
        "reason": shown.reason,
        "mark": shown.mark,
    }
