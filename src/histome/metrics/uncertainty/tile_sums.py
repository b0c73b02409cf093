"""The sums over blocks of tissue behind the numbers of tiles: a tile belongs to the block of its center."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histome.metrics.results import quotient
from histome.metrics.tiles import Tiles, Tiling, centers_of
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio, standard_deviation

Floats = NDArray[np.float64]


def cv_sums(blocks: Blocks, sizes: Sequence[Tiles]) -> BlockSums:
    """Return the sums of the CV (n - 1) of the densities of each class in tiles of each size."""
    n, first, second = (
        _by_size(blocks, sizes, lambda tiles, power=power: tiles.density[tiles.used] ** power)
        for power in (0, 1, 2)
    )
    return BlockSums(lambda n, s, q: quotient(standard_deviation(n, s, q) * n, s), (n, first, second))


def empty_sums(blocks: Blocks, sizes: Sequence[Tiles]) -> BlockSums:
    """Return the sums of the share of tiles of each size without a class."""
    none = _by_size(blocks, sizes, lambda tiles: (tiles.counts[tiles.used] == 0).astype(float))
    every = _by_size(blocks, sizes, lambda tiles: np.ones_like(tiles.density[tiles.used]))
    return ratio(none, every)


def pearson_sums(blocks: Blocks, tiles: Tiles, first: Sequence[int], second: Sequence[int]) -> BlockSums:
    """Return the sums of the correlation of the densities of pairs of classes."""
    block, x = _owner(blocks, tiles), tiles.density[tiles.used]
    n, total = blocks.add(block, np.ones((len(x), 1))), blocks.add(block, x)
    products = blocks.add(block, x[:, :, None] * x[:, None])

    def correlation(n: Floats, s: Floats, p: Floats) -> Floats:
        spread = p - quotient(s[..., None] * s[..., None, :], n[..., None])
        scale = np.sqrt(np.maximum(np.einsum("...aa->...a", spread), 0))
        return quotient(spread[..., first, second], scale[..., first] * scale[..., second]).clip(-1, 1)

    return BlockSums(correlation, (n, total, products))


def horn_sums(blocks: Blocks, tiles: Tiles, first: Sequence[int], second: Sequence[int]) -> BlockSums:
    """Return the sums of the Morisita-Horn index of the counts of pairs of classes."""
    block, x = _owner(blocks, tiles), tiles.counts[tiles.used].astype(float)

    def overlap(s: Floats, p: Floats) -> Floats:
        own = quotient(np.einsum("...aa->...a", p), s**2)
        both = quotient(p[..., first, second], s[..., first] * s[..., second])
        return quotient(2 * both, own[..., first] + own[..., second]).clip(0, 1)

    return BlockSums(overlap, (blocks.add(block, x), blocks.add(block, x[:, :, None] * x[:, None])))


def excess_sums(blocks: Blocks, sizes: Sequence[Sequence[Tiling]]) -> BlockSums:
    """Return the sums of CV^2 - 1/mean of each class, a mean over the tilings of each size."""

    def columns(tiling: Tiling) -> tuple[Floats, ...]:
        density = tiling.counts / tiling.mm2[:, None]
        one = np.ones_like(density)
        return one, density, density**2, one / tiling.mm2[:, None]

    def excess(n: Floats, s: Floats, q: Floats, inverse: Floats) -> Floats:
        mean = quotient(s, n)
        squared = quotient(standard_deviation(n, s, q) ** 2, mean**2)
        return (squared - quotient(inverse, n * mean)).mean(axis=-1)

    return BlockSums(excess, _of_tilings(blocks, sizes, columns))


def morisita_sums(blocks: Blocks, sizes: Sequence[Sequence[Tiling]]) -> BlockSums:
    """Return the sums of Morisita's index of each class, a mean over the tilings of each size."""

    def columns(tiling: Tiling) -> tuple[Floats, ...]:
        counts, mm2 = tiling.counts.astype(float), np.broadcast_to(tiling.mm2[:, None], tiling.counts.shape)
        return counts, counts * (counts - 1), mm2, mm2**2

    def index(total: Floats, pairs: Floats, mm2: Floats, squared: Floats) -> Floats:
        return quotient(pairs * mm2**2, total * (total - 1) * squared).mean(axis=-1)

    return BlockSums(index, _of_tilings(blocks, sizes, columns))


def overlap_sums(
    blocks: Blocks, tilings: Sequence[Tiling], first: Sequence[int], second: Sequence[int]
) -> BlockSums:
    """Return the sums of Morisita's overlap of pairs of classes, a mean over the tilings."""
    totals, products = [], []
    for tiling in tilings:
        block = blocks.at(tiling.x_um, tiling.y_um)
        x = tiling.counts * _fits(blocks, 2 * tiling.size_um)
        totals.append(blocks.add(block, x))
        products.append(blocks.add(block, x[:, :, None] * x[:, None]))

    def overlap(s: Floats, p: Floats) -> Floats:
        own = quotient(np.einsum("...aa->...a", p) - s, s * (s - 1))
        both = quotient(p[..., first, second], s[..., first] * s[..., second])
        return quotient(2 * both, own[..., first] + own[..., second]).mean(axis=-2)

    return BlockSums(overlap, (np.stack(totals, axis=1), np.stack(products, axis=1)))


def _fits(blocks: Blocks, size_um: float) -> float:
    """Return 1 where tiles are no larger than the blocks, else NaN: such tiles lie in several blocks.

    Intervals of tiles of 1,000 um on blocks of 500 um held the truth in 90 %.
    """
    return 1.0 if size_um <= blocks.size_um else float("nan")


def _owner(blocks: Blocks, tiles: Tiles) -> NDArray[np.int64]:
    """Return the block of each used tile."""
    return blocks.at(*(each[tiles.used] for each in centers_of(tiles.lattice)))


def _by_size(blocks, sizes, columns) -> Floats:
    """Sum columns (tiles, 9) of the used tiles of each size, (blocks, 9, sizes)."""
    summed = [blocks.add(_owner(blocks, tiles), columns(tiles)) for tiles in sizes]
    return np.stack(
        [each * _fits(blocks, tiles.lattice.size_um) for each, tiles in zip(summed, sizes, strict=True)], -1
    )


def _of_tilings(blocks, sizes, columns) -> tuple[Floats, ...]:
    """Sum columns (tiles, 9) of each tiling of each size, (blocks, 9, sizes, tilings) each."""
    of_sizes = []
    for tilings in sizes:
        summed = [
            [blocks.add(blocks.at(tiling.x_um, tiling.y_um), column) for column in columns(tiling)]
            for tiling in tilings
        ]
        # Moved by half a tile, one as large as a block lies in four of them: intervals of tiles of 500 um on
        # blocks of 500 um held the truth in 89 and 92 %.
        fits = _fits(blocks, 2 * tilings[0].size_um)
        of_sizes.append([np.stack(each, axis=-1) * fits for each in zip(*summed, strict=True)])
    return tuple(np.stack(each, axis=2) for each in zip(*of_sizes, strict=True))
