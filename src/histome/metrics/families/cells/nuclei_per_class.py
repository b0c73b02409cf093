"""What the nuclei of each class look like: distributions of their features."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import AXES, NUCLEUS_FEATURES
from histome.metrics.declaration import BY_STAIN, UNBOUNDED, Family, Template, in_loops
from histome.metrics.results import Result, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen

# Fewer nuclei say little about a distribution.
FEWEST_NUCLEI = 20
_STATISTICS = ("MEAN", "SD", "CV", "P10", "MEDIAN", "P90", "SKEW")
_FEW = f"fewer than {FEWEST_NUCLEI} {{group}} have the feature measured"
_FLAT = "they are all equal or their mean is 0"


def _feature(stat: str, unit: str, words: str, *nulls: str, derived: str = "") -> Template:
    """Declare one statistic of the nuclear features per class."""
    return Template(
        f"NUCLEUS_{stat}_{{feature}}_{{group}}",
        unit,
        f"{words} of {{feature}} over {{group}}",
        (_FEW, *nulls),
        # Optical densities are differences to the background: they can be slightly negative.
        (0.0, None) if stat == "SD" else UNBOUNDED,
        FEWEST_NUCLEI,
        derived,
        counts="{group} with the feature measured",
    )


TEMPLATES = in_loops(
    ("group", "feature"),
    _feature("MEAN", "{feature_unit}", "mean"),
    _feature("SD", "{feature_unit}", "standard deviation"),
    _feature(
        "CV",
        "1",
        "standard deviation / mean",
        _FLAT,
        derived="NUCLEUS_SD_(feature)_(class) / NUCLEUS_MEAN_(feature)_(class)",
    ),
    _feature("P10", "{feature_unit}", "10th percentile"),
    _feature("MEDIAN", "{feature_unit}", "median"),
    _feature("P90", "{feature_unit}", "90th percentile"),
    _feature("SKEW", "1", "skewness", _FLAT),
)


def nuclei_per_class(specimen: Specimen) -> Mapping[str, Result]:
    """Describe each feature over each class and over all: mean, SD (n - 1), CV, percentiles, skewness.

    Skewness is m3 / m2^1.5 (Joanes and Gill 1998, doi:10.1111/1467-9884.00122, g1); n is the number of nuclei
    with the feature, and below 20 there is no value.
    """
    shape = (len(NUCLEUS_FEATURES), len(AXES["group"]))
    numbers = np.full((len(_STATISTICS), *shape), np.nan)
    n = np.zeros(shape, np.int64)
    for f, (column, _, _) in enumerate(NUCLEUS_FEATURES.values()):
        for group, sample in _samples(specimen, column):
            n[f, group] = len(sample)
            if len(sample) >= FEWEST_NUCLEI:
                numbers[:, f, group] = _describe(sample)
    few = (n < FEWEST_NUCLEI, _FEW)
    flat = (np.isnan(numbers), _FLAT)
    return {
        f"NUCLEUS_{statistic}_{{feature}}_{{group}}": result(
            numbers[k], n, few, (flat[0][k] & np.isin(statistic, ("CV", "SKEW")), flat[1])
        )
        for k, statistic in enumerate(_STATISTICS)
    }


FAMILY = Family(
    "nuclei-per-class",
    "Nuclear morphology per class",
    "Distribution of each nuclear feature over the cells of a class, or over all. SD with n - 1; percentiles "
    "by linear interpolation; skewness = third central moment / SD^3 (both with n).",
    TEMPLATES,
    nuclei_per_class,
    scanners=f"shapes: yes, at one resolution; optical densities: {BY_STAIN}",
    alias="N1",
)


def _samples(specimen: Specimen, column: str) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield (group, known values of the feature) for the nine classes and then all cells."""
    feature = specimen.cells.features.get(column)
    if feature is None:
        return
    known = np.isfinite(feature)
    label, feature = specimen.cells.label[known], feature[known]
    for k in range(N_CELL_CLASSES):
        yield k, feature[label == k]
    yield N_CELL_CLASSES, feature


def _describe(sample: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the seven statistics; NaN for a CV at mean 0 and a skewness without spread."""
    mean = sample.mean()
    off = sample - mean
    m2, m3 = np.mean(off**2), np.mean(off**3)
    sd = np.sqrt(m2 * len(sample) / (len(sample) - 1))
    spread = m2 > (1e-12 * max(abs(mean), 1e-300)) ** 2  # not the rounding of equal values
    low, middle, high = np.percentile(sample, (10, 50, 90))
    cv = sd / mean if mean != 0 else np.nan
    return mean, sd, cv, low, middle, high, m3 / m2**1.5 if spread else np.nan
