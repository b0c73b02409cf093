"""Diversity of cell classes, on the whole slide, in tissues and in zones."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.metrics.declaration import SHARE, Family, Items, Template, in_loops
from histome.metrics.reasons import NO_CELLS, NO_TUMOR
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums

_NO_CELLS_IN = "there are no cells in the {%s}"
_FROM_COUNTS = "from the CELL_COUNT of the nine classes"


def _indices(suffix: str, where: str, no_cells: str, *nulls: str) -> tuple[Template, ...]:
    """Declare the three indices in one kind of place."""
    return (
        Template(
            f"SHANNON{suffix}",
            "1",
            f"- sum of p ln p over the shares of the nine classes{where}",
            (*nulls, no_cells),
            smallest_sample=1,
            derived=_FROM_COUNTS,
            counts=f"cells{where.removeprefix(', cells')}",
        ),
        Template(
            f"SIMPSON{suffix}",
            "1",
            f"1 - sum of p^2 over the shares of the nine classes{where}",
            (*nulls, no_cells),
            SHARE,
            smallest_sample=1,
            derived=_FROM_COUNTS,
            counts=f"cells{where.removeprefix(', cells')}",
        ),
        Template(
            f"RICHNESS{suffix}",
            "classes",
            f"number of classes with at least one cell{where}",
            nulls,
            (0.0, float(len(CELL_CLASSES))),
            derived=_FROM_COUNTS,
            counts=f"cells{where.removeprefix(', cells')}",
        ),
    )


def _in_places(axis: str, *nulls: str) -> Items:
    """Declare the three indices in the tissues or the zones."""
    where = f"{{{axis}}}"
    return in_loops(
        (axis,), *_indices(f"_IN_{where}", f", cells in the {where}", _NO_CELLS_IN % axis, *nulls)
    )


TEMPLATES = (
    *_indices("", "", NO_CELLS),
    *_in_places("nucleated"),
    *_in_places("zone", NO_TUMOR),
)


def diversity(specimen: Specimen) -> Mapping[str, Result]:
    """Measure Shannon entropy (ln), Gini-Simpson index and richness of the classes; n counts cells."""
    no_tumor = (not specimen.maps.has_tumor, NO_TUMOR)
    whole = _describe(specimen.class_counts[:, None], "", NO_CELLS)
    return {
        **{name: _scalar(each) for name, each in whole.items()},
        **_describe(specimen.tissue_counts, "_IN_{nucleated}", _NO_CELLS_IN % "nucleated"),
        **_describe(specimen.zone_counts, "_IN_{zone}", _NO_CELLS_IN % "zone", no_tumor),
    }


def _classes_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    where = {
        "": blocks.per_class(specimen),
        "_IN_{nucleated}": blocks.per_tissue(specimen),
        "_IN_{zone}": blocks.per_zone(specimen),
    }
    return {
        f"{name}{suffix}": BlockSums(index, (counts,))
        for suffix, counts in where.items()
        for name, index in (("SHANNON", _shannon), ("SIMPSON", _simpson))
    }


FAMILY = Family(
    "diversity",
    "Diversity",
    "Of the nine class shares: Shannon entropy (natural logarithm), Gini-Simpson index and number of "
    "classes.",
    TEMPLATES,
    diversity,
    source="Shannon 1948, doi:10.1002/j.1538-7305.1948.tb01338.x; Simpson 1949, doi:10.1038/163688a0",
    alias="D1",
    block_sums=_classes_per_block,
    no_interval="the number of classes seen is no function of sums over blocks of tissue",
)


def _describe(
    counts: NDArray[np.int64], suffix: str, no_cells: str, *nulls: tuple[bool, str]
) -> dict[str, Result]:
    """Return the three indices of counts (classes, places)."""
    n = counts.sum(axis=0)
    none = (n == 0, no_cells)
    return {
        f"SHANNON{suffix}": result(_shannon(counts[None])[0], n, *nulls, none),
        f"SIMPSON{suffix}": result(_simpson(counts[None])[0], n, *nulls, none),
        f"RICHNESS{suffix}": result(np.count_nonzero(counts, axis=0), n, *nulls),
    }


def _scalar(one: Result) -> Result:
    """Return a result of shape (1,) as one of shape ()."""
    return Result(one.value.reshape(()), one.n.reshape(()), one.reason.reshape(()))


def _shannon(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return - sum of p ln p of counts (any, classes, ...), NaN where there are none."""
    share = quotient(counts, counts.sum(axis=1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts == 0, share * 0, share * np.log(share))
    return np.abs(terms.sum(axis=1))


def _simpson(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 - sum of p^2 of counts (any, classes, ...), NaN where there are none."""
    return 1 - (quotient(counts, counts.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
