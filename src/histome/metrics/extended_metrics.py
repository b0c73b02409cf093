"""Declarations of the extended metrics: 3,720 numbers; areas in mm2, densities per mm2."""

from dataclasses import replace

from histome.metrics.core_metrics import center_templates, pair_templates
from histome.metrics.declaration import Loop, Template, declare, in_family
from histome.metrics.ratio_metrics import RATIOS, SLIDE
from histome.metrics.spatial_metrics import CERTAINTY, SPATIAL

_NO_TUMOR = "there is no tumor of at least 0.05 mm2"
_UNIT = (0.0, 1.0)
_SIGNED = (None, None)
_PERCENT = (0.0, 100.0)


_ZONES = (
    *in_family(
        "W1",
        ("zone",),
        declare("ABSOLUTE_AREA_{zone}", "mm2", "area of analyzed tissue in the {zone}", _NO_TUMOR),
        declare(
            "RELATIVE_AREA_{zone}",
            "1",
            "area of the {zone} / area of all analyzed tissue",
            _NO_TUMOR,
            _UNIT,
            derived="ABSOLUTE_AREA_(zone) / ABSOLUTE_AREA",
        ),
    ),
    *in_family(
        "W2",
        ("zone", "tissue"),
        declare("ABSOLUTE_AREA_{tissue}_IN_{zone}", "mm2", "area of {tissue} in the {zone}", _NO_TUMOR),
        declare(
            "RELATIVE_AREA_{tissue}_IN_{zone}",
            "1",
            "area of {tissue} in the {zone} / area of the {zone}",
            f"{_NO_TUMOR}; the {{zone}} is empty",
            _UNIT,
            derived="ABSOLUTE_AREA_(tissue)_IN_(zone) / ABSOLUTE_AREA_(zone)",
        ),
    ),
    *in_family(
        "W3",
        ("zone", "cell"),
        declare("CELL_COUNT_{cell}_IN_{zone}", "cells", "number of {cell} in the {zone}", _NO_TUMOR),
        declare(
            "CELL_PERCENTAGE_{cell}_IN_{zone}",
            "%",
            "100 x {cell} in the {zone} / all cells in the {zone}",
            f"{_NO_TUMOR}; there are no cells in the {{zone}}",
            _PERCENT,
            n=1,
            derived="from CELL_COUNT_(cell)_IN_(zone) of the nine classes",
        ),
        declare(
            "CELL_DENSITY_{cell}_IN_{zone}",
            "cells/mm2",
            "{cell} in the {zone} / area of the {zone}",
            f"{_NO_TUMOR}; the {{zone}} is empty",
            derived="CELL_COUNT_(cell)_IN_(zone) / ABSOLUTE_AREA_(zone)",
        ),
    ),
)

_W4 = (
    Loop(
        ("radius",),
        (
            Loop(
                ("neighbor", "center"),
                (
                    *center_templates("W4", "WHOLE_TUMOR_REGION", "the whole tumor region", "mm2"),
                    Loop(
                        ("center",),
                        pair_templates("W4", "WHOLE_TUMOR_REGION", "the whole tumor region", "mm2"),
                    ),
                ),
            ),
        ),
    ),
)

_NO_AGGREGATE = "there are no lymphoid aggregates"
_LYMPHOID = (
    *in_family(
        "L1",
        (),
        declare("LYMPHOID_AGGREGATE_COUNT", "aggregates", "number of lymphoid aggregates"),
        declare("LYMPHOID_AGGREGATE_AREA", "mm2", "summed area of the lymphoid aggregates"),
        declare(
            "LYMPHOID_AGGREGATE_DENSITY",
            "1/mm2",
            "lymphoid aggregates / area of all analyzed tissue",
            "there is no analyzed tissue",
            derived="LYMPHOID_AGGREGATE_COUNT / ABSOLUTE_AREA",
        ),
        declare(
            "LYMPHOID_AGGREGATE_LARGEST_AREA",
            "mm2",
            "area of the largest lymphoid aggregate",
            _NO_AGGREGATE,
            n=1,
        ),
        declare(
            "LYMPHOID_AGGREGATE_MEAN_AREA",
            "mm2",
            "mean area of the lymphoid aggregates",
            _NO_AGGREGATE,
            n=1,
            derived="LYMPHOID_AGGREGATE_AREA / LYMPHOID_AGGREGATE_COUNT",
        ),
        declare(
            "LYMPHOID_AGGREGATE_PLASMA_SHARE",
            "1",
            "plasma cells / cells of all lymphoid aggregates",
            _NO_AGGREGATE,
            _UNIT,
            n=1,
        ),
        declare(
            "LYMPHOID_AGGREGATE_DISTANCE_TO_CARCINOMA",
            "um",
            "mean over lymphoid aggregates of the distance of their nearest cell to carcinoma",
            f"{_NO_AGGREGATE}; there is no carcinoma",
            n=1,
        ),
    ),
    *in_family(
        "L1",
        ("zone",),
        declare(
            "LYMPHOID_AGGREGATE_COUNT_IN_{zone}",
            "aggregates",
            "number of lymphoid aggregates most of whose cells on analyzed tissue lie in the {zone}",
            _NO_TUMOR,
        ),
    ),
)

