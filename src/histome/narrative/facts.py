"""What a text may say of a slide or a patch: every value with its unit, the cells and tissues it is about."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from histome.classes import CELL_CLASSES
from histome.errors import UsageError
from histome.metrics.axes import ALL_ZONES, AXES, CELLS, PAIR_OF
from histome.metrics.catalogue import find_metric
from histome.phenotype.axes import PANNUKE_CLASSES

Subjects = frozenset[str]
# Dimension and factor to its base of the units that facts are stored in.
DIMENSIONS = {
    "%": ("share", 0.01),
    "1": ("share", 1.0),
    "": ("share", 1.0),
    **dict.fromkeys(("cells", "regions", "aggregates", "pieces", "classes"), ("count", 1.0)),
    "um2": ("area", 1.0),
    "mm2": ("area", 1e6),
    "px2": ("pixel area", 1.0),
    "um": ("length", 1.0),
    "mm": ("length", 1e3),
    "px": ("pixel length", 1.0),
    "cells/um2": ("density", 1e6),
    "cells/mm2": ("density", 1.0),
    "1/mm2": ("density", 1.0),
    "mm/mm2": ("border density", 1.0),
    "bits": ("bits", 1.0),
    "OD": ("OD", 1.0),
    "um/px": ("resolution", 1.0),
}
# What metrics without a class or tissue in their axes are about; alternatives.
_ABOUT: Mapping[str, tuple[tuple[str, ...], ...]] = {
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
_PATCH_ABOUT: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "tumor_stroma_fraction": (("Neoplastic", "Connective"),),
    "immune_infiltration_fraction": (("Inflammatory", "Neoplastic"), ("Inflammatory", "infiltration")),
    "min_dist_Inflammatory_to_Neoplastic": (("Inflammatory", "Neoplastic", "least"),),
    "mean_dist_Inflammatory_to_Neoplastic": (("Inflammatory", "Neoplastic", "average"),),
    "count_engaged_immune": (("Inflammatory", "engaged"),),
    "mean_spatial_entropy": (("entropy",),),
}


@dataclass(frozen=True)
class Fact:
    """One number: `path` as sources name it, `value` in `unit` as stored, what it is `about` (alternatives).

    `place` are the tissues and zones among these.
    """

    path: str
    value: float
    unit: str
    about: tuple[Subjects, ...]

    @property
    def dimension(self) -> str:
        """What the number measures: share, count, area, length, density ..."""
        return DIMENSIONS.get(self.unit, (self.unit, 1.0))[0]

    @property
    def base(self) -> float:
        """The value in the base unit of its dimension."""
        return self.value * DIMENSIONS.get(self.unit, (self.unit, 1.0))[1]


@dataclass(frozen=True)
class Facts:
    """All numbers, the number of cells of each class (None where unknown), labels and tokens said.

    `kind` is "slide" or "patch": it decides what the classes are called. `labels`: axis -> label.
    """

    kind: str
    numbers: tuple[Fact, ...]
    counts: Mapping[str, float]
    labels: Mapping[str, str]
    tokens: frozenset[str]
    findings: Mapping[str, float] = field(default_factory=dict)

    @property
    def said(self) -> frozenset[str]:
        """Every label and token, in lower case."""
        return frozenset(text.lower() for text in (*self.labels.values(), *self.tokens))


def read_facts(facts: Mapping[str, Any]) -> Facts:
    """Return what a text may say, from the JSON of a slide or of a patch.

    Raises UsageError, one line, where `raw_data`, `interpretation` or `generated_tokens` is missing or is
    something else, and for a patch that lacks a feature of its own kind.
    """
    raw, labels, tokens = check_facts(facts)
    kind = "slide" if facts.get("subject") == "slide" else "patch"
    units = units_of(facts)
    samples = facts.get("samples", {}) if kind == "slide" else {}
    about = _about_metric if kind == "slide" else _about_feature
    numbers = [*_numbers(raw, units, kind, about), *_sample_sizes(samples, about)]
    return Facts(
        kind,
        tuple(numbers),
        _counts(raw, kind),
        {axis: label for axis, label in labels.items() if label},
        frozenset(tokens),
        _findings(raw) if kind == "slide" else {},
    )


def check_facts(facts: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """Return raw data, labels and tokens, or refuse what is no such JSON (UsageError)."""
    wanted = {"raw_data": Mapping, "interpretation": Mapping, "generated_tokens": list}
    for name, kind in wanted.items():
        if not isinstance(facts, Mapping) or not isinstance(facts.get(name), kind):
            raise UsageError(
                f"the facts have no {name}: give the JSON that `histome tme patch` prints "
                "(raw_data, interpretation, generated_tokens)"
            )
    return facts["raw_data"], facts["interpretation"], facts["generated_tokens"]


def units_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the unit of every value of the raw data, by name.

    Those that the facts state hold; else lengths are px and areas px2, as the paper has them.
    """
    stated = facts.get("units", {})
    return {name: str(stated.get(name, _usual_unit(name))) for name in facts["raw_data"]}


