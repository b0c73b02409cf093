"""How sure is a number? Blocks of tissue, sums over them, and the intervals that drawing them gives.

A family gives `BlockSums` for its templates (`blocks`); `bootstrap` draws them, `intervals` makes
columns. The sums of the family of ratios fill a module of their own, `ratio_sums`.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.metrics.uncertainty.blocks import Blocks, BlockSums, blocks_of
    from histome.metrics.uncertainty.bootstrap import Interval, draw_blocks
    from histome.metrics.uncertainty.intervals import interval_columns, intervals_of

__all__ = [
    "BlockSums",
    "Blocks",
    "Interval",
    "blocks_of",
    "draw_blocks",
    "interval_columns",
    "intervals_of",
]
__getattr__ = opened(__name__, __file__)
