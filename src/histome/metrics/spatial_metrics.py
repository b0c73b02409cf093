"""Declarations of the spatial metrics, diversity, heterogeneity, ratios, certainty and the slide itself."""

from dataclasses import replace

from histome.metrics.declaration import Loop, Template, declare, in_family

_UNIT = (0.0, 1.0)
_SIGNED = (None, None)
_CORRELATION = (-1.0, 1.0)
_NO_PAIR = "there are no {center}; there are no other {neighbor}"
_FEW_TILES = "fewer than 10 tiles are at least a quarter nucleated tissue"
_VERY_FEW_TILES = "fewer than 5 tiles are at least a quarter nucleated tissue"

_DISTANCES = (
    *in_family(
        "S1",
        ("neighbor", "center"),
        declare(
            "NN_DISTANCE_MEAN_OF_{neighbor}_FROM_{center}",
            "um",
            "mean distance from {center} to the nearest of the other {neighbor}",
            _NO_PAIR,
            n=1,
        ),
        declare(
            "NN_DISTANCE_MEDIAN_OF_{neighbor}_FROM_{center}",
            "um",
            "median distance from {center} to the nearest of the other {neighbor}",
            _NO_PAIR,
            n=1,
        ),
        declare(
            "NN_DISTANCE_SD_OF_{neighbor}_FROM_{center}",
            "um",
            "standard deviation (n - 1) of the distance from {center} to the nearest of the other {neighbor}",
            f"{_NO_PAIR}; there is one of the {{center}} only",
            n=2,
        ),
    ),
    *in_family(
        "S2",
        ("neighbor", "center", "radius"),
        declare(
            "CROSS_G_{neighbor}_FROM_{center}_{radius}",
            "1",
            "share of {center} with another cell, one of the {neighbor}, within {radius} um",
            "there are no {center}",
            _UNIT,
            n=1,
            derived="NUMBER_OF_CELLS_WITH_(neighbor)_NEIGHBORS_AROUND_(center) over the tissues / "
            "CELL_COUNT_(center), "
            "where all centers lie in nucleated tissue",
        ),
    ),
    *in_family(
        "S3",
        ("neighbor", "center", "l_radius"),
        declare(
            "CROSS_L_{neighbor}_{center}_{l_radius}",
            "um",
            "L({l_radius} um) - {l_radius} um of {neighbor} around {center}",
            "fewer than 20 {center} lie at least {l_radius} um from the border of the nucleated tissue; "
            "there are no "
            "other {neighbor} in it",
            _SIGNED,
            n=20,
        ),
    ),
)


def _symmetric(*declaration) -> Template:
    """Declare a template whose first two axes may be exchanged."""
    return replace(declare(*declaration), symmetric=True)


_PAIRS = (
    *in_family(
        "S4",
        ("neighbor", "center"),
        _symmetric(
            "ENRICHMENT_LOG2FC_{neighbor}_AROUND_{center}",
            "1",
            "log2 of the pairs of {center} with {neighbor} within 40 um / their mean under relabeling",
            "no such pair is expected, or none is seen",
            _SIGNED,
        ),
        _symmetric(
            "ENRICHMENT_Z_{neighbor}_AROUND_{center}",
            "1",
            "(pairs of {center} with {neighbor} within 40 um - their mean under relabeling) / their SD",
            "relabeling cannot change the number of pairs",
            _SIGNED,
        ),
    ),
    *in_family(
        "S5",
        ("touching",),
        declare(
            "CONTACT_FRACTION_{touching}",
            "1",
            "contacts between {touching} / all contacts",
            "there are no contacts",
            _UNIT,
            n=1,
        ),
        declare(
            "CONTACT_LOG_ODDS_{touching}",
            "1",
            "ln of the odds of the contact fraction of {touching} / its odds under relabeling",
            "the contact fraction, or the one expected under relabeling, is 0 or 1",
            _SIGNED,
            n=1,
            derived="from CONTACT_FRACTION and the two CELL_COUNT",
        ),
    ),
    *in_family(
        "S6",
        ("pair",),
        declare(
            "COLOCALIZATION_MORISITA_HORN_{pair}",
            "1",
            "Morisita-Horn index of the counts of {pair} in tiles of 250 um",
            f"{_FEW_TILES}; one of the classes is absent from them",
            _UNIT,
            n=10,
        ),
        declare(
            "COLOCALIZATION_PEARSON_{pair}",
            "1",
            "Pearson correlation of the densities of {pair} in tiles of 250 um",
            f"{_FEW_TILES}; a density is the same everywhere",
            _CORRELATION,
            n=10,
        ),
    ),
    *in_family(
        "S7",
        ("cell",),
        declare(
            "CLARK_EVANS_{cell}",
            "1",
            "mean nearest-neighbor distance among {cell}, border corrected / that of a random pattern",
            "fewer than 20 {cell} lie in nucleated tissue, nearer to one another than to its border",
            n=20,
        ),
        declare(
            "MORANS_I_{cell}",
            "1",
            "Moran's I of the density of {cell} in tiles of 250 um",
            f"{_FEW_TILES}; the density is the same everywhere; no tiles touch",
            _SIGNED,
            n=10,
        ),
        declare(
            "HOTSPOT_FRACTION_{cell}",
            "1",
            "share of tiles of 250 um with a Getis-Ord Gi* above 1.96 for {cell}",
            f"{_FEW_TILES}; the density is the same everywhere",
            _UNIT,
            n=10,
        ),
        declare(
            "GINI_{cell}",
            "1",
            "Gini coefficient of the density of {cell} in tiles of 250 um",
            f"{_VERY_FEW_TILES}; there are no {{cell}} in them",
            _UNIT,
            n=5,
            derived="the same as HETEROGENEITY_GINI_(cell)_250",
        ),
    ),
)

