"""Declarations of the 4,544 core numbers, in the order and under the names of the published readouts.

The published tables spell SOLIDICITY and mean the circularity's complement by ECCENTRICITY; the names are
kept so that readouts compare, the true quantities are in family N1.
"""

from histome.metrics.declaration import Family, Loop, Template

CORE_FAMILIES = (
    Family("total-area", "Total area", "Area of all analyzed tissue.", of_cells=False),
    Family(
        "qc-areas", "Quality control areas", "Area of each quality class of the whole scan.", of_cells=False
    ),
    Family("tissue-areas", "Tissue areas", "Area of each tissue class in valid tissue.", of_cells=False),
    Family(
        "tissue-regions",
        "Tissue regions",
        "Number and shape of the connected regions (8-neighbors) of each tissue class; LARGEST is the region "
        "of the largest area, AVG the plain mean over regions. Shapes of small regions depend on the "
        "resolution of the class map.",
        of_cells=False,
    ),
    Family(
        "cells", "All cells", "Number of cells and mean shape of their nuclei, cells outside tissue included."
    ),
    Family("cells-per-class", "Cells per class", "Number, share, density and mean nuclear shape per class."),
    Family(
        "cells-by-tissue", "Cells per class and tissue", "Number, share and density in each tissue class."
    ),
    Family(
        "neighborhood-centers",
        "Surroundings of a class",
        "What lies within a radius of the cells of one class (the centers) in one tissue. Whole-slide: no "
        "cell near a tile border is lost, so every count grows with the radius.",
        source="Union of discs: the exposed arcs, summed by Green's theorem (exact).",
    ),
    Family(
        "neighborhood-pairs",
        "Neighbors of one class around centers of another",
        "Neighbors of one class, in any tissue, within a radius of the centers in one tissue; a cell is not "
        "its own neighbor, a cell at exactly the radius is one.",
    ),
)

_NO_TISSUE = "there is no analyzed tissue"
_NO_SLIDE = "no quality map was given"

_QC_AREAS = (
    Template(
        "ABSOLUTE_AREA_{qc}",
        "qc-areas",
        "um2",
        "pixels of class {qc} in the quality map x the area of a pixel",
        null_when=_NO_SLIDE,
    ),
    Template(
        "RELATIVE_AREA_{qc}",
        "qc-areas",
        "%",
        "100 x area of {qc} / area of valid tissue, tissue artifact, out of focus and marker together",
        (0.0, 100.0),
        f"{_NO_SLIDE}; the denominator is 0; always for NO_TISSUE, which is no part of it",
        derived="from the ABSOLUTE_AREA of the quality classes",
    ),
)

_TISSUE_AREAS = (
    Template(
        "ABSOLUTE_AREA_{tissue}",
        "tissue-areas",
        "um2",
        "pixels of {tissue} in the tissue map x the area of a pixel",
    ),
    Template(
        "RELATIVE_AREA_{tissue}",
        "tissue-areas",
        "%",
        "100 x area of {tissue} / area of the seven tissue classes together",
        (0.0, 100.0),
        _NO_TISSUE,
        derived="100 ABSOLUTE_AREA_(tissue) / ABSOLUTE_AREA",
    ),
)


def _region(
    name: str,
    unit: str,
    formula: str,
    high: float | None = None,
    *,
    low: float = 0.0,
    derived: str = "",
) -> Template:
    """Declare one shape metric of the regions of a tissue."""
    no_region = "there is no region of {tissue}"
    return Template(f"{name}_{{tissue}}", "tissue-regions", unit, formula, (low, high), no_region, 1, derived)


