"""Pair correlation, L and enrichment by distance, up to 500 um, against what the tissues explain."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import FAR_RADII_UM, PAIR_CODES, READ_PAIRS
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.randomness.pair_tables import pair_tables
from histome.metrics.randomness.relabeling import expected_pairs
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums
from histome.metrics.uncertainty.distance_sums import block_pairs

# The SD of 25 independent pairs is a fifth of them.
_FEWEST_PAIRS = 25
_FEWEST_CELLS = 20
_FEW_CELLS = f"there are fewer than {_FEWEST_CELLS} cells of one of the classes in nucleated tissue"
_FEW_PAIRS = f"fewer than {_FEWEST_PAIRS} such pairs are expected"
_UNSEEN = "no such pair is seen"
_G, _LOG2, _L = range(3)
_PLACES = tuple(PAIR_CODES[pair] for pair in READ_PAIRS)

# Of one class each pair is seen in both orders.
_ORDERS = np.array([1 + (a == b) for a, b in _PLACES])
_CORRELATION = "PAIR_CORRELATION_IN_TISSUE_{read_pair}_{ring}"
_FOLD = "RING_ENRICHMENT_IN_TISSUE_LOG2_{read_pair}_{ring}"
_WITHIN = "L_IN_TISSUE_{read_pair}_{far_radius}"

TEMPLATES = (
    *in_loops(
        ("read_pair", "ring"),
        Template(
            _CORRELATION,
            "1",
            "pairs of {read_pair} at {ring} um / those of classes scattered evenly over each tissue",
            (_FEW_CELLS, _FEW_PAIRS),
            smallest_sample=_FEWEST_PAIRS,
            counts="pairs expected of classes scattered evenly, rounded down",
            along="ring",
        ),
        Template(
            _FOLD,
            "1",
            "log2 of the pairs of {read_pair} at {ring} um / their mean under relabeling within each tissue",
            (_FEW_CELLS, _FEW_PAIRS, _UNSEEN),
            UNBOUNDED,
            smallest_sample=_FEWEST_PAIRS,
            counts="pairs expected under relabeling, rounded down",
            along="ring",
        ),
    ),
    *in_loops(
        ("read_pair", "far_radius"),
        Template(
            _WITHIN,
            "um",
            "{far_radius} um x (sqrt(pairs of {read_pair} within {far_radius} um / those of classes "
            "scattered evenly over each tissue) - 1)",
            (_FEW_CELLS, _FEW_PAIRS),
            UNBOUNDED,
            smallest_sample=_FEWEST_PAIRS,
            counts="pairs expected of classes scattered evenly, rounded down",
            along="far_radius",
        ),
    ),
)


def pairs_by_distance(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the pairs at distances up to 500 um against two null models.

    n is the number of pairs expected. Scattered evenly: Poisson with an intensity of its own for
    each class in each nucleated tissue; the expected pairs are the intensities times the integral of the
    tissues' set cross-covariances, which is the translation correction for the border. Relabeling: the
    classes exchanged among the cells of one tissue.
    """
    tables = specimen.once(pair_tables)
    counts, area_um2 = specimen.tissue_counts.astype(float), specimen.maps.nucleated_um2
    seen = _of_pairs(tables.of_classes)
    scattered, exchanged = _nulls(tables.of_points_um4, tables.of_tissues, counts, area_um2)
    total = counts.sum(axis=1)
    few = np.array([min(total[a], total[b]) < _FEWEST_CELLS for a, b in _PLACES])[:, None]
    correlation, fold, within = _against(seen, scattered, exchanged)
    unseen = (_rings(seen) <= 0, _UNSEEN)
    return {
        _CORRELATION: _result(correlation, _rings(scattered), few),
        _FOLD: _result(fold, _rings(exchanged), few, unseen),
        _WITHIN: _result(within, scattered, few),
    }


