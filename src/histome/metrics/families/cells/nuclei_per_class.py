"""What the nuclei of each class look like: distributions of their features."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import AXES, NUCLEUS_FEATURES
from histome.metrics.declaration import BY_STAIN, UNBOUNDED, Family, Template, in_loops
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import (
    Blocks,
    BlockSums,
    Moments,
    moments_of,
    standard_deviation,
    with_all,
)

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


def _nuclei_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    features = (specimen.cells.features.get(column) for column, _, _ in NUCLEUS_FEATURES.values())
    of_class = moments_of(blocks, features, specimen.cells.label, (N_CELL_CLASSES,), powers=3)
    n, sums = with_all(of_class.n), tuple(map(with_all, of_class.sums))
    of_group = Moments(n, sums, of_class.center)
    mean = of_group.mean().value
    return {
        "NUCLEUS_MEAN_{feature}_{group}": of_group.mean(),
        "NUCLEUS_SD_{feature}_{group}": of_group.sd(),
        "NUCLEUS_CV_{feature}_{group}": BlockSums(
            lambda n, first, second: standard_deviation(n, first, second) / mean(n, first), (n, *sums[:2])
        ),
        "NUCLEUS_SKEW_{feature}_{group}": BlockSums(_skewness, (n, *sums)),
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
    block_sums=_nuclei_per_block,
    no_interval="quantiles are no function of sums over blocks of tissue",
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


def _skewness(
    n: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    third: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return m3 / m2^1.5 from n and the sums of the first three powers."""
    mean, m2, m3 = (quotient(each, n) for each in (first, second, third))
    return quotient(m3 - 3 * mean * m2 + 2 * mean**3, np.maximum(m2 - mean**2, 0) ** 1.5)
