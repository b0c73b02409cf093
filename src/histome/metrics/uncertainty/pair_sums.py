"""The sums over blocks of tissue behind pairs of cells against relabeling within tissues."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.metrics.randomness.relabeling import expected_pairs
from histome.metrics.results import quotient
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def log2_sums(
    specimen: Specimen,
    blocks: Blocks,
    near: NDArray[Any],
    degree: NDArray[Any],
    pairs: Sequence[tuple[int, int]],
) -> BlockSums:
    """Return the sums of log2 of pairs of neighbors over their mean under relabeling within tissues.

    Parameters
    ----------
    near, degree : (n, 9), (n, tissues) int
        Each cell's neighbors by class and by tissue.
    pairs : sequence of (int, int)
        Classes.
    """
    tissue, tissues = specimen.nucleated, degree.shape[1]
    seen = [blocks.count(specimen.cells.label, (N_CELL_CLASSES,), each) for each in near.T]
    edges = [blocks.count(tissue, (tissues,), each) for each in degree.T]
    first, second = np.transpose(pairs)

    def fold(seen: Floats, edges: Floats, counts: Floats) -> Floats:
        cells = counts.sum(axis=-2)
        mean = expected_pairs(edges, counts, cells, cells * (cells - 1))[..., first, second]
        # A pair of two classes is seen from both of its cells, in two blocks perhaps: the mean of both.
        of_pairs = (seen[..., first, second] + seen[..., second, first]) / 2
        return np.log2(quotient(of_pairs, mean))

    return BlockSums(fold, (np.stack(seen, axis=-1), np.stack(edges, axis=-1), blocks.per_tissue(specimen)))
