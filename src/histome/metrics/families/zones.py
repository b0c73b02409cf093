"""The tumor's zones: their area, their tissues and their cells (families W1, W2, W3)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.metrics.axes import ALL_ZONES
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene, cross_count

NO_TUMOR = "there is no tumor of at least 0.05 mm2"
_UM2_PER_MM2 = 1e6


def zone_areas(scene: Scene) -> Mapping[str, Values]:
    """Measure the analyzed tissue of each zone, mm2, and its share of all; n is the number of pixels."""
    pixels = scene.ground.zone_px.sum(axis=0)
    total = scene.ground.tissue_px.sum()
    none = (not scene.ground.has_tumor, NO_TUMOR)
    return {
        "ABSOLUTE_AREA_{zone}": values(pixels * scene.ground.um2_per_px / _UM2_PER_MM2, pixels, none),
        "RELATIVE_AREA_{zone}": values(quotient(pixels, total), total, none),
    }


def tissues_in_zones(scene: Scene) -> Mapping[str, Values]:
    """Measure each tissue in each zone, mm2, and its share of the zone, (7, 5); n is the number of pixels."""
    pixels = scene.ground.zone_px
    none = (not scene.ground.has_tumor, NO_TUMOR)
    total = np.broadcast_to(pixels.sum(axis=0), (len(TISSUE_CLASSES), len(ALL_ZONES)))
    return {
        "ABSOLUTE_AREA_{tissue}_IN_{zone}": values(
            pixels * scene.ground.um2_per_px / _UM2_PER_MM2, pixels, none
        ),
        "RELATIVE_AREA_{tissue}_IN_{zone}": values(
            quotient(pixels, total), total, none, (total == 0, "the {zone} is empty")
        ),
    }


def cells_in_zones(scene: Scene) -> Mapping[str, Values]:
    """Measure number, share and density of each class in each zone, (9, 5)."""
    counts = scene.once(zone_counts)
    total = counts.sum(axis=0)
    area_mm2 = scene.ground.zone_px.sum(axis=0) * scene.ground.um2_per_px / _UM2_PER_MM2
    none = (not scene.ground.has_tumor, NO_TUMOR)
    return {
        "CELL_COUNT_{cell}_IN_{zone}": values(counts, counts, none),
        "CELL_PERCENTAGE_{cell}_IN_{zone}": values(
            quotient(counts, total, scale=100), total, none, (total == 0, "there are no cells in the {zone}")
        ),
        "CELL_DENSITY_{cell}_IN_{zone}": values(
            quotient(counts, area_mm2), counts, none, (area_mm2 == 0, "the {zone} is empty")
        ),
    }


def zone_counts(scene: Scene) -> NDArray[np.int64]:
    """Count the cells of each class in each zone, (9, 5); the last zone is the whole tumor region."""
    four = cross_count(scene.cells.label, scene.zone - 1, (N_CELL_CLASSES, 4))
    return np.column_stack([four, four[:, 0] + four[:, 1]])
