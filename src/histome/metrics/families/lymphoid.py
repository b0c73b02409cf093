"""Lymphoid aggregates: how many, how large, where (family L1)."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.geometry.dbscan import dbscan
from histome.geometry.discs import union_area
from histome.metrics.families.border import distance_to_carcinoma
from histome.metrics.families.zones import NO_TUMOR
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import Scene, cross_count

EPS_UM = 20.0
MIN_POINTS = 5
SMALLEST_CELLS = 50
SMALLEST_MM2 = 0.01
_PLASMA = CELL_CLASSES.index("plasma_cell")
_NONE = "there are no lymphoid aggregates"


class Aggregates(NamedTuple):
    """Lymphoid aggregates of a scene: `of_cell` is the aggregate of each cell, -1 for none."""

    of_cell: NDArray[np.int64]
    area_mm2: NDArray[np.float64]


def aggregates(scene: Scene) -> Aggregates:
    """Find the DBSCAN clusters of lymphocytes and plasma cells that are large enough."""
    cells = scene.cells
    rows = np.flatnonzero(np.isin(cells.label, (CELL_CLASSES.index("lymphocyte"), _PLASMA)))
    cluster = dbscan(cells.x_um[rows], cells.y_um[rows], eps_um=EPS_UM, min_points=MIN_POINTS)
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(cluster.max(initial=-1) + 2))
    of_cell = np.full(len(cells), -1, np.int64)
    area_mm2: list[float] = []
    for lo, hi in pairwise(starts):
        members = rows[order[lo:hi]]
        if len(members) < SMALLEST_CELLS:
            continue
        area = union_area(cells.x_um[members], cells.y_um[members], EPS_UM / 2) / 1e6
        if area >= SMALLEST_MM2:
            of_cell[members] = len(area_mm2)
            area_mm2.append(area)
    return Aggregates(of_cell, np.array(area_mm2, np.float64))


def lymphoid_aggregates(scene: Scene) -> Mapping[str, Values]:
    """Measure the aggregates; n is the number of aggregates."""
    found = scene.once(aggregates)
    n = len(found.area_mm2)
    tissue_mm2 = scene.ground.tissue_um2.sum() / 1e6
    none = (n == 0, _NONE)
    inside = found.of_cell >= 0
    plasma = np.count_nonzero(scene.cells.label[inside] == _PLASMA)
    area = found.area_mm2.sum()
    return {
        "LYMPHOID_AGGREGATE_COUNT": values(n, n),
        "LYMPHOID_AGGREGATE_AREA": values(area, n),
        "LYMPHOID_AGGREGATE_DENSITY": values(
            quotient(n, tissue_mm2), n, (tissue_mm2 == 0, "there is no analyzed tissue")
        ),
        "LYMPHOID_AGGREGATE_LARGEST_AREA": values(found.area_mm2.max(initial=0), n, none),
        "LYMPHOID_AGGREGATE_MEAN_AREA": values(quotient(area, n), n, none),
        "LYMPHOID_AGGREGATE_PLASMA_SHARE": values(quotient(plasma, np.count_nonzero(inside)), n, none),
        "LYMPHOID_AGGREGATE_DISTANCE_TO_CARCINOMA": _mean_distance(scene, found, none),
        "LYMPHOID_AGGREGATE_COUNT_IN_{zone}": _zones(scene, found),
    }


def _mean_distance(scene: Scene, found: Aggregates, none: tuple[bool, str]) -> Values:
    """Return the mean over aggregates of their nearest cell's distance to carcinoma."""
    distance = scene.per_cell(distance_to_carcinoma)
    inside = found.of_cell >= 0
    nearest = np.full(len(found.area_mm2), np.inf)
    np.minimum.at(nearest, found.of_cell[inside], distance[inside])
    known = nearest[np.isfinite(nearest)]
    return values(
        quotient(known.sum(), len(known)),
        len(known),
        none,
        (not scene.ground.has("CARCINOMA"), "there is no carcinoma"),
        (len(known) == 0, "the aggregates lie off the map"),
    )


def _zones(scene: Scene, found: Aggregates) -> Values:
    """Count the aggregates by the zone of most of their cells on analyzed tissue; ties go to the inner."""
    n = len(found.area_mm2)
    per_zone = cross_count(found.of_cell, scene.zone - 1, (n, 4))
    most = np.where(per_zone.any(axis=1), per_zone.argmax(axis=1), 4) if n else np.empty(0, np.int64)
    four = np.bincount(most, minlength=5)[:4]
    counts = np.append(four, four[0] + four[1])
    return values(counts, n, (not scene.ground.has_tumor, NO_TUMOR))
