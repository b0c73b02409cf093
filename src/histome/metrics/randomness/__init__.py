"""What is expected at random: relabeling within tissues, and pairs of cells, and of points, of tissues.

The families of `families/nulls` measure against these.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.metrics.randomness.discs import sums_in_discs, within_discs
    from histome.metrics.randomness.pair_tables import PairTables, pair_tables
    from histome.metrics.randomness.relabeling import (
        TissueGraph,
        expected_pairs,
        log2_templates,
        log2_within_tissues,
    )

__all__ = [
    "PairTables",
    "TissueGraph",
    "expected_pairs",
    "log2_templates",
    "log2_within_tissues",
    "pair_tables",
    "sums_in_discs",
    "within_discs",
]
__getattr__ = opened(__name__, __file__)