_DIVERSITY = (
    declare("SHANNON", "1", "- sum of p ln p over the shares of the nine classes", "there are no cells", n=1),
    declare(
        "SIMPSON", "1", "1 - sum of p^2 over the shares of the nine classes", "there are no cells", _UNIT, n=1
    ),
    declare("RICHNESS", "classes", "number of classes with at least one cell", limits=(0.0, 9.0)),
)
_FROM_COUNTS = "from the CELL_COUNT of the nine classes"
_D1 = (
    *in_family("D1", (), *(replace(template, derived=_FROM_COUNTS) for template in _DIVERSITY)),
    *in_family(
        "D1",
        ("place",),
        *(
            replace(
                template,
                pattern=f"{template.pattern}_IN_{{place}}",
                formula=f"{template.formula}, cells in the {{place}}",
                null_when=template.null_when.replace("no cells", "no cells in the {place}"),
                derived=_FROM_COUNTS,
            )
            for template in _DIVERSITY
        ),
    ),
)

_NO_DENSITY = "there are no {cell} in the tiles"
_H1 = in_family(
    "H1",
    ("cell", "tile"),
    declare(
        "HETEROGENEITY_CV_{cell}_{tile}",
        "1",
        "SD (n - 1) / mean of the density of {cell} in tiles of {tile} um",
        f"{_VERY_FEW_TILES}; {_NO_DENSITY}",
        n=5,
    ),
    declare(
        "HETEROGENEITY_GINI_{cell}_{tile}",
        "1",
        "Gini coefficient of the density of {cell} in tiles of {tile} um",
        f"{_VERY_FEW_TILES}; {_NO_DENSITY}",
        _UNIT,
        n=5,
    ),
    declare(
        "HETEROGENEITY_P90_{cell}_{tile}",
        "cells/mm2",
        "90th percentile of the density of {cell} in tiles of {tile} um",
        _VERY_FEW_TILES,
        n=5,
    ),
    declare(
        "HETEROGENEITY_EMPTY_SHARE_{cell}_{tile}",
        "1",
        "share of tiles of {tile} um without {cell}",
        _VERY_FEW_TILES,
        _UNIT,
        n=5,
    ),
)

_U1 = (
    *in_family(
        "U1",
        ("group",),
        declare(
            "CONFIDENCE_MEAN_{group}",
            "1",
            "mean calibrated probability of the given class over {group}",
            "there are no {group} with a confidence",
            _UNIT,
            n=1,
        ),
        declare(
            "CONFIDENCE_P10_{group}",
            "1",
            "10th percentile of the calibrated probability of the given class over {group}",
            "there are no {group} with a confidence",
            _UNIT,
            n=1,
        ),
        declare(
            "ABSTAINED_COUNT_{group}",
            "cells",
            "number of {group} whose class the model abstained from",
            "the cells say nothing about abstention",
        ),
        declare(
            "ABSTAINED_FRACTION_{group}",
            "1",
            "share of {group} whose class the model abstained from",
            "the cells say nothing about abstention; there are no {group}",
            _UNIT,
            n=1,
            derived="ABSTAINED_COUNT_(class) / CELL_COUNT_(class)",
        ),
    ),
    *in_family(
        "U1",
        (),
        declare(
            "CONFIDENCE_MEDIAN_ALL",
            "1",
            "median calibrated probability of the given class over all cells",
            "there are no cells with a confidence",
            _UNIT,
            n=1,
        ),
        declare(
            "CONFIDENCE_SD_ALL",
            "1",
            "standard deviation (n - 1) of the calibrated probability of the given class over all cells",
            "there are fewer than two cells with a confidence",
            n=2,
        ),
    ),
)

SPATIAL: tuple[Template | Loop, ...] = (*_DISTANCES, *_PAIRS, *_D1, *_H1)
CERTAINTY: tuple[Template | Loop, ...] = _U1
