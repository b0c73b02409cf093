"""What each value is about: the cells, tissues and words for a quantity that a text names beside it."""

import re
from collections.abc import Iterable, Mapping

from histome.errors import UsageError
from histome.metrics.axes import ALL_ZONES, AXES, CELL_NAMES, PAIR_OF
from histome.metrics.catalogue import find_metric
from histome.phenotype.axes import PANNUKE_CLASSES

Subjects = frozenset[str]
# What metrics without a class or tissue in their axes are about; alternatives.
_METRICS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "TUMOR_PURITY": (("carcinoma_cell",),),
    "IMMUNE_CELL_FRACTION": (("immune",),),
    "STROMAL_TIL_PERCENT": (("til",), ("til", "STROMA"), ("lymphocyte", "plasma_cell", "STROMA")),
    "INTRATUMORAL_TIL": (
        ("til",),
        ("til", "carcinoma_cell"),
        ("lymphocyte", "plasma_cell", "carcinoma_cell"),
    ),
    "LYMPHOCYTE_TO_CARCINOMA_CELL_RATIO": (("lymphocyte", "carcinoma_cell"),),
    "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO": (("lymphocyte", "STROMA"),),
    "TUMOR_STROMA_RATIO": (("CARCINOMA", "STROMA"),),
    "NECROSIS_FRACTION_OF_TUMOR": (("NECROSIS",),),
    "IMMUNE_INFLAMED_SHARE": (("inflamed",), ("inflamed", "CARCINOMA")),
    "IMMUNE_EXCLUDED_SHARE": (("excluded",), ("excluded", "CARCINOMA")),
    "IMMUNE_DESERT_SHARE": (("desert",), ("desert", "CARCINOMA")),
    "LYMPHOID_AGGREGATE_COUNT": (("aggregate",),),
    "LYMPHOID_AGGREGATE_AREA": (("aggregate",),),
    "VALID_AREA": (("VALID_TISSUE",),),
    "RELATIVE_AREA_VALID_TISSUE": (("VALID_TISSUE",),),
    "ABSOLUTE_AREA": ((),),
}
_FEATURES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "tumor_stroma_fraction": (("Neoplastic", "Connective"),),
    "immune_infiltration_fraction": (("Inflammatory", "Neoplastic"), ("Inflammatory", "infiltration")),
    "min_dist_Inflammatory_to_Neoplastic": (("Inflammatory", "Neoplastic", "least"),),
    "mean_dist_Inflammatory_to_Neoplastic": (("Inflammatory", "Neoplastic", "average"),),
    "count_engaged_immune": (("Inflammatory", "engaged"),),
    "mean_spatial_entropy": (("entropy",),),
}


def about_metric(name: str) -> tuple[Subjects, ...]:
    """Return what a metric is about (alternatives): the classes, tissues and zones of its axes."""
    if name in _METRICS:
        return tuple(map(frozenset, _METRICS[name]))
    try:
        metric = find_metric(name)
    except UsageError:
        return (frozenset(),)
    values = (AXES[axis][at] for axis, at in zip(metric.template.axes, metric.index, strict=True))
    about = [part for value in values for part in _parts(value)]
    return (frozenset([*about, "CARCINOMA"] if name.startswith("DISTANCE_TO_CARCINOMA") else about),)


def _parts(value: str) -> Iterable[str]:
    if value in PAIR_OF and value not in CELL_NAMES:
        return [name.lower() for name in PAIR_OF[value]]
    if value == "OTHER":  # both a class and a tissue; tables, not texts, tell them apart
        return ["other"]
    if value in CELL_NAMES:
        return [value.lower()]
    return [value] if value in (*AXES["tissue"], *ALL_ZONES, *AXES["qc"]) else []


def about_feature(name: str) -> tuple[Subjects, ...]:
    """Return what a feature of a patch is about (alternatives)."""
    if name in _FEATURES:
        return tuple(map(frozenset, _FEATURES[name]))
    found = re.match(r"(?:count|ratio|mean_area)_(\w+?)(?:_um2|_px2)?$", name)
    known = found is not None and found[1] in PANNUKE_CLASSES
    return (frozenset([found[1]]) if found is not None and known else frozenset(),)
