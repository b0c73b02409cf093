"""Square tiles over the analyzed tissue: what is in each."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.metrics.axes import TILE_SIZES_UM
from histome.metrics.maps import NUCLEATED_OF_CODE, TissueMaps
from histome.metrics.results import quotient
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.slide.maps import ClassMap

# The size that several families share.
SMALL_TILE_UM = 250.0
# Squares that the tiles of all sizes are made of, moved by half a tile or not.
_SQUARE_UM = SMALL_TILE_UM / 2
# Tiles with less nucleated tissue say more about their edge than about the tissue.
_SMALLEST_NUCLEATED = 0.25
# Fewer tiles say little about how cells are spread over them.
FEWEST_TILES, VERY_FEWEST_TILES = 10, 5
FEW_TILES = f"fewer than {FEWEST_TILES} tiles are at least a quarter nucleated tissue"
VERY_FEW_TILES = f"fewer than {VERY_FEWEST_TILES} tiles are at least a quarter nucleated tissue"
# What n counts of those that use them.
USED_TILES = "tiles of 250 um that are at least a quarter nucleated tissue"
# At random the pairs that share a tile then spread by a fifth of their number.
FEWEST_SHARING = 25
NONE_IN_TILES = "there are no {cell} in the tiles"


class Lattice(NamedTuple):
    """A lattice of square tiles, centered on the analyzed tissue so that turns and moves carry it along."""

    size_um: float
    rows: int
    columns: int
    top_um: float
    left_um: float


def centers_of(lattice: Lattice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of the centers of the tiles, (rows, columns) each."""
    x = lattice.left_um + (np.arange(lattice.columns, dtype=np.float64) + 0.5) * lattice.size_um
    y = lattice.top_um + (np.arange(lattice.rows, dtype=np.float64) + 0.5) * lattice.size_um
    shape = (lattice.rows, lattice.columns)
    return np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)


class Tiles(NamedTuple):
    """What lies in the tiles of a lattice; all (rows, columns, ...)."""

    lattice: Lattice
    tissue_mm2: NDArray[np.float64]  # (rows, columns, 8): area per code of the tissue map
    counts: NDArray[np.int64]  # (rows, columns, 9): cells per class in nucleated tissue
    used: NDArray[np.bool_]  # (rows, columns): enough nucleated tissue
    density: NDArray[np.float64]  # (rows, columns, 9): cells per mm2 of nucleated tissue, 0 where unused


def tiles_of(specimen: Specimen, size_um: float) -> Tiles:
    """Cut a specimen into tiles of one size."""
    lattice = lattice_over(specimen.maps, size_um)
    areas = specimen.maps.once(tissue_mm2_per_tile, lattice)
    counts = _cells_per_tile(specimen, lattice)
    nucleated_mm2 = areas[..., NUCLEATED_OF_CODE >= 0].sum(axis=-1)
    used = _is_used(nucleated_mm2, size_um)
    density = np.zeros(counts.shape)
    density[used] = counts[used] / nucleated_mm2[used][:, None]
    return Tiles(lattice, areas, counts, used, density)


def _cells_per_tile(specimen: Specimen, lattice: Lattice) -> NDArray[np.int64]:
    """Count the cells in nucleated tissue, (rows, columns, 9)."""
    inside = specimen.nucleated >= 0
    row, column = tile_of(lattice, specimen.cells.x_um[inside], specimen.cells.y_um[inside])
    place = (row * lattice.columns + column) * N_CELL_CLASSES + specimen.cells.label[inside]
    shape = (lattice.rows, lattice.columns, N_CELL_CLASSES)
    return np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)


def _is_used(nucleated_mm2: NDArray[np.float64], size_um: float) -> NDArray[np.bool_]:
    """Tell which tiles hold enough nucleated tissue."""
    # A hair less, so that rounding decides no tile of exactly this share.
    return nucleated_mm2 >= _SMALLEST_NUCLEATED * (size_um / 1000) ** 2 * (1 - 1e-9)


def small_tiles(specimen: Specimen) -> Tiles:
    """Cut the specimen into the tiles of 250 um that several families share."""
    return tiles_of(specimen, SMALL_TILE_UM)