def _pairs_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    found = block_pairs(specimen, blocks, _PLACES)
    area_um2 = 1e6 * blocks.tissue_mm2[:, list(specimen.maps.nucleated_codes)]
    sums = (*found, blocks.per_tissue(specimen), area_um2)
    evenly, exchanged = range(2)

    def number(which: int) -> Callable[..., NDArray[np.float64]]:
        def value(seen, tissues, points, by_place, by_cell, counts, area_um2):
            nulls = _nulls(points, tissues.round(3), counts, area_um2)
            unordered = (seen * _ORDERS).round(3) / _ORDERS
            found = _against(np.swapaxes(unordered, -1, -2), *nulls)[which]
            if which == _L:
                moved = _moved(by_place[..., evenly, :, :], by_cell[..., evenly, :, :])
                return (found + FAR_RADII_UM) * np.sqrt(moved) - FAR_RADII_UM
            null = evenly if which == _G else exchanged
            moved = _moved(*(np.diff(each[..., null, :, :], axis=-2) for each in (by_place, by_cell)))
            return found * moved if which == _G else found + np.log2(moved)

        return value

    return {name: BlockSums(number(k), sums) for k, name in enumerate((_CORRELATION, _FOLD, _WITHIN))}


def _moved(by_place: NDArray[np.float64], by_cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return pairs by cell over pairs by place (..., far radii, pairs), 1 before, (..., pairs, radii)."""
    moved = np.swapaxes(quotient(by_cell, by_place), -1, -2)
    near = np.ones((*moved.shape[:-1], len(FAR_RADII_UM)))
    near[..., -moved.shape[-1] :] = moved
    return near


FAMILY = Family(
    "pairs-by-distance",
    "Pairs by distance within tissues",
    "Unordered pairs of cells in nucleated tissue at up to 500 um, by ring or within a radius, against two "
    "null models. Scattered evenly: independent Poisson patterns with an intensity of their own in each "
    "tissue, corrected for the border by the set cross-covariances (translation); the pair correlation is 1 "
    "and L 0 where tissues explain all. Relabeling: classes exchanged among the cells of one tissue, "
    "positions kept; 0 where the class does not matter. Beyond 100 um pairs are counted on pixels of 25 um. "
    "n is the number of pairs expected.",
    TEMPLATES,
    pairs_by_distance,
    source="Baddeley, Moller and Waagepetersen 2000, doi:10.1111/1467-9574.00144 (inhomogeneous K and g); "
    "Ohser 1983 (translation correction); join counts: Cliff and Ord 1981",
    null_model="classes scattered evenly over each tissue (pair correlation, L); exchange "
    "of the classes among the cells of one tissue (ring enrichment)",
    block_sums=_pairs_per_block,
)


def _nulls(
    points_um4: NDArray[np.float64],
    tissues: NDArray[np.float64],
    counts: NDArray[np.float64],
    area_um2: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pairs expected of classes scattered evenly, and of exchanged ones, (..., pairs, radii)."""
    cells = counts.sum(axis=-2)
    return (
        _of_pairs(expected_pairs(points_um4, counts, area_um2, area_um2**2)),
        _of_pairs(expected_pairs(tissues, counts, cells, cells * (cells - 1))),
    )


def _against(
    seen: NDArray[np.float64], scattered: NDArray[np.float64], exchanged: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return pair correlation, log2 fold change and L - R of pairs seen, all (..., pairs, radii)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        fold = np.log2(quotient(_rings(seen), _rings(exchanged)))
        within = np.asarray(FAR_RADII_UM) * (np.sqrt(quotient(seen, scattered)) - 1)
    return quotient(_rings(seen), _rings(scattered)), fold, within


def _of_pairs(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unordered pairs of the classes that are looked at, (..., pairs, radii)."""
    return np.stack([table[..., a, b] for a, b in _PLACES], axis=-2) / _ORDERS[:, None]


def _rings(within: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what lies between the radii, of what lies within them, (..., pairs, rings)."""
    # Transforms leave rounding errors where there is nothing.
    return np.maximum(np.diff(within, axis=-1, prepend=0.0), 0)


def _result(
    value: NDArray[np.float64], expected: NDArray[np.float64], few: NDArray[np.bool_], *nulls: tuple
) -> Result:
    """Return a result whose n are the pairs expected."""
    n = np.floor(expected)
    return result(value, n, (few, _FEW_CELLS), (n < _FEWEST_PAIRS, _FEW_PAIRS), *nulls)
