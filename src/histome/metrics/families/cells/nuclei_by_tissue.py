"""What the nuclei of each class look like in each nucleated tissue."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES
from histome.metrics.axes import NUCLEUS_FEATURES, TISSUE_FEATURES
from histome.metrics.declaration import BY_STAIN, UNBOUNDED, Family, Template, in_loops
from histome.metrics.families.cells.nuclei_per_class import FEWEST_NUCLEI
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, moments_of

_FEW = f"fewer than {FEWEST_NUCLEI} {{cell}} in {{nucleated}} have the feature measured"

TEMPLATES = in_loops(
    ("cell", "nucleated", "tissue_feature"),
    Template(
        "NUCLEUS_MEAN_{tissue_feature}_{cell}_IN_{nucleated}",
        "{tissue_feature_unit}",
        "mean of {tissue_feature} over {cell} in {nucleated}",
        (_FEW,),
        UNBOUNDED,
        FEWEST_NUCLEI,
        counts="{cell} in {nucleated} with the feature measured",
    ),
    Template(
        "NUCLEUS_SD_{tissue_feature}_{cell}_IN_{nucleated}",
        "{tissue_feature_unit}",
        "standard deviation of {tissue_feature} over {cell} in {nucleated}",
        (_FEW,),
        smallest_sample=FEWEST_NUCLEI,
        counts="{cell} in {nucleated} with the feature measured",
    ),
)


def nuclei_by_tissue(specimen: Specimen) -> Mapping[str, Result]:
    """Describe some features over each class in each nucleated tissue: mean and SD (n - 1), (4, 9, 5)."""
    shape = (len(TISSUE_FEATURES), N_CELL_CLASSES, len(NUCLEATED_TISSUES))
    n, mean, sd = np.zeros(shape, np.int64), np.full(shape, np.nan), np.full(shape, np.nan)
    group = np.where(specimen.nucleated < 0, -1, specimen.cells.label * shape[2] + specimen.nucleated)
    for f, name in enumerate(TISSUE_FEATURES):
        feature = specimen.cells.features.get(NUCLEUS_FEATURES[name][0])
        if feature is None:
            continue
        known = np.isfinite(feature) & (group >= 0)
        n[f], mean[f], sd[f] = (
            a.reshape(shape[1:]) for a in _moments(feature[known], group[known], n[f].size)
        )
    few = (n < FEWEST_NUCLEI, _FEW)
    return {
        "NUCLEUS_MEAN_{tissue_feature}_{cell}_IN_{nucleated}": result(mean, n, few),
        "NUCLEUS_SD_{tissue_feature}_{cell}_IN_{nucleated}": result(sd, n, few),
    }


def _nuclei_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    features = (specimen.cells.features.get(NUCLEUS_FEATURES[name][0]) for name in TISSUE_FEATURES)
    shape = (N_CELL_CLASSES, len(NUCLEATED_TISSUES))
    group = np.where(specimen.nucleated < 0, -1, specimen.cells.label * shape[1] + specimen.nucleated)
    found = moments_of(blocks, features, group, shape)
    return {
        "NUCLEUS_MEAN_{tissue_feature}_{cell}_IN_{nucleated}": found.mean(),
        "NUCLEUS_SD_{tissue_feature}_{cell}_IN_{nucleated}": found.sd(),
    }


FAMILY = Family(
    "nuclei-by-tissue",
    "Nuclear morphology per class and tissue",
    "Mean and SD (n - 1) of nuclear features per class in each nucleated tissue.",
    TEMPLATES,
    nuclei_by_tissue,
    scanners=f"shapes: yes, at one resolution; optical densities: {BY_STAIN}",
    alias="N2",
    block_sums=_nuclei_per_block,
)


def _moments(
    feature: NDArray[np.float64], group: NDArray[np.int64], n_groups: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return n, mean and SD (n - 1) per group."""
    n = np.bincount(group, minlength=n_groups)
    mean = quotient(np.bincount(group, weights=feature, minlength=n_groups), n)
    off = feature - mean[group]
    sd = np.sqrt(quotient(np.bincount(group, weights=off**2, minlength=n_groups), np.maximum(n - 1, 0)))
    return n, mean, sd