_TISSUE_REGIONS = (
    Template("REGION_COUNT_{tissue}", "tissue-regions", "regions", "number of connected regions of {tissue}"),
    _region(
        "AVG_ECCENTRICITY",
        "1",
        "mean over regions of {tissue} of 1 - 4 pi filled area / outer perimeter^2",
        1.0,
    ),
    _region("AVG_EXTENT", "um2", "mean area of the bounding boxes of the regions of {tissue}"),
    _region("AVG_SOLIDICITY", "1", "mean over regions of {tissue} of area / convex area", 1.0),
    _region("LARGEST_CONVEX_AREA", "um2", "area of the convex hull of the largest region of {tissue}"),
    _region("LARGEST_FILLED_AREA", "um2", "area of the largest region of {tissue} with its holes filled"),
    _region(
        "LARGEST_ROUNDNESS",
        "1",
        "4 pi filled area / outer perimeter^2 of the largest region of {tissue}",
        1.0,
    ),
    _region(
        "LARGEST_MAJ_AXIS", "um", "major axis of the equal-moment ellipse of the largest region of {tissue}"
    ),
    _region(
        "LARGEST_MNR_AXIS", "um", "minor axis of the equal-moment ellipse of the largest region of {tissue}"
    ),
    _region(
        "LARGEST_PERIMETER",
        "um",
        "perimeter of the largest region of {tissue}, borders of its holes included",
    ),
    _region("LARGEST_SOLIDICITY", "1", "area / convex area of the largest region of {tissue}", 1.0),
    _region(
        "LARGEST_ECCENTRICITY",
        "1",
        "1 - LARGEST_ROUNDNESS of {tissue}; not the eccentricity of an ellipse",
        1.0,
        derived="1 - LARGEST_ROUNDNESS_(tissue)",
    ),
)


def _mean_shape(suffix: str, family: str, axes: bool) -> tuple[Template, ...]:
    """Declare the mean nuclear shapes of all cells or of one class."""
    whose = "{cell}" if suffix else "all cells"
    null = f"there are no {'{cell}' if suffix else 'cells'} with an outline"
    shapes = [
        ("AREA", "um2", f"mean nuclear area of {whose}", None, ""),
        ("ROUNDNESS", "1", f"mean of 4 pi area / perimeter^2 over the nuclei of {whose}", 1.0, ""),
        (
            "ECCENTRICITY",
            "1",
            f"mean of 1 - roundness over the nuclei of {whose}; not the eccentricity of an ellipse",
            1.0,
            f"1 - NUCLEUS_AVG_ROUNDNESS{'_(cell)' if suffix else ''}",
        ),
        ("PERIMETER", "um", f"mean nuclear perimeter of {whose}", None, ""),
    ]
    if axes:  # the published order for all cells: the two axes before the perimeter
        words = "axis of the equal-moment ellipse over all nuclei"
        shapes[3:3] = [("MAJ_AXIS", "um", f"mean major {words}", None, "")]
        shapes[4:4] = [("MNR_AXIS", "um", f"mean minor {words}", None, "")]
    return tuple(
        Template(f"NUCLEUS_AVG_{name}{suffix}", family, unit, formula, (0.0, high), null, 1, derived)
        for name, unit, formula, high, derived in shapes
    )


_CELLS = (
    Template("CELL_N_TOTAL", "cells", "cells", "number of cells"),
    *_mean_shape("", "cells", axes=True),
)

_CELLS_BY_TISSUE = (
    Template("CELL_COUNT_{cell}_{nucleated}", "cells-by-tissue", "cells", "number of {cell} in {nucleated}"),
    Template(
        "CELL_PERCENTAGE_{cell}_{nucleated}",
        "cells-by-tissue",
        "%",
        "100 x {cell} in {nucleated} / all cells in {nucleated}",
        (0.0, 100.0),
        "there are no cells in {nucleated}",
        1,
        "from CELL_COUNT_(cell)_(tissue) of the nine classes",
    ),
    Template(
        "CELL_DENSITY_{cell}_{nucleated}",
        "cells-by-tissue",
        "cells/um2",
        "{cell} in {nucleated} / area of {nucleated}",
        null_when="there is no {nucleated}",
        derived="CELL_COUNT_(cell)_(tissue) / ABSOLUTE_AREA_(tissue)",
    ),
)

