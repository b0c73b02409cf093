"""Diversity of cell classes, on the whole slide, in tissues and in zones (family D1)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES
from histome.metrics.families.zones import NO_TUMOR, zone_counts
from histome.metrics.results import Values, quotient, values
from histome.metrics.specimen import Scene


def diversity(scene: Scene) -> Mapping[str, Values]:
    """Measure Shannon entropy (ln), Gini-Simpson index and richness of the classes; n counts cells."""
    counts = np.column_stack([scene.tissue_counts, scene.once(zone_counts)])
    in_zone = np.arange(counts.shape[1]) >= len(NUCLEATED_TISSUES)
    no_tumor = (in_zone & (not scene.ground.has_tumor), NO_TUMOR)
    return {
        **_describe(scene.class_counts[:, None], ""),
        **_describe(counts, "_IN_{place}", no_tumor),
    }


def _describe(
    counts: NDArray[np.int64], suffix: str, *nulls: tuple[NDArray[np.bool_], str]
) -> dict[str, Values]:
    """Return the three indices of counts (classes, places)."""
    n = counts.sum(axis=0)
    share = quotient(counts, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        shannon = -np.where(counts > 0, share * np.log(share), 0.0).sum(axis=0)
    where = "in the {place}" if suffix else "at all"
    none = (n == 0, f"there are no cells {where}")
    simpson = 1 - (share**2).sum(axis=0)
    found = {
        f"SHANNON{suffix}": values(np.abs(shannon), n, *nulls, none),
        f"SIMPSON{suffix}": values(simpson, n, *nulls, none),
        f"RICHNESS{suffix}": values(np.count_nonzero(counts, axis=0), n, *nulls),
    }
    return found if suffix else {name: _scalar(value) for name, value in found.items()}


def _scalar(value: Values) -> Values:
    return Values(value.value.reshape(()), value.n.reshape(()), value.reason.reshape(()))
