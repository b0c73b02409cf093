"""Lymphoid aggregates: how many, how large, where."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.geometry.dbscan import dbscan
from histome.geometry.discs import union_area
from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.distances import to_carcinoma
from histome.metrics.reasons import NO_CARCINOMA, NO_TISSUE, NO_TUMOR
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen, cross_count

EPS_UM = 20.0
MIN_POINTS = 5
SMALLEST_CELLS = 50
SMALLEST_MM2 = 0.01
_PLASMA = CELL_CLASSES.index("plasma_cell")
_NONE = "there are no lymphoid aggregates"

TEMPLATES = (
    Template(
        "LYMPHOID_AGGREGATE_COUNT",
        "aggregates",
        "number of lymphoid aggregates",
        counts="lymphoid aggregates",
    ),
    Template(
        "LYMPHOID_AGGREGATE_AREA",
        "mm2",
        "summed area of the lymphoid aggregates",
        counts="lymphoid aggregates",
    ),
    Template(
        "LYMPHOID_AGGREGATE_DENSITY",
        "1/mm2",
        "lymphoid aggregates / area of all analyzed tissue",
        (NO_TISSUE,),
        derived="LYMPHOID_AGGREGATE_COUNT / ABSOLUTE_AREA",
        counts="lymphoid aggregates",
    ),
    Template(
        "LYMPHOID_AGGREGATE_LARGEST_AREA",
        "mm2",
        "area of the largest lymphoid aggregate",
        (_NONE,),
        smallest_sample=1,
        counts="lymphoid aggregates",
    ),
    Template(
        "LYMPHOID_AGGREGATE_MEAN_AREA",
        "mm2",
        "mean area of the lymphoid aggregates",
        (_NONE,),
        smallest_sample=1,
        derived="LYMPHOID_AGGREGATE_AREA / LYMPHOID_AGGREGATE_COUNT",
        counts="lymphoid aggregates",
    ),
    Template(
        "LYMPHOID_AGGREGATE_PLASMA_SHARE",
        "1",
        "plasma cells / cells of all lymphoid aggregates",
        (_NONE,),
        SHARE,
        smallest_sample=1,
        counts="lymphoid aggregates",
    ),
    Template(
        "LYMPHOID_AGGREGATE_DISTANCE_TO_CARCINOMA",
        "um",
        "mean over lymphoid aggregates of the distance of their nearest cell to carcinoma",
        (_NONE, NO_CARCINOMA),
        smallest_sample=1,
        counts="lymphoid aggregates",
    ),
    *in_loops(
        ("zone",),
        Template(
            "LYMPHOID_AGGREGATE_COUNT_IN_{zone}",
            "aggregates",
            "number of lymphoid aggregates most of whose cells on analyzed tissue lie in the {zone}",
            (NO_TUMOR,),
            counts="lymphoid aggregates, wherever they lie",
        ),
    ),
)


def lymphoid_aggregates(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the aggregates; n is the number of aggregates."""
    found = aggregates(specimen)
    n = len(found.area_mm2)
    tissue_mm2 = specimen.maps.tissue_um2.sum() / 1e6
    none = (n == 0, _NONE)
    inside = found.of_cell >= 0
    plasma = np.count_nonzero(specimen.cells.label[inside] == _PLASMA)
    area = found.area_mm2.sum()
    return {
        "LYMPHOID_AGGREGATE_COUNT": result(n, n),
        "LYMPHOID_AGGREGATE_AREA": result(area, n),
        "LYMPHOID_AGGREGATE_DENSITY": result(quotient(n, tissue_mm2), n, (tissue_mm2 == 0, NO_TISSUE)),
        "LYMPHOID_AGGREGATE_LARGEST_AREA": result(found.area_mm2.max(initial=0), n, none),
        "LYMPHOID_AGGREGATE_MEAN_AREA": result(quotient(area, n), n, none),
        "LYMPHOID_AGGREGATE_PLASMA_SHARE": result(quotient(plasma, np.count_nonzero(inside)), n, none),
        "LYMPHOID_AGGREGATE_DISTANCE_TO_CARCINOMA": _mean_distance(specimen, found, none),
        "LYMPHOID_AGGREGATE_COUNT_IN_{zone}": _zones(specimen, found),
    }


FAMILY = Family(
    "lymphoid-aggregates",
    "Lymphoid aggregates",
    "DBSCAN clusters of lymphocytes and plasma cells: eps 20 um, core cells with at least 5 cells within eps "
    "(themselves included), border cells to their nearest core cell; kept from 50 cells and 0.01 mm2 on. The "
    "area of an aggregate is the union of discs of 10 um round its cells.",
    TEMPLATES,
    lymphoid_aggregates,
    source="DBSCAN: Ester et al. 1996 (KDD-96, 226-231)",
    alias="L1",
)


class Aggregates(NamedTuple):
    """Lymphoid aggregates of a specimen: `of_cell` is the aggregate of each cell, -1 for none."""

    of_cell: NDArray[np.int64]
    area_mm2: NDArray[np.float64]


def aggregates(specimen: Specimen) -> Aggregates:
    """Find the DBSCAN clusters of lymphocytes and plasma cells that are large enough."""
    cells = specimen.cells
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


def _mean_distance(specimen: Specimen, found: Aggregates, none: tuple[bool, str]) -> Result:
    """Return the mean over aggregates of their nearest cell's distance to carcinoma."""
    distance = specimen.per_cell(to_carcinoma)
    inside = found.of_cell >= 0
    nearest = np.full(len(found.area_mm2), np.inf)
    np.minimum.at(nearest, found.of_cell[inside], distance[inside])
    known = nearest[np.isfinite(nearest)]
    return result(
        quotient(known.sum(), len(known)),
        len(known),
        none,
        (not specimen.maps.has("CARCINOMA"), NO_CARCINOMA),
    )


def _zones(specimen: Specimen, found: Aggregates) -> Result:
    """Count the aggregates by the zone of most of their cells on analyzed tissue; ties go to the inner."""
    n = len(found.area_mm2)
    per_zone = cross_count(found.of_cell, specimen.zone - 1, (n, 4))
    most = np.where(per_zone.any(axis=1), per_zone.argmax(axis=1), 4) if n else np.empty(0, np.int64)
    four = np.bincount(most, minlength=5)[:4]
    counts = np.append(four, four[0] + four[1])
    return result(counts, n, (not specimen.maps.has_tumor, NO_TUMOR))
