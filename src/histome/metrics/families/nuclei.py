"""What the nuclei look like: distributions of their features per class and tissue (families N1 and N2)."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES
from histome.metrics.axes import AXES, NUCLEUS_FEATURES, TISSUE_FEATURES
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene

SMALLEST_SAMPLE = 20
_STATISTICS = ("MEAN", "SD", "CV", "P10", "MEDIAN", "P90", "SKEW")


def nuclei_per_class(scene: Scene) -> Mapping[str, Values]:
    """Describe each feature over each class and over all: mean, SD (n - 1), CV, percentiles, skewness.

    Skewness is m3 / m2^1.5 (Joanes and Gill 1998, doi:10.1111/1467-9884.00122, g1); n is the number of nuclei
    with the feature, and below 20 there is no value.
    """
    shape = (len(NUCLEUS_FEATURES), len(AXES["group"]))
    numbers = np.full((len(_STATISTICS), *shape), np.nan)
    n = np.zeros(shape, np.int64)
    for f, (column, _, _) in enumerate(NUCLEUS_FEATURES.values()):
        for group, sample in _samples(scene, column):
            n[f, group] = len(sample)
            if len(sample) >= SMALLEST_SAMPLE:
                numbers[:, f, group] = _describe(sample)
    few = (n < SMALLEST_SAMPLE, "fewer than 20 {group} have the feature measured")
    flat = (np.isnan(numbers), "they are all equal or their mean is 0")
    return {
        f"NUCLEUS_{statistic}_{{feature}}_{{group}}": values(
            numbers[k], n, few, (flat[0][k] & np.isin(statistic, ("CV", "SKEW")), flat[1])
        )
        for k, statistic in enumerate(_STATISTICS)
    }


def nuclei_per_tissue(scene: Scene) -> Mapping[str, Values]:
    """Describe some features over each class in each nucleated tissue: mean and SD (n - 1), (4, 9, 5)."""
    shape = (len(TISSUE_FEATURES), N_CELL_CLASSES, len(NUCLEATED_TISSUES))
    n, mean, sd = np.zeros(shape, np.int64), np.full(shape, np.nan), np.full(shape, np.nan)
    group = np.where(scene.nucleated < 0, -1, scene.cells.label * shape[2] + scene.nucleated)
    for f, name in enumerate(TISSUE_FEATURES):
        feature = scene.cells.features.get(NUCLEUS_FEATURES[name][0])
        if feature is None:
            continue
        known = np.isfinite(feature) & (group >= 0)
        n[f], mean[f], sd[f] = (
            a.reshape(shape[1:]) for a in _moments(feature[known], group[known], n[f].size)
        )
    few = (n < SMALLEST_SAMPLE, "fewer than 20 {cell} in {nucleated} have the feature measured")
    return {
        "NUCLEUS_MEAN_{tissue_feature}_{cell}_IN_{nucleated}": values(mean, n, few),
        "NUCLEUS_SD_{tissue_feature}_{cell}_IN_{nucleated}": values(sd, n, few),
    }


def _samples(scene: Scene, column: str) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield (group, known values of the feature) for the nine classes and then all cells."""
    feature = scene.cells.features.get(column)
    if feature is None:
        return
    known = np.isfinite(feature)
    label, feature = scene.cells.label[known], feature[known]
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


def _moments(
    feature: NDArray[np.float64], group: NDArray[np.int64], n_groups: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return n, mean and SD (n - 1) per group."""
    n = np.bincount(group, minlength=n_groups)
    mean = quotient(np.bincount(group, weights=feature, minlength=n_groups), n)
    off = feature - mean[group]
    sd = np.sqrt(quotient(np.bincount(group, weights=off**2, minlength=n_groups), np.maximum(n - 1, 0)))
    return n, mean, sd