def _usual_unit(name: str) -> str:
    for start, unit in (
        ("count_", "cells"),
        ("total_", "cells"),
        ("mean_area_", "px2"),
        ("mean_spatial", "bits"),
    ):
        if name.startswith(start):
            return unit
    return "px" if "_dist_" in name else "1"


def _numbers(raw: Mapping[str, Any], units: Mapping[str, str], kind: str, about: Any) -> Iterator[Fact]:
    prefix = "" if kind == "slide" else "raw_data."
    for name, value in raw.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield Fact(prefix + name, float(value), units[name], about(name))


def _sample_sizes(samples: Mapping[str, int], about: Any) -> Iterator[Fact]:
    for name, n in samples.items():
        yield Fact(f"{name}.n", float(n), "cells", (*about(name), frozenset()))


def _about_metric(name: str) -> tuple[Subjects, ...]:
    """Return what a metric is about: the classes, tissues and zones of its axes."""
    if name in _ABOUT:
        return tuple(map(frozenset, _ABOUT[name]))
    try:
        metric = find_metric(name)
    except UsageError:
        return (frozenset(),)
    values = (AXES[axis][at] for axis, at in zip(metric.template.axes, metric.index, strict=True))
    about = [part for value in values for part in _parts(value)]
    return (frozenset([*about, "CARCINOMA"] if name.startswith("DISTANCE_TO_CARCINOMA") else about),)


def _parts(value: str) -> Iterable[str]:
    if value in PAIR_OF and value not in CELLS:
        return [name.lower() for name in PAIR_OF[value]]
    if value == "OTHER":  # both a class and a tissue; tables, not texts, tell them apart
        return ["other"]
    if value in CELLS:
        return [value.lower()]
    return [value] if value in (*AXES["tissue"], *ALL_ZONES, *AXES["qc"]) else []


def _about_feature(name: str) -> tuple[Subjects, ...]:
    """Return what a feature of a patch is about."""
    if name in _PATCH_ABOUT:
        return tuple(map(frozenset, _PATCH_ABOUT[name]))
    found = re.match(r"(?:count|ratio|mean_area)_(\w+?)(?:_um2|_px2)?$", name)
    known = found is not None and found[1] in PANNUKE_CLASSES
    return (frozenset([found[1]]) if found is not None and known else frozenset(),)


def _counts(raw: Mapping[str, Any], kind: str) -> dict[str, float]:
    if kind == "patch":
        names = {f"count_{name}": name for name in PANNUKE_CLASSES}
    else:
        names = {f"CELL_COUNT_{name.upper()}": name for name in CELL_CLASSES}
    return {name: float(raw[key]) for key, name in names.items() if isinstance(raw.get(key), int | float)}


# Finding -> the metric that says whether it is there.
_FINDINGS = {
    "necrosis": "ABSOLUTE_AREA_NECROSIS",
    "blood": "ABSOLUTE_AREA_BLOOD",
    "vessels": "ABSOLUTE_AREA_VESSEL",
    "lymphoid aggregates": "LYMPHOID_AGGREGATE_COUNT",
}


def _findings(raw: Mapping[str, Any]) -> dict[str, float]:
    found = {name: raw.get(metric) for name, metric in _FINDINGS.items()}
    return {name: float(value) for name, value in found.items() if value is not None}
