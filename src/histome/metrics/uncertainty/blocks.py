"""Square blocks of tissue, and what a number is a function of: sums over blocks.

A cell, and with it all that is told of a center, belongs to the block that it lies in. Blocks are what a
slide is a sample of when intervals are drawn (`histome.metrics.uncertainty.bootstrap`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from histome.metrics.results import quotient
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.tiles import (
    Lattice,
    centers_of,
    lattice_over,
    tile_of,
    tissue_mm2_per_tile,
    zone_mm2_per_tile,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class BlockSums(NamedTuple):
    """Sums over blocks, and the numbers that they give.

    `sums` are (blocks, ...) each; `value` takes their totals (any, ...) and returns (any, *the template's
    shape), not finite where a number is not defined. Of the totals of the slide it gives the metric's value.
    """

    value: Callable[..., Floats]
    sums: tuple[NDArray[Any], ...]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of a specimen that hold tissue, in rows from the top left of the analyzed tissue.

    Attributes
    ----------
    of_cell : (n,) int64
        The block of each cell.
    tissue_mm2, zone_mm2 : (blocks, codes)
        Area of each code of the tissue map and of the map of zones.
    pairs : (pairs, 2) int64
        Blocks that share a side or a corner.
    lattice, number : Lattice, (rows, columns) int64
        Where the blocks lie, and which they are; -1 where there is none.
    """

    size_um: float
    of_cell: Ints
    tissue_mm2: Floats
    zone_mm2: Floats
    pairs: Ints
    lattice: Lattice | None = None
    number: Ints | None = None

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.tissue_mm2)

    @property
    def held(self) -> NDArray[np.bool_]:
        """Where on the lattice there is a block, (rows, columns)."""
        return np.asarray(self._places()[1] >= 0)

    def _places(self) -> tuple[Lattice, Ints]:
        if self.lattice is None or self.number is None:
            raise ValueError("blocks that were not cut from a specimen lie nowhere")
        return self.lattice, self.number

    def at(self, x_um: Floats, y_um: Floats) -> Ints:
        """Return the block of each point (n,), the nearest where it lies in none."""
        lattice, number = self._places()
        found = number[tile_of(lattice, x_um, y_um)]
        if len(self) and (found < 0).any():
            centers = [each[self.held] for each in centers_of(lattice)]
            tree = KDTree(np.column_stack(centers))
            off = np.column_stack([x_um, y_um])[found < 0]
            found[found < 0] = number[self.held][tree.query(off, p=np.inf)[1]]
        return found

    def add(self, block: Ints, weights: NDArray[Any]) -> NDArray[Any]:
        """Sum rows of weights (n, ...) by their blocks (n,): (blocks, ...)."""
        total = np.zeros((len(self), *weights.shape[1:]), weights.dtype)
        np.add.at(total, block, weights)
        return total

    def count(
        self, code: NDArray[np.integer], shape: tuple[int, ...], weights: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Count the cells per block and code, or sum their weights: (blocks, *shape).

        Cells of a negative code count nowhere; codes run through `shape` with the last axis fastest.
        """
        width = int(np.prod(shape))
        known = code >= 0
        place = self.of_cell[known] * width + code[known]
        kept = None if weights is None else weights[known]
        return np.bincount(place, weights=kept, minlength=len(self) * width).reshape(len(self), *shape)

    def per_class(self, specimen: Specimen) -> Ints:
        """Count the cells of each class, (blocks, 9)."""
        return self.count(specimen.cells.label, (N_CELL_CLASSES,))

    def per_tissue(self, specimen: Specimen) -> Ints:
        """Count the cells of each class in each nucleated tissue, (blocks, 9, 5)."""
        return self.count(_joined(specimen.cells.label, specimen.nucleated, 5), (N_CELL_CLASSES, 5))

    def per_zone(self, specimen: Specimen) -> Ints:
        """Count the cells of each class in each zone, (blocks, 9, 5); the last is the whole tumor region."""
        return _with_region(
            self.count(_joined(specimen.cells.label, specimen.zone - 1, 4), (N_CELL_CLASSES, 4))
        )

    def zones_mm2(self) -> Floats:
        """Return the area of each zone, (blocks, 5); the last is the whole tumor region."""
        return _with_region(self.zone_mm2[:, 1:])


def _joined(first: NDArray[np.integer], second: NDArray[np.integer], n_second: int) -> NDArray[np.integer]:
    """Return one code of two, negative where either is."""
    return np.where((first >= 0) & (second >= 0), first * n_second + second, -1)


def _with_region(zones: NDArray[Any]) -> NDArray[Any]:
    """Append to the four zones (..., 4) the sum of the first two."""
    return np.concatenate([zones, zones[..., :1] + zones[..., 1:2]], axis=-1)


def blocks_of(specimen: Specimen, size_um: float) -> Blocks:
    """Cut the analyzed tissue into blocks; those without tissue and cells are left out."""
    lattice = lattice_over(specimen.maps, size_um)
    row, column = tile_of(lattice, specimen.cells.x_um, specimen.cells.y_um)
    place = row * lattice.columns + column
    areas = [specimen.maps.once(area, lattice) for area in (tissue_mm2_per_tile, zone_mm2_per_tile)]
    areas = [area.reshape(lattice.rows * lattice.columns, area.shape[-1]) for area in areas]
    held = np.asarray(areas[0][:, 1:].any(axis=1))
    held[place] = True
    number = np.where(held, np.cumsum(held) - 1, -1)
    grid = number.reshape(lattice.rows, lattice.columns)
    across = (grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])
    corners = (grid[1:, 1:], grid[:-1, :-1]), (grid[1:, :-1], grid[:-1, 1:])
    pairs = np.concatenate([np.column_stack([a.ravel(), b.ravel()]) for a, b in (*across, *corners)])
    pairs = pairs[(pairs >= 0).all(axis=1)]
    return Blocks(size_um, number[place], areas[0][held], areas[1][held], pairs, lattice, grid)


def ratio(above: NDArray[Any], below: NDArray[Any], *, scale: float = 1.0) -> BlockSums:
    """Return the sums of scale x total above / total below; the two broadcast."""
    return BlockSums(lambda top, bottom: quotient(top, bottom, scale=scale), (above, below))


def expected(counts: NDArray[Any], area: Floats) -> BlockSums:
    """Return the sums of a number of cells on as much tissue: their density x the whole `area`."""
    whole = area.sum(axis=0)
    return BlockSums(lambda n, on: quotient(n * whole, on), (counts, area))


class Moments(NamedTuple):
    """Sums of powers of features less a center; `n` and the sums of each power are (blocks, features, ...).

    The center is taken off because sums of powers of what is far from 0 lose their digits.
    """

    n: Ints
    sums: tuple[Floats, ...]
    center: Floats  # (features, 1, ...)

    def mean(self) -> BlockSums:
        """Return the sums of the mean."""
        return BlockSums(lambda n, s: self.center + quotient(s, n), (self.n, self.sums[0]))

    def sd(self) -> BlockSums:
        """Return the sums of the SD (n - 1)."""
        return BlockSums(standard_deviation, (self.n, *self.sums[:2]))


def moments_of(
    blocks: Blocks,
    features: Iterable[Floats | None],
    code: NDArray[np.integer],
    shape: tuple[int, ...],
    *,
    powers: int = 2,
) -> Moments:
    """Return the moments of each feature per code (see `Blocks.count`), NaN where a cell has none."""
    n, sums, center = [], [], []
    for feature in features:
        values = np.full(len(code), np.nan) if feature is None else feature
        known = np.where(np.isfinite(values), code, -1)
        center.append(values[known >= 0].mean() if (known >= 0).any() else 0.0)
        n.append(blocks.count(known, shape))
        sums.append([blocks.count(known, shape, (values - center[-1]) ** (k + 1)) for k in range(powers)])
    stacked = tuple(np.stack(each, axis=1) for each in zip(*sums, strict=True))
    return Moments(np.stack(n, axis=1), stacked, np.array(center).reshape(-1, *(1 for _ in shape)))


def with_all(per_class: NDArray[Any]) -> NDArray[Any]:
    """Append to sums per class (..., classes) the sum over the classes."""
    return np.concatenate([per_class, per_class.sum(axis=-1, keepdims=True)], axis=-1)


def standard_deviation(n: NDArray[Any], first: Floats, second: Floats) -> Floats:
    """Return the SD (n - 1) from n and the sums of first and second powers, NaN below two."""
    off = np.maximum(second - quotient(first**2, n), 0)
    return np.sqrt(quotient(off, np.maximum(n - 1, 0)))