_CELLS_PER_CLASS = (
    Template("CELL_COUNT_{cell}", "cells-per-class", "cells", "number of {cell}"),
    *_mean_shape("_{cell}", "cells-per-class", axes=False),
    Template(
        "CELL_PERCENTAGE_{cell}",
        "cells-per-class",
        "%",
        "100 x {cell} / all cells",
        (0.0, 100.0),
        "there are no cells",
        1,
        "100 CELL_COUNT_(cell) / CELL_N_TOTAL",
    ),
    Template(
        "CELL_DENSITY_{cell}",
        "cells-per-class",
        "cells/um2",
        "{cell} / area of the seven tissue classes together",
        null_when=_NO_TISSUE,
        derived="CELL_COUNT_(cell) / ABSOLUTE_AREA",
    ),
    Loop(("nucleated",), _CELLS_BY_TISSUE),
)


def center_templates(family: str, where: str, words: str, area_unit: str) -> tuple[Template, ...]:
    """Declare the surroundings of the centers that lie `where`."""
    return (
        Template(
            f"AREA_AROUND_{{center}}_IN_{where}_{{radius}}",
            family,
            area_unit,
            f"area of the union of the discs of {{radius}} um round all {{center}} in {words}, not clipped",
        ),
        Template(
            f"TOTAL_NUMBER_OF_NEIGHBORS_AROUND_{{center}}_IN_{where}_{{radius}}",
            family,
            "cells",
            f"number of cells of any class and place within {{radius}} um of another cell that is one of the "
            f"{{center}} in {words}; each cell counts once",
        ),
    )


def pair_templates(family: str, where: str, words: str, area_unit: str) -> tuple[Template, ...]:
    """Declare the neighbors of one class around the centers of another that lie `where`."""
    tail = f"_AROUND_{{center}}_IN_{where}_{{radius}}"
    plain_tail = tail.format(center="(center)", radius="(radius)", nucleated="(tissue)")
    number = f"NUMBER_OF_(neighbor)S{plain_tail}"
    around = f"{{center}} in {words}"
    return (
        Template(
            f"NUMBER_OF_CELLS_WITH_{{neighbor}}_NEIGHBORS{tail}",
            family,
            "cells",
            f"number of {around} with another cell, one of the {{neighbor}}, within {{radius}} um",
        ),
        Template(
            f"NUMBER_OF_{{neighbor}}S{tail}",
            family,
            "cells",
            f"number of {{neighbor}} within {{radius}} um of another cell that is one of the {around}; "
            "each cell counts once",
        ),
        Template(
            f"DENSITY_OF_{{neighbor}}S{tail}",
            family,
            f"cells/{area_unit}",
            f"that number of {{neighbor}} / area of the discs of {{radius}} um round {around}",
            null_when=f"there are no {around}",
            derived=f"{number} / AREA{plain_tail}",
        ),
        Template(
            f"RATIO_OF_{{neighbor}}S{tail}",
            family,
            "1",
            f"that number of {{neighbor}} / number of all neighbors within {{radius}} um of {around}",
            (0.0, 1.0),
            f"no cell lies within {{radius}} um of {around}",
            1,
            f"{number} / TOTAL_NUMBER_OF_NEIGHBORS{plain_tail}",
        ),
        Template(
            f"AVG_MIN_DISTANCE_OF_{{neighbor}}S{tail}",
            family,
            "um",
            f"mean distance to the nearest of the other {{neighbor}} over those {around} with one within "
            "{radius} um",
            null_when=f"none of the {around} has one of the {{neighbor}} within {{radius}} um",
            smallest_sample=1,
        ),
    )


CORE = (
    Template(
        "ABSOLUTE_AREA", "total-area", "um2", "area of the seven tissue classes together, in the tissue map"
    ),
    Loop(("qc",), _QC_AREAS),
    Loop(("tissue",), _TISSUE_AREAS),
    Loop(("tissue",), _TISSUE_REGIONS),
    *_CELLS,
    Loop(("cell",), _CELLS_PER_CLASS),
    Loop(
        ("radius",),
        (
            # The outer class is the center of its own surroundings and the neighbor in the pairs that follow.
            Loop(
                ("neighbor", "center"),
                (
                    Loop(
                        ("nucleated",),
                        (
                            *center_templates("neighborhood-centers", "{nucleated}", "{nucleated}", "um2"),
                            Loop(
                                ("center",),
                                pair_templates("neighborhood-pairs", "{nucleated}", "{nucleated}", "um2"),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
)
