"""Number and shape of the connected regions of each tissue."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.geotable import TableLike
from histome.metrics.declaration import Family, Template, in_loops
from histome.metrics.reasons import NO_REGIONS
from histome.metrics.results import Result, all_null, quotient, result
from histome.metrics.specimen import Specimen

_NO_REGION = "there is no region of {tissue}"


def _shape(name: str, unit: str, formula: str, high: float | None = None, *, derived: str = "") -> Template:
    """Declare one shape metric of the regions of a tissue."""
    nulls = (NO_REGIONS, _NO_REGION)
    return Template(
        f"{name}_{{tissue}}",
        unit,
        formula,
        nulls,
        (0.0, high),
        smallest_sample=1,
        derived=derived,
        counts="regions of {tissue}",
    )


TEMPLATES = in_loops(
    ("tissue",),
    Template(
        "REGION_COUNT_{tissue}",
        "regions",
        "number of connected regions of {tissue}",
        (NO_REGIONS,),
        counts="regions of {tissue}",
    ),
    _shape(
        "AVG_ECCENTRICITY",
        "1",
        "mean over regions of {tissue} of 1 - 4 pi filled area / outer perimeter^2",
        1.0,
    ),
    _shape("AVG_EXTENT", "um2", "mean area of the bounding boxes of the regions of {tissue}"),
    _shape("AVG_SOLIDICITY", "1", "mean over regions of {tissue} of area / convex area", 1.0),
    _shape(
        "LARGEST_CONVEX_AREA",
        "um2",
        "area of the pixels whose centers lie in the convex hull of those of the largest region of {tissue}",
    ),
    _shape("LARGEST_FILLED_AREA", "um2", "area of the largest region of {tissue} with its holes filled"),
    _shape(
        "LARGEST_ROUNDNESS",
        "1",
        "4 pi filled area / outer perimeter^2 of the largest region of {tissue}",
        1.0,
    ),
    _shape(
        "LARGEST_MAJ_AXIS", "um", "major axis of the equal-moment ellipse of the largest region of {tissue}"
    ),
    _shape(
        "LARGEST_MNR_AXIS", "um", "minor axis of the equal-moment ellipse of the largest region of {tissue}"
    ),
    _shape(
        "LARGEST_PERIMETER",
        "um",
        "perimeter of the largest region of {tissue}, borders of its holes included",
    ),
    _shape("LARGEST_SOLIDICITY", "1", "area / convex area of the largest region of {tissue}", 1.0),
    _shape(
        "LARGEST_ECCENTRICITY",
        "1",
        "1 - LARGEST_ROUNDNESS of {tissue}; not the eccentricity of an ellipse",
        1.0,
        derived="1 - LARGEST_ROUNDNESS_(tissue)",
    ),
)


def tissue_regions(specimen: Specimen) -> Mapping[str, Result]:
    """Measure number and shape of the connected regions of each tissue class; n is the number of regions.

    Takes the table of `tissue.regions.find_regions`; the largest region is the last of the largest area.
    """
    shape = (len(TISSUE_CLASSES),)
    names = [f"{name}_{{tissue}}" for name in ("REGION_COUNT", *_AVERAGES, *_LARGEST)]
    regions = specimen.maps.regions
    if regions is None:
        return {name: all_null(shape, NO_REGIONS) for name in names}
    tissue = np.array([TISSUE_CLASSES.index(name) for name in regions["class"].to_pylist()], np.int64)
    counts = np.bincount(tissue, minlength=shape[0])
    missing = (counts == 0, _NO_REGION)
    found = {names[0]: result(counts, counts)}
    for name, measure in _AVERAGES.items():
        sums = np.bincount(tissue, weights=measure(regions), minlength=shape[0])
        found[f"{name}_{{tissue}}"] = result(quotient(sums, counts), counts, missing)
    largest = _largest(tissue, _column(regions, "area_um2"), shape[0])
    for name, measure in _LARGEST.items():
        column = np.append(measure(regions), np.nan)  # row -1: no region
        found[f"{name}_{{tissue}}"] = result(column[largest], counts, missing)
    return found


FAMILY = Family(
    "tissue-regions",
    "Tissue regions",
    "Number and shape of the connected regions (8-neighbors) of each tissue class; LARGEST is the region "
    "of the largest area, AVG the plain mean over regions. Perimeters by Crofton's formula in 12 "
    "directions on whole pixels: within 0.7 % of the truth for a straight border of any direction, about 1 % "
    "for regions of 0.3 mm and more; corners make a square of 0.1 mm 2 % short, one of 0.04 mm 4 %. Where "
    "polygons were given, regions and shapes are exactly theirs: what touches along a side in one class is "
    "one region, of what overlaps the smallest polygon counts.",
    TEMPLATES,
    tissue_regions,
    of_cells=False,
    core=True,
    no_interval="shapes and largest regions are no function of sums over blocks of tissue",
)


def _largest(tissue: NDArray[np.int64], area_um2: NDArray[np.float64], n_classes: int) -> NDArray[np.int64]:
    """Return the row of the largest region of each class, -1 where there is none."""
    rows = np.full(n_classes, -1, np.int64)
    order = np.argsort(area_um2, kind="stable")
    rows[tissue[order]] = order  # the last write, of the largest area, stays
    return rows


def _column(regions: TableLike, name: str) -> NDArray[np.float64]:
    return np.asarray(regions[name].to_numpy(), np.float64)


_AVERAGES: Mapping[str, Callable[[TableLike], NDArray[np.float64]]] = {
    "AVG_ECCENTRICITY": lambda regions: 1 - _column(regions, "roundness"),
    "AVG_EXTENT": lambda regions: _column(regions, "bbox_area_um2"),
    "AVG_SOLIDICITY": lambda regions: _column(regions, "solidity"),
}
_LARGEST: Mapping[str, Callable[[TableLike], NDArray[np.float64]]] = {
    "LARGEST_CONVEX_AREA": lambda regions: _column(regions, "convex_area_um2"),
    "LARGEST_FILLED_AREA": lambda regions: _column(regions, "filled_area_um2"),
    "LARGEST_ROUNDNESS": lambda regions: _column(regions, "roundness"),
    "LARGEST_MAJ_AXIS": lambda regions: _column(regions, "major_axis_um"),
    "LARGEST_MNR_AXIS": lambda regions: _column(regions, "minor_axis_um"),
    "LARGEST_PERIMETER": lambda regions: _column(regions, "perimeter_um"),
    "LARGEST_SOLIDICITY": lambda regions: _column(regions, "solidity"),
    "LARGEST_ECCENTRICITY": lambda regions: 1 - _column(regions, "roundness"),
}
