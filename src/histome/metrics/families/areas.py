"""How much tissue: areas of quality and tissue classes, number and shape of tissue regions."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.metrics.maps import count_codes
from histome.metrics.results import Values, nothing, quotient, values
from histome.metrics.specimen import Scene

# Quality classes that make up what is on the glass: the denominator of the relative areas.
_ON_THE_GLASS = ("VALID_TISSUE", "TISSUE_ARTIFACT", "OUT_OF_FOCUS", "MARKER")


def total_area(scene: Scene) -> Mapping[str, Values]:
    """Measure the area of the seven tissue classes together, um2; n is the number of pixels."""
    return {"ABSOLUTE_AREA": values(scene.ground.tissue_um2.sum(), scene.ground.tissue_px.sum())}


def quality_areas(scene: Scene) -> Mapping[str, Values]:
    """Measure the quality classes: area, um2, and share of what is on the glass, %; n counts pixels."""
    names = ("ABSOLUTE_AREA_{qc}", "RELATIVE_AREA_{qc}")
    if scene.ground.quality is None:
        return {name: nothing((len(QC_CLASSES),), "no quality map was given") for name in names}
    pixels = count_codes(scene.ground.quality.array, len(QC_CLASSES))[1:]
    glass = np.isin(QC_CLASSES, _ON_THE_GLASS)
    total = pixels[glass].sum()
    return {
        names[0]: values(pixels * scene.ground.quality.mpp**2, pixels),
        names[1]: values(
            quotient(pixels, total, scale=100),
            total,
            (~glass, "no tissue is no part of what is on the glass"),
            (total == 0, "nothing is on the glass"),
        ),
    }


def tissue_areas(scene: Scene) -> Mapping[str, Values]:
    """Measure the tissue classes: area, um2, and share of all tissue, %; n is the number of pixels."""
    area, total = scene.ground.tissue_um2, scene.ground.tissue_um2.sum()
    return {
        "ABSOLUTE_AREA_{tissue}": values(area, scene.ground.tissue_px),
        "RELATIVE_AREA_{tissue}": values(
            quotient(area, total, scale=100),
            scene.ground.tissue_px.sum(),
            (total == 0, "there is no analyzed tissue"),
        ),
    }


def tissue_regions(scene: Scene) -> Mapping[str, Values]:
    """Measure number and shape of the connected regions of each tissue class; n is the number of regions.

    Takes the table of `tissue.regions.find_regions`; the largest region is the last of the largest area.
    """
    shape = (len(TISSUE_CLASSES),)
    names = [f"{name}_{{tissue}}" for name in ("REGION_COUNT", *_AVERAGES, *_LARGEST)]
    if scene.ground.regions is None:
        return {name: nothing(shape, "no regions were given") for name in names}
    tissue = np.array(
        [TISSUE_CLASSES.index(name) for name in scene.ground.regions["class"].to_pylist()], np.int64
    )
    counts = np.bincount(tissue, minlength=shape[0])
    missing = (counts == 0, "there is no region of {tissue}")
    found = {names[0]: values(counts, counts)}
    for name, measure in _AVERAGES.items():
        sums = np.bincount(tissue, weights=measure(scene.ground.regions), minlength=shape[0])
        found[f"{name}_{{tissue}}"] = values(quotient(sums, counts), counts, missing)
    largest = _largest(tissue, _column(scene.ground.regions, "area_um2"), shape[0])
    for name, measure in _LARGEST.items():
        column = np.append(measure(scene.ground.regions), np.nan)  # row -1: no region
        found[f"{name}_{{tissue}}"] = values(column[largest], counts, missing)
    return found


def _largest(tissue: NDArray[np.int64], area_um2: NDArray[np.float64], n_classes: int) -> NDArray[np.int64]:
    """Return the row of the largest region of each class, -1 where there is none."""
    rows = np.full(n_classes, -1, np.int64)
    order = np.argsort(area_um2, kind="stable")
    rows[tissue[order]] = order  # the last write, of the largest area, stays
    return rows


def _column(regions: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(regions[name].to_numpy(), np.float64)


_AVERAGES: Mapping[str, Callable[[pa.Table], NDArray[np.float64]]] = {
    "AVG_ECCENTRICITY": lambda regions: 1 - _column(regions, "roundness"),
    "AVG_EXTENT": lambda regions: _column(regions, "bbox_area_um2"),
    "AVG_SOLIDICITY": lambda regions: _column(regions, "solidity"),
}
_LARGEST: Mapping[str, Callable[[pa.Table], NDArray[np.float64]]] = {
    "LARGEST_CONVEX_AREA": lambda regions: _column(regions, "convex_area_um2"),
    "LARGEST_FILLED_AREA": lambda regions: _column(regions, "filled_area_um2"),
    "LARGEST_ROUNDNESS": lambda regions: _column(regions, "roundness"),
    "LARGEST_MAJ_AXIS": lambda regions: _column(regions, "major_axis_um"),
    "LARGEST_MNR_AXIS": lambda regions: _column(regions, "minor_axis_um"),
    "LARGEST_PERIMETER": lambda regions: _column(regions, "perimeter_um"),
    "LARGEST_SOLIDICITY": lambda regions: _column(regions, "solidity"),
    "LARGEST_ECCENTRICITY": lambda regions: 1 - _column(regions, "roundness"),
}
