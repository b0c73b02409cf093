"""How sure is a number? Blocks of tissue, sums over them, and the intervals that drawing them gives.

A family gives `BlockSums` for its templates (`blocks`); `bootstrap` draws them, `intervals` makes
columns. Sums that take more than a few lines fill modules of their own: `ratio_sums`, `tile_sums`,
`pair_sums`, `distance_sums`. `significance` makes p and q of tests, `discoveries` columns of them.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.metrics.uncertainty.blocks import Blocks, BlockSums, blocks_of
    from histome.metrics.uncertainty.bootstrap import Interval, draw_blocks
    from histome.metrics.uncertainty.discoveries import columns_of_tests
    from histome.metrics.uncertainty.intervals import interval_columns, intervals_of, resampling_of
    from histome.metrics.uncertainty.significance import benjamini_hochberg, holm

__all__ = [
    "BlockSums",
    "Blocks",
    "Interval",
    "benjamini_hochberg",
    "blocks_of",
    "columns_of_tests",
    "draw_blocks",
    "holm",
    "interval_columns",
    "intervals_of",
    "resampling_of",
]
__getattr__ = opened(__name__, __file__)
