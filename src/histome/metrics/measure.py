"""From a tissue map and a table of cells to the table of metrics: one row for every declared name."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from histome.config import MetricsConfig
from histome.metrics.catalogue import FAMILIES, catalogue, select_families
from histome.metrics.declaration import Metric
from histome.metrics.evidence import evidence_column
from histome.metrics.families import (
    areas,
    border,
    certainty,
    contacts,
    counts,
    diversity,
    enrichment,
    heterogeneity,
    lymphoid,
    neighborhoods,
    nuclei,
    ratios,
    ripley,
    zones,
)
from histome.metrics.families import (
    scan as slide_facts,
)
from histome.metrics.maps import make_ground
from histome.metrics.results import Values
from histome.metrics.specimen import Scene, read_cells
from histome.models.label_support import Support, weakly_supported
from histome.slide.maps import ClassMap
from histome.threads import available_cpus

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("n", pa.int64()),
        ("reason", pa.string()),
        # The same metric without the cells whose class the model abstained from.
        ("value_confident", pa.float64()),
        ("n_confident", pa.int64()),
        ("reason_confident", pa.string()),
        # Marks of the classes in the name that the model was hardly taught; null where there is none.
        ("evidence", pa.string()),
    ]
)

# Family id -> the function that computes it.
COMPUTED_BY: Mapping[str, Callable[[Scene], Mapping[str, Values]]] = {
    "total-area": areas.total_area,
    "qc-areas": areas.quality_areas,
    "tissue-areas": areas.tissue_areas,
    "tissue-regions": areas.tissue_regions,
    "cells": counts.all_cells,
    "cells-per-class": counts.cells_per_class,
    "cells-by-tissue": counts.cells_by_tissue,
    "neighborhood-centers": neighborhoods.in_tissues,
    "neighborhood-pairs": neighborhoods.in_tissues,
    "W1": zones.zone_areas,
    "W2": zones.tissues_in_zones,
    "W3": zones.cells_in_zones,
    "W4": neighborhoods.in_tumor_region,
    "L1": lymphoid.lymphoid_aggregates,
    "N1": nuclei.nuclei_per_class,
    "N2": nuclei.nuclei_per_tissue,
    "I1": border.densities_at_border,
    "I2": border.distances_to_carcinoma,
    "S1": ripley.nearest_distances,
    "S2": ripley.cross_g,
    "S3": ripley.cross_l,
    "S4": enrichment.enrichment,
    "S5": contacts.contacts,
    "S6": heterogeneity.colocalization,
    "S7": heterogeneity.clustering,
    "D1": diversity.diversity,
    "H1": heterogeneity.heterogeneity,
    "R1": ratios.ratios,
    "U1": certainty.certainty,
    "Q1": slide_facts.slide_metrics,
}


class Counts(NamedTuple):
    """How many metrics: declared, not a function of other declared ones, and with a value on this slide."""

    declared: int
    non_redundant: int
    finite: int


def measure(
    quality: ClassMap | None,
    tissue: ClassMap,
    regions: pa.Table | None,
    cells: pa.Table,
    config: MetricsConfig | None = None,
    *,
    facts: Mapping[str, float] | None = None,
    workers: int | None = None,
) -> pa.Table:
    """Measure a slide: one row per declared metric of the chosen families, in catalogue order.

    quality: classes QC_CLASSES, None when the slide was not seen; tissue: classes TISSUE_CLASSES; regions:
    table of `find_regions`, None for none; cells: at least x_um, y_um, class; facts: what quality control
    and the scanner said about the slide, by the names of family Q1 in lower case; workers: threads, all
    allowed CPUs by default. The worker count and the order of the rows never change a value.

    Returns name, value (null with a reason), unit, n (items behind the value), reason, and the three again
    for the confident cells only; with `confident_only` the first three hold those already. Families that
    measure no cells repeat their value. `evidence` marks the metrics of classes that the model had no or few
    labels of (see `metrics.evidence`), where the cells table says so. Raises HistomeError for unusable cells.
    """
    workers = workers or available_cpus()
    ground = make_ground(tissue, quality=quality, regions=regions, facts=facts, workers=workers)
    return measure_scene(Scene(ground, read_cells(cells, tissue)), config or MetricsConfig())


def measure_scene(scene: Scene, config: MetricsConfig) -> pa.Table:
    """Measure a scene, see `measure`."""
    wanted = select_families(config.families)
    confident = _without_abstained(scene)
    if config.confident_only:
        scene = confident
    everything = _compute(scene, wanted)
    sure = everything
    if confident is not scene:
        sure = {**everything, **_compute(confident, [name for name in wanted if FAMILIES[name].of_cells])}
    return _table(wanted, everything, sure, weakly_supported(scene.cells.class_labels))


def count_metrics(table: pa.Table) -> Counts:
    """Count what a metrics table holds; the honest answer to "how many metrics?"."""
    names = set(table["name"].to_pylist())
    kept = [metric for metric in catalogue() if metric.name in names]
    finite = len(table) - table["value"].null_count
    return Counts(len(kept), sum(not metric.derived for metric in kept), finite)


def _without_abstained(scene: Scene) -> Scene:
    """Return the scene of the confident cells; the same object when no cell abstained."""
    abstained = scene.cells.abstained
    if abstained is None or not abstained.any():
        return scene
    return scene.select(~abstained)


def _compute(scene: Scene, wanted: Sequence[str]) -> dict[str, Values]:
    """Return the values by pattern for the wanted families."""
    found: dict[str, Values] = {}
    for compute in dict.fromkeys(COMPUTED_BY[name] for name in wanted):  # a function may serve two families
        found.update(compute(scene))
    return found


def _table(
    wanted: Sequence[str],
    everything: Mapping[str, Values],
    sure: Mapping[str, Values],
    weak: Mapping[str, Support],
) -> pa.Table:
    """Spell the values out in catalogue order."""
    metrics = catalogue(wanted)
    columns: dict[str, Sequence] = {"name": [m.name for m in metrics], "unit": [m.unit for m in metrics]}
    columns |= dict(zip(("value", "n", "reason"), _columns(metrics, everything), strict=True))
    again = (
        _columns(metrics, sure) if sure is not everything else [columns[k] for k in ("value", "n", "reason")]
    )
    columns |= dict(zip(("value_confident", "n_confident", "reason_confident"), again, strict=True))
    columns["evidence"] = evidence_column(metrics, weak)
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def _columns(metrics: Sequence[Metric], found: Mapping[str, Values]) -> tuple[Sequence, Sequence, Sequence]:
    """Return value, n and reason of every metric."""
    value, n = np.empty(len(metrics)), np.empty(len(metrics), np.int64)
    reason: list[str | None] = [None] * len(metrics)
    for k, metric in enumerate(metrics):
        cell, place = found[metric.template.pattern], metric.index
        value[k], n[k] = cell.value[place], cell.n[place]
        if np.isnan(value[k]):
            reason[k] = cell.reason[place].format_map(metric.words)
    return pa.array(value, mask=np.isnan(value)), pa.array(n), reason