class Tiling(NamedTuple):
    """The used tiles of one lattice, in no order."""

    counts: NDArray[np.int64]  # (tiles, 9): cells per class in nucleated tissue
    mm2: NDArray[np.float64]  # (tiles,): nucleated tissue
    x_um: NDArray[np.float64]  # (tiles,): centers
    y_um: NDArray[np.float64]
    size_um: float

    def crowding(self) -> float:
        """Return the probability that two points of the tissue share a tile: sum of squared area shares."""
        return float((self.mm2**2).sum() / self.mm2.sum() ** 2) if len(self.mm2) else 0.0

    def sharing(self) -> NDArray[np.float64]:
        """Return how many pairs of cells of each class would share a tile at random, (9,)."""
        cells = self.counts.sum(axis=0)
        return cells * (cells - 1) / 2 * self.crowding()


def four_tilings(specimen: Specimen, size_um: float) -> list[Tiling]:
    """Cut a specimen into the tiles of `tiles_of`, and into those moved by half a tile along x, y and both.

    `size_um` is a multiple of 250.
    """
    counts, mm2, (top_um, left_um) = specimen.once(_in_squares)
    side = round(size_um / _SQUARE_UM)
    lattice = lattice_over(specimen.maps, size_um)
    tilings = []
    for down, right in ((0, 0), (0, side // 2), (side // 2, 0), (side // 2, side // 2)):
        cut = tuple(
            slice(middle - tiles * side // 2 - moved, middle + tiles * side // 2 + moved)
            for middle, tiles, moved in zip(
                (length // 2 for length in mm2.shape), lattice[1:3], (down, right), strict=True
            )
        )
        of_tiles = _merge(mm2[cut], side)
        row, column = np.nonzero(_is_used(of_tiles, size_um))
        x, y = (
            start + first.start * _SQUARE_UM + (place + 0.5) * size_um
            for start, first, place in zip((left_um, top_um), cut[::-1], (column, row), strict=True)
        )
        tilings.append(Tiling(_merge(counts[cut], side)[row, column], of_tiles[row, column], x, y, size_um))
    return tilings


def _in_squares(specimen: Specimen) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[float, float]]:
    """Return cells (rows, columns, 9) and mm2 of nucleated tissue in the squares, and their top left."""
    lattice = specimen.maps.once(squares_over)
    areas = _as_mm2(specimen.maps.once(_tissue_px_per_square), specimen.maps.tissue)
    mm2 = areas[..., NUCLEATED_OF_CODE >= 0].sum(axis=-1)
    return _cells_per_tile(specimen, lattice), mm2, (lattice.top_um, lattice.left_um)


def squares_over(maps: TissueMaps) -> Lattice:
    """Return the lattice of squares of 125 um.

    They reach a largest tile beyond the tissue, so that the tiles of every size are made of whole squares.
    """
    whole, beyond = lattice_over(maps, SMALL_TILE_UM), round(2 * TILE_SIZES_UM[-1] / _SQUARE_UM)
    rows, columns = (2 * side + 2 * beyond for side in whole[1:3])
    top, left = (start - beyond * _SQUARE_UM for start in whole[3:])
    return Lattice(_SQUARE_UM, rows, columns, top, left)


def from_squares(maps: TissueMaps, squares: NDArray[Any], lattice: Lattice) -> NDArray[Any]:
    """Return what the tiles of a lattice hold, 250 um or its multiples, from what the squares do."""
    whole, side = maps.once(squares_over), round(lattice.size_um / _SQUARE_UM)
    top, left = (
        round((start - corner) / _SQUARE_UM) for start, corner in zip(lattice[3:], whole[3:], strict=True)
    )
    return _merge(squares[top : top + side * lattice.rows, left : left + side * lattice.columns], side)


def _tissue_px_per_square(maps: TissueMaps) -> NDArray[np.float64]:
    return _px_per_tile(maps.tissue, maps.once(squares_over))


def _merge(squares: NDArray[Any], side: int) -> NDArray[Any]:
    """Sum squares of side x side."""
    rows, columns = squares.shape[:2]
    return squares.reshape(rows // side, side, columns // side, side, *squares.shape[2:]).sum(axis=(1, 3))


def lattice_over(maps: TissueMaps, size_um: float) -> Lattice:
    """Return the smallest lattice that covers the analyzed tissue, centered on it."""
    height, width = (side * maps.tissue.mpp for side in maps.tissue.array.shape)
    # A hair less: an extent of exactly k tiles must not become k + 1 by rounding.
    rows, columns = (int(np.ceil(side / size_um - 1e-9)) for side in (height, width))
    top = maps.tissue.origin_px[1] * maps.tissue.mpp - (rows * size_um - height) / 2
    left = maps.tissue.origin_px[0] * maps.tissue.mpp - (columns * size_um - width) / 2
    return Lattice(size_um, rows, columns, top, left)


def tile_of(
    lattice: Lattice, x_um: NDArray[np.float64], y_um: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and column of the tile of each point of the analyzed tissue."""
    row = np.floor((y_um - lattice.top_um) / lattice.size_um).astype(np.int64)
    column = np.floor((x_um - lattice.left_um) / lattice.size_um).astype(np.int64)
    return np.clip(row, 0, lattice.rows - 1), np.clip(column, 0, lattice.columns - 1)


def tissue_mm2_per_tile(maps: TissueMaps, lattice: Lattice) -> NDArray[np.float64]:
    """Return the area of each code of the tissue map per tile of 250 um or its multiples, (rows, columns, 8).

    What is not analyzed has none. The pixels are gone through once for all lattices.
    """
    return _as_mm2(from_squares(maps, maps.once(_tissue_px_per_square), lattice), maps.tissue)


def zone_mm2_per_tile(maps: TissueMaps, lattice: Lattice) -> NDArray[np.float64]:
    """Return the area of each code of the map of zones per tile, (rows, columns, 5)."""
    return mm2_per_tile(maps.zones, lattice)


def mm2_per_tile(
    tissue: ClassMap, lattice: Lattice, rows: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Return the area of each code per tile, (rows, columns, codes); pixels on a border are shared.

    `rows` are those of the tiles that are wanted, the end exclusive; all by default. Pixels of code 0 are
    left out.
    """
    return _as_mm2(_px_per_tile(tissue, lattice, rows), tissue)


def _as_mm2(px: NDArray[np.float64], tissue: ClassMap) -> NDArray[np.float64]:
    return px * tissue.mpp**2 / 1e6


def _px_per_tile(
    tissue: ClassMap, lattice: Lattice, rows: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Return the pixels of each code per tile, see `mm2_per_tile`."""
    axes = []
    for corner, count, start, tiles, covered in zip(
        tissue.origin_px[::-1],
        tissue.array.shape,
        (lattice.top_um, lattice.left_um),
        (lattice.rows, lattice.columns),
        tissue.shares,
        strict=True,
    ):
        # Each pixel begins in one tile and may end in the next. In um, so that halves of pixels are exact.
        edge_um = (corner + np.arange(count)) * tissue.mpp - start
        first = np.clip(np.floor(edge_um / lattice.size_um), 0, max(tiles - 1, 0))
        share = np.clip(((first + 1) * lattice.size_um - edge_um) / tissue.mpp, 0, 1)
        share[first == tiles - 1] = 1
        axes.append((first.astype(np.int64), share * covered, (1 - share) * covered))
    first, own, after = axes[0]
    begin, end = rows or (0, lattice.rows)
    held = slice(*np.searchsorted(first, (begin - 1, end)))
    down = (
        first[held] - begin,
        np.where(first >= begin, own, 0)[held],
        np.where(first + 1 < end, after, 0)[held],
    )
    areas = np.zeros((end - begin, lattice.columns, len(tissue.classes) + 1))
    _add_pixels(tissue.array[held], down, axes[1], areas)
    return areas


def gini(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gini coefficient of each column: 0 equal, (n - 1) / n all in one; NaN where the sum is 0."""
    n = len(samples)
    if n == 0:
        return np.full(samples.shape[1:], np.nan)
    rank = np.arange(1, n + 1)[:, None]
    weighted = (rank * np.sort(samples, axis=0)).sum(axis=0)
    return (quotient(2 * weighted, n * samples.sum(axis=0)) - (n + 1) / n).clip(0, 1)


def is_flat(density: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which columns have no spread."""
    if len(density) == 0:
        return np.ones(density.shape[1], np.bool_)
    return np.ptp(density, axis=0) == 0


@njit(cache=True, nogil=True)
def _add_pixels(codes, rows, columns, areas):
    """Add the pixels to their tiles; `rows`, `columns` are (first tile, share in it, share in the next)."""
    row, in_row, in_next_row = rows
    column, in_column, in_next_column = columns
    for r in range(codes.shape[0]):
        for dr in range(2):
            across = in_row[r] if dr == 0 else in_next_row[r]
            if across <= 0:
                continue
            for c in range(codes.shape[1]):
                code = codes[r, c]
                if code == 0:
                    continue
                areas[row[r] + dr, column[c], code] += across * in_column[c]
                if in_next_column[c] > 0:
                    areas[row[r] + dr, column[c] + 1, code] += across * in_next_column[c]
