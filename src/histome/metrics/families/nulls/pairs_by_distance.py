"""Pair correlation, L and enrichment by distance, up to 500 um, against what the tissues explain."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import FAR_RADII_UM, PAIR_CODES, READ_PAIRS
from histome.metrics.declaration import UNBOUNDED, Family, Template, in_loops
from histome.metrics.randomness.pair_tables import pair_tables
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen

# The SD of 25 independent pairs is a fifth of them.
_FEWEST_PAIRS = 25
_FEWEST_CELLS = 20
_FEW_CELLS = f"there are fewer than {_FEWEST_CELLS} cells of one of the classes in nucleated tissue"
_FEW_PAIRS = f"fewer than {_FEWEST_PAIRS} such pairs are expected"
_UNSEEN = "no such pair is seen"
_PLACES = tuple(PAIR_CODES[pair] for pair in READ_PAIRS)

TEMPLATES = (
    *in_loops(
        ("read_pair", "ring"),
        Template(
            "PAIR_CORRELATION_IN_TISSUE_{read_pair}_{ring}",
            "1",
            "pairs of {read_pair} at {ring} um / those of classes scattered evenly over each tissue",
            (_FEW_CELLS, _FEW_PAIRS),
            smallest_sample=_FEWEST_PAIRS,
            counts="pairs expected of classes scattered evenly, rounded down",
        ),
        Template(
            "RING_ENRICHMENT_IN_TISSUE_LOG2_{read_pair}_{ring}",
            "1",
            "log2 of the pairs of {read_pair} at {ring} um / their mean under relabeling within each tissue",
            (_FEW_CELLS, _FEW_PAIRS, _UNSEEN),
            UNBOUNDED,
            smallest_sample=_FEWEST_PAIRS,
            counts="pairs expected under relabeling, rounded down",
        ),
    ),
    *in_loops(
        ("read_pair", "far_radius"),
        Template(
            "L_IN_TISSUE_{read_pair}_{far_radius}",
            "um",
            "{far_radius} um x (sqrt(pairs of {read_pair} within {far_radius} um / those of classes "
            "scattered evenly over each tissue) - 1)",
            (_FEW_CELLS, _FEW_PAIRS),
            UNBOUNDED,
            smallest_sample=_FEWEST_PAIRS,
            counts="pairs expected of classes scattered evenly, rounded down",
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
    counts = specimen.tissue_counts.astype(float)
    cells, area_um2 = counts.sum(axis=0), specimen.maps.nucleated_um2
    seen = _of_pairs(tables.of_classes)
    scattered = _of_pairs(_expected(tables.of_points_um4, counts, area_um2, area_um2**2))
    exchanged = _of_pairs(_expected(tables.of_tissues, counts, cells, cells * (cells - 1)))
    total = counts.sum(axis=1)
    few = np.array([min(total[a], total[b]) < _FEWEST_CELLS for a, b in _PLACES])[:, None]
    with np.errstate(divide="ignore"):
        fold = np.log2(quotient(_rings(seen), _rings(exchanged)))
    within = np.asarray(FAR_RADII_UM) * (np.sqrt(quotient(seen, scattered)) - 1)
    unseen = (_rings(seen) <= 0, _UNSEEN)
    return {
        "PAIR_CORRELATION_IN_TISSUE_{read_pair}_{ring}": _result(
            quotient(_rings(seen), _rings(scattered)), _rings(scattered), few
        ),
        "RING_ENRICHMENT_IN_TISSUE_LOG2_{read_pair}_{ring}": _result(fold, _rings(exchanged), few, unseen),
        "L_IN_TISSUE_{read_pair}_{far_radius}": _result(within, scattered, few),
    }


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
)


def _expected(
    pairs: NDArray[np.float64],
    counts: NDArray[np.float64],
    across: NDArray[np.float64],
    inside: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the expected ordered pairs of classes, (radii, 9, 9).

    `pairs` (radii, 5, 5) are those of all cells or points by tissue, `counts` (9, 5) the cells of each class;
    a pair between tissues s, t is of classes a, b by counts[a, s] counts[b, t] / (across[s] across[t]), one
    inside s by counts[a, s] counts[b, s] / inside[s], in one class with one fewer.
    """
    share = np.nan_to_num(quotient(counts, across))
    own = np.diagonal(pairs, axis1=1, axis2=2)
    between = share @ (pairs * (1 - np.eye(pairs.shape[1]))) @ share.T
    rest = counts[None] - np.eye(N_CELL_CLASSES)[:, :, None]
    ways = np.nan_to_num(quotient(counts[:, None] * rest, inside))
    return between + np.einsum("abs,rs->rab", ways, own)


def _of_pairs(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unordered pairs of the classes that are looked at, (pairs, radii)."""
    return np.array([table[:, a, b] / (1 + (a == b)) for a, b in _PLACES])


def _rings(within: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what lies between the radii, of what lies within them, (pairs, rings)."""
    # Transforms leave rounding errors where there is nothing.
    return np.maximum(np.diff(within, axis=1, prepend=0.0), 0)


def _result(
    value: NDArray[np.float64], expected: NDArray[np.float64], few: NDArray[np.bool_], *nulls: tuple
) -> Result:
    """Return a result whose n are the pairs expected."""
    n = np.floor(expected)
    return result(value, n, (few, _FEW_CELLS), (n < _FEWEST_PAIRS, _FEW_PAIRS), *nulls)
