"""A grid of tiles over the virtual image at one resolution: integer arithmetic, no pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):
    """A half-open rectangle in pixels: x in [x0, x1), y in [y0, y1)."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Width in px."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Height in px."""
        return self.y1 - self.y0


def box_of(mask: NDArray[np.bool_], *, corner: tuple[int, int], scale: float) -> Box:
    """Return the pixels that hold all true pixels of a mask, of which there is at least one.

    `corner` is its (x, y) in pixels of the mask, `scale` the pixels of the box a pixel of the mask.
    """
    x, y = (np.flatnonzero(mask.any(axis=axis)) + at for axis, at in zip((0, 1), corner, strict=True))
    low = (int(np.floor(at[0] * scale)) for at in (x, y))
    high = (int(np.ceil((at[-1] + 1) * scale)) for at in (x, y))
    return Box(*low, *high)


@dataclass(frozen=True)
class Tile:
    """One tile: its corner (x, y) in px, the box it owns (cut at the extent), the box to read."""

    index: int
    x: int
    y: int
    core: Box
    read: Box

    def cut(self, wanted: Box, *, around_px: int, step_px: int) -> Self:
        """Return the tile that reads no more than what holds `wanted` and `around_px` on every side of it.

        Sides are cut by multiples of `step_px` from the corner, so that what is left lies as it did on the
        pixels of a network's coarser levels; 0 cuts nothing.

        Examples
        --------
        >>> from histome.slide.tiles import Box, TileGrid
        >>> tile = TileGrid((1000, 500), core_px=192, halo_px=32)[0]
        >>> tile.read
        Box(x0=-32, y0=-32, x1=224, y1=224)
        >>> tile.cut(Box(100, 10, 110, 200), around_px=32, step_px=64).read
        Box(x0=32, y0=-32, x1=160, y1=224)
        """
        if step_px == 0:
            return self
        read, around = self.read, around_px
        x0, x1 = _cut(read.x0, read.x1, (wanted.x0 - around, wanted.x1 + around), step_px)
        y0, y1 = _cut(read.y0, read.y1, (wanted.y0 - around, wanted.y1 + around), step_px)
        return replace(self, read=Box(x0, y0, x1, y1))


def _cut(start: int, stop: int, wanted: tuple[int, int], step: int) -> tuple[int, int]:
    """Return the part of [start, stop) in steps from `start` that holds what is wanted of it."""
    first = start + max(0, wanted[0] - start) // step * step
    return first, min(stop, first + -(-(wanted[1] - first) // step) * step)


@dataclass(frozen=True)
class TileGrid(Sequence[Tile]):
    """Tiles of `core_px` that partition an extent (w, h) px, row by row, read with `halo_px` on every side.

    All read boxes have the one size `core_px + 2 halo_px`; at the right and lower edge they reach outside the
    extent, where a slide reads white. Raises ValueError for an extent or core under 1 px or a negative halo.

    Examples
    --------
    >>> from histome.slide import TileGrid
    >>> grid = TileGrid((1000, 500), core_px=400, halo_px=50)
    >>> grid.shape, len(grid), grid.window_px
    ((2, 3), 6, 500)

    The last tile owns what is left of the extent, and is read as large as the others:

    >>> grid[5].core
    Box(x0=800, y0=400, x1=1000, y1=500)
    >>> grid[5].read
    Box(x0=750, y0=350, x1=1250, y1=850)
    """

    extent_px: tuple[int, int]
    core_px: int
    halo_px: int

    def __post_init__(self) -> None:
        """Refuse sizes that make no grid."""
        if min(self.extent_px) < 1 or self.core_px < 1 or self.halo_px < 0:
            raise ValueError(
                f"no grid of core {self.core_px} and halo {self.halo_px} px over {self.extent_px} px"
            )

    @property
    def window_px(self) -> int:
        """Side of every read box."""
        return self.core_px + 2 * self.halo_px

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of tiles."""
        width, height = self.extent_px
        return -(-height // self.core_px), -(-width // self.core_px)

    def __len__(self) -> int:
        """Return the number of tiles."""
        rows, columns = self.shape
        return rows * columns

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tile]: ...
    def __getitem__(self, index: int | slice) -> Tile | Sequence[Tile]:
        """Return the tile, or the list of tiles of a slice, in row-major order."""
        if isinstance(index, slice):
            return [self._tile(at) for at in range(len(self))[index]]
        return self._tile(range(len(self))[index])

    def _tile(self, index: int) -> Tile:
        row, column = divmod(index, self.shape[1])
        x0, y0 = column * self.core_px, row * self.core_px
        x1, y1 = x0 + self.core_px, y0 + self.core_px
        core = Box(x0, y0, min(x1, self.extent_px[0]), min(y1, self.extent_px[1]))
        halo = self.halo_px
        return Tile(index, x0, y0, core, Box(x0 - halo, y0 - halo, x1 + halo, y1 + halo))

    def owners(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the index of the tile whose core holds each point, (n,); -1 outside the extent."""
        width, height = self.extent_px
        inside = (x_px >= 0) & (x_px < width) & (y_px >= 0) & (y_px < height)
        index = np.floor(y_px / self.core_px) * self.shape[1] + np.floor(x_px / self.core_px)
        return np.where(inside, index, -1).astype(np.int32)
