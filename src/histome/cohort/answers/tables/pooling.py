"""One number of a patient from those of their slides: sum over sum where the denominator is known.

The mean of v weighted by its denominator d is the sum of the numerators over the sum of the denominators. A
test holds every rule that is told as exact against the slides measured together as one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from histome.classes import NUCLEATED_TISSUES
from histome.cohort.answers.tables.again import OF_ONE_SLIDE, measured_together
from histome.cohort.answers.tables.measured import CohortNumbers, Floats, with_patients
from histome.errors import UsageError
from histome.metrics.axes import AXES
from histome.metrics.catalogue import find_metric
from histome.metrics.declaration import Metric
from histome.store.profile import Profile

SUM = "sum over the slides"
RATIO = "sum / sum over the slides"
LARGEST = "largest of the slides"
WEIGHTED = "mean of the slides weighted by n (approximate)"
WEIGHTED_BY = "mean of the slides weighted by {} (approximate)"
AGAIN = "measured again, the slides as one"
ONE = "of the only slide"

# Units of what adds up.
_ADDITIVE = ("cells", "regions", "aggregates", "glands", "pieces")
_ADDITIVE_NAMES = ("ABSOLUTE_AREA", "AREA_AROUND_", "VALID_AREA", "SCAN_AREA", "LYMPHOID_AGGREGATE_AREA")
_LARGEST = ("LARGEST_CONVEX_AREA", "LARGEST_FILLED_AREA", "LYMPHOID_AGGREGATE_LARGEST_AREA")
# Pattern -> metrics whose sum is its denominator, where n is not.
_OVER: Mapping[str, tuple[str, ...]] = {
    "RELATIVE_AREA_{qc}": tuple(f"ABSOLUTE_AREA_{name}" for name in AXES["qc"] if name != "NO_TISSUE"),
    "RELATIVE_AREA_{tissue}": ("ABSOLUTE_AREA",),
    "RELATIVE_AREA_{zone}": ("ABSOLUTE_AREA",),
    "RELATIVE_AREA_{tissue}_IN_{zone}": ("ABSOLUTE_AREA_{zone}",),
    "CELL_DENSITY_{cell}": ("ABSOLUTE_AREA",),
    "CELL_DENSITY_{cell}_{nucleated}": ("ABSOLUTE_AREA_{nucleated}",),
    "CELL_DENSITY_{cell}_IN_{zone}": ("ABSOLUTE_AREA_{zone}",),
    "DENSITY_OF_{neighbor}S_AROUND_{center}_IN_{nucleated}_{radius}": (
        "AREA_AROUND_{center}_IN_{nucleated}_{radius}",
    ),
    "RATIO_OF_{neighbor}S_AROUND_{center}_IN_{nucleated}_{radius}": (
        "TOTAL_NUMBER_OF_NEIGHBORS_AROUND_{center}_IN_{nucleated}_{radius}",
    ),
    "DENSITY_OF_{neighbor}S_AROUND_{center}_IN_WHOLE_TUMOR_REGION_{radius}": (
        "AREA_AROUND_{center}_IN_WHOLE_TUMOR_REGION_{radius}",
    ),
    "RATIO_OF_{neighbor}S_AROUND_{center}_IN_WHOLE_TUMOR_REGION_{radius}": (
        "TOTAL_NUMBER_OF_NEIGHBORS_AROUND_{center}_IN_WHOLE_TUMOR_REGION_{radius}",
    ),
    "LYMPHOID_AGGREGATE_DENSITY": ("ABSOLUTE_AREA",),
    "TUMOR_STROMA_RATIO": ("ABSOLUTE_AREA_STROMA",),
    "STROMAL_TIL_PERCENT": ("ABSOLUTE_AREA_STROMA",),
    "INTRATUMORAL_TIL": ("CELL_COUNT_CARCINOMA_CELL_CARCINOMA",),
    "NECROSIS_FRACTION_OF_TUMOR": ("ABSOLUTE_AREA_NECROSIS", "ABSOLUTE_AREA_CARCINOMA"),
    "LYMPHOCYTE_TO_CARCINOMA_CELL_RATIO": ("CELL_COUNT_CARCINOMA_CELL",),
    "MACROPHAGE_TO_LYMPHOCYTE_RATIO": ("CELL_COUNT_LYMPHOCYTE",),
    "GRANULOCYTE_TO_LYMPHOCYTE_RATIO": ("CELL_COUNT_LYMPHOCYTE",),
    "PLASMA_CELL_TO_LYMPHOCYTE_RATIO": ("CELL_COUNT_LYMPHOCYTE",),
    "FIBROBLAST_TO_CARCINOMA_CELL_RATIO": ("CELL_COUNT_CARCINOMA_CELL",),
    "VESSEL_DENSITY": ("ABSOLUTE_AREA",),
    "INVASIVE_FRONT_DENSITY": ("ABSOLUTE_AREA_CARCINOMA",),
    "CELLULARITY": tuple(f"ABSOLUTE_AREA_{name}" for name in NUCLEATED_TISSUES),
}
# n counts the numerator and the denominator was not kept: by an area near to it.
_ABOUT: Mapping[str, str] = {
    "CELL_DENSITY_{cell}_AT_BORDER_{side}_{band}": "ABSOLUTE_AREA_CARCINOMA",
    "GLAND_DENSITY_{lining}": "ABSOLUTE_AREA",
    **dict.fromkeys(
        ("LYMPHOCYTE", "MACROPHAGE", "GRANULOCYTE", "PLASMA_CELL", "FIBROBLAST"), "ABSOLUTE_AREA_CARCINOMA"
    ),
    "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO": "ABSOLUTE_AREA",
}
# n is the denominator of these shares and means.
_OVER_N = (
    *("NUCLEUS_AVG_", "NUCLEUS_MEAN_", "CELL_PERCENTAGE_", "AVG_", "CROSS_G_", "CONTACT_FRACTION_"),
    *("TUMOR_PURITY", "IMMUNE_CELL_FRACTION", "DISTANCE_TO_CARCINOMA_MEAN_", "CONFIDENCE_MEAN_"),
    *("DISTANCE_TO_CARCINOMA_SHARE_WITHIN_", "NN_DISTANCE_MEAN_", "ABSTAINED_FRACTION_"),
    *("CELL_FRACTION_NOT_COUNTED", "LYMPHOID_AGGREGATE_MEAN_AREA", "UNFAMILIAR_FRACTION_ALL"),
)


class PoolingRule(NamedTuple):
    """How a metric is pooled: in words, and the metrics whose sum weighs it (n where none)."""

    how: str
    over: tuple[str, ...] = ()


def rule_of(metric: Metric) -> PoolingRule:
    """Return how the numbers of several slides become one."""
    pattern = metric.template.pattern
    if pattern in _OVER:
        values = {axis: AXES[axis][k] for axis, k in zip(metric.template.axes, metric.index, strict=True)}
        return PoolingRule(RATIO, tuple(each.format_map(values) for each in _OVER[pattern]))
    if pattern.startswith(_LARGEST):
        return PoolingRule(LARGEST)
    if metric.unit in _ADDITIVE or pattern.startswith(_ADDITIVE_NAMES):
        return PoolingRule(SUM)
    if about := _ABOUT.get(pattern.removesuffix("_CORE_TO_MARGIN_RATIO")):
        return PoolingRule(WEIGHTED_BY.format(about), (about,))
    return PoolingRule(RATIO if pattern.startswith(_OVER_N) else WEIGHTED)


@cache
def _rule_named(name: str) -> PoolingRule:
    try:
        return rule_of(find_metric(name))
    except UsageError:  # of a plugin or an older version
        return PoolingRule(WEIGHTED)


def pool_patients(
    slides: CohortNumbers,
    *,
    profiles: Callable[[str], Profile] | None = None,
    workers: int | None = None,
    progress: Callable[[str], object] = lambda _: None,
) -> CohortNumbers:
    """Return the numbers of patients: those of their slides pooled, in the order of the slides.

    Intervals are carried: slides are independent, so squares of half widths add. A patient's number has none
    where a slide that counts has none. `how` says for each metric how it was pooled.

    Parameters
    ----------
    profiles : callable(slide) or None
        Gives a slide's profile; then the slides of a patient who has several are measured again as one, and
        only what their pixels say is pooled.
    """
    places: dict[str, list[int]] = {}
    for k, patient in enumerate(with_patients(slides)):
        places.setdefault(patient, []).append(k)
    own, rows = list(places), [np.array(at) for at in places.values()]
    several = any(len(at) > 1 for at in rows)
    rules = [_rule_named(name) for name in slides.names]
    weights = _weights(slides, rules) if several else np.empty(0)
    parts: dict[str, Any] = {
        name: np.stack([getattr(slides, name)[at[0]] for at in rows])
        for name in ("value", "low", "high", "n")
    }
    how = [rule.how if several else ONE for rule in rules]
    for k, at in enumerate(rows):
        if len(at) > 1:
            _put(parts, k, _pooled(slides, at, rules, weights))
    pooled = CohortNumbers(
        "patient", tuple(own), _agreed(slides, rows, own), slides.names, slides.units, **parts
    )
    if profiles is not None and several:
        how = _measure_again(pooled, slides, rows, (profiles, workers, progress))
    return replace(pooled, how=tuple(how), harmonized=slides.harmonized)


def _put(parts: Mapping[str, np.ndarray], row: int, found: Mapping[str, np.ndarray]) -> None:
    for name, values in found.items():
        parts[name][row] = values


def _weights(slides: CohortNumbers, rules: Sequence[PoolingRule]) -> Floats:
    """Return what weighs each value, (slides, metrics): its denominator, or n."""
    place = {name: k for k, name in enumerate(slides.names)}
    weights = slides.n.astype(np.float64)
    for k, rule in enumerate(rules):
        if rule.over and all(name in place for name in rule.over):
            weights[:, k] = np.nansum(slides.value[:, [place[name] for name in rule.over]], axis=1)
    return weights


def _pooled(
    slides: CohortNumbers, at: np.ndarray, rules: Sequence[PoolingRule], weights: Floats
) -> dict[str, np.ndarray]:
    """Return value, low, high and n of the slides of one patient."""
    value, low, high = (getattr(slides, name)[at] for name in ("value", "low", "high"))
    kind = np.array([rule.how for rule in rules])
    known = np.isfinite(value)
    weight = np.where(known, weights[at], 0.0)
    whole = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(kind == SUM, known.astype(float), weight / whole)
    # One known value without a weight is the value; several are none.
    alone = (known.sum(axis=0) == 1) & ~(whole > 0)
    share = np.where(alone, known.astype(float), share)
    found = np.nansum(share * np.where(known, value, 0.0), axis=0)
    found[~np.isfinite(share).all(axis=0) | ~known.any(axis=0)] = np.nan
    largest = kind == LARGEST
    if known[:, largest].any():
        found[largest] = np.where(known, value, -np.inf)[:, largest].max(axis=0)
        found[~np.isfinite(found)] = np.nan
    ends = _ends(found, value, (low, high), np.where(known, share, 0.0))
    ends = [np.where(largest, np.nan, end) for end in ends]
    return {"value": found, "low": ends[0], "high": ends[1], "n": slides.n[at].sum(axis=0)}


def _ends(pooled: Floats, value: Floats, ends: tuple[Floats, Floats], share: Floats) -> list[Floats]:
    """Return low and high: the half widths of the slides, times their share, as squares add."""
    counts = share > 0
    carried = []
    for end, sign in zip(ends, (-1.0, 1.0), strict=True):
        half = np.where(counts, share * (end - value), 0.0)
        carried.append(pooled + sign * np.sqrt((half**2).sum(axis=0)))
    return [np.where(counts.any(axis=0), end, np.nan) for end in carried]


def _agreed(
    slides: CohortNumbers, rows: Sequence[np.ndarray], own: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the manifest's columns of patients: what all their slides say, "" where they differ."""
    about: dict[str, tuple[str, ...]] = {}
    for name, column in slides.about.items():
        if name in ("path", "mpp"):
            continue
        said = [{column[k] for k in at.tolist()} for at in rows]
        about[name] = tuple(each.pop() if len(each) == 1 else "" for each in said)
    about["patient"] = tuple(own)
    about["slides"] = tuple(str(len(at)) for at in rows)
    return about


def _measure_again(
    pooled: CohortNumbers,
    slides: CohortNumbers,
    rows: Sequence[np.ndarray],
    means: tuple[Callable[[str], Profile], int | None, Callable[[str], object]],
) -> list[str]:
    """Put in what was measured of the slides as one; return how each metric came about."""
    profiles, workers, progress = means
    kept = np.array([_family(name) in OF_ONE_SLIDE for name in pooled.names])
    for k, at in enumerate(rows):
        if len(at) > 1:
            progress(f"measuring the slides of {pooled.ids[k]} as one")
            table = measured_together([profiles(slides.ids[i]) for i in at.tolist()], workers=workers)
            place = {name: i for i, name in enumerate(table["name"].to_pylist())}
            order = [place[name] for name in pooled.names]
            for name in ("value", "low", "high", "n"):
                again = table[name].to_numpy()[order]
                getattr(pooled, name)[k] = np.where(kept, getattr(pooled, name)[k], again)
    return [_rule_named(n).how if own else AGAIN for n, own in zip(pooled.names, kept.tolist(), strict=True)]


def _family(name: str) -> str:
    try:
        return find_metric(name).family
    except UsageError:
        return ""