_FEW_NUCLEI = "fewer than 20 {group} have the feature measured"
_FEW_IN_TISSUE = "fewer than 20 {cell} in {nucleated} have the feature measured"


def _feature(stat: str, unit: str, words: str, *, signed: bool = False) -> Template:
    """Declare one statistic of the nuclear features per class."""
    null = (
        _FEW_NUCLEI if stat not in ("CV", "SKEW") else f"{_FEW_NUCLEI}; they are all equal or their mean is 0"
    )
    # Optical densities are differences to the background: they can be slightly negative.
    limits = _SIGNED if signed or stat not in ("SD",) else (0.0, None)
    return declare(
        f"NUCLEUS_{stat}_{{feature}}_{{group}}",
        unit,
        f"{words} of {{feature}} over {{group}}",
        null,
        limits,
        n=20,
    )


_NUCLEI = (
    *in_family(
        "N1",
        ("group", "feature"),
        _feature("MEAN", "{feature_unit}", "mean"),
        _feature("SD", "{feature_unit}", "standard deviation"),
        replace(
            _feature("CV", "1", "standard deviation / mean"),
            derived="NUCLEUS_SD_(feature)_(class) / NUCLEUS_MEAN_(feature)_(class)",
        ),
        _feature("P10", "{feature_unit}", "10th percentile"),
        _feature("MEDIAN", "{feature_unit}", "median"),
        _feature("P90", "{feature_unit}", "90th percentile"),
        _feature("SKEW", "1", "skewness", signed=True),
    ),
    *in_family(
        "N2",
        ("cell", "nucleated", "tissue_feature"),
        declare(
            "NUCLEUS_MEAN_{tissue_feature}_{cell}_IN_{nucleated}",
            "{tissue_feature_unit}",
            "mean of {tissue_feature} over {cell} in {nucleated}",
            _FEW_IN_TISSUE,
            _SIGNED,
            n=20,
        ),
        declare(
            "NUCLEUS_SD_{tissue_feature}_{cell}_IN_{nucleated}",
            "{tissue_feature_unit}",
            "standard deviation of {tissue_feature} over {cell} in {nucleated}",
            _FEW_IN_TISSUE,
            n=20,
        ),
    ),
)

_NO_CARCINOMA = "there is no carcinoma; there are no {cell} on the map"
_BORDER = (
    *in_family(
        "I1",
        ("side", "band", "cell"),
        declare(
            "CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}",
            "cells/mm2",
            "{cell} / area, in the band of {band} um {side} the carcinoma-stroma border",
            "there is no carcinoma; there is no stroma; the band is empty",
        ),
    ),
    *in_family(
        "I2",
        ("cell",),
        declare(
            "DISTANCE_TO_CARCINOMA_MEAN_{cell}",
            "um",
            "mean distance of {cell} to the nearest carcinoma",
            _NO_CARCINOMA,
            n=1,
        ),
        declare(
            "DISTANCE_TO_CARCINOMA_MEDIAN_{cell}",
            "um",
            "median distance of {cell} to the nearest carcinoma",
            _NO_CARCINOMA,
            n=1,
        ),
        declare(
            "DISTANCE_TO_CARCINOMA_P90_{cell}",
            "um",
            "90th percentile of the distance of {cell} to the nearest carcinoma",
            _NO_CARCINOMA,
            n=1,
        ),
        declare(
            "DISTANCE_TO_CARCINOMA_SHARE_WITHIN_50_{cell}",
            "1",
            "share of {cell} at most 50 um from the nearest carcinoma",
            _NO_CARCINOMA,
            _UNIT,
            n=1,
        ),
    ),
)

EXTENDED: tuple[Template | Loop, ...] = (
    *_ZONES,
    *_W4,
    *_LYMPHOID,
    *_NUCLEI,
    *_BORDER,
    *SPATIAL,
    *RATIOS,
    *CERTAINTY,
    *SLIDE,
)
