"""Square tiles over the analyzed tissue: what is in each."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.metrics.ground import NUCLEATED_OF_CODE, Ground
from histome.metrics.scene import N_CELL_CLASSES, Scene

# Tiles with less nucleated tissue say more about their edge than about the tissue.
SMALLEST_SHARE = 0.25


class Lattice(NamedTuple):
    """A lattice of square tiles, centered on the analyzed tissue so that turns and moves carry it along."""

    size_um: float
    rows: int
    columns: int
    top_um: float
    left_um: float


class Tiles(NamedTuple):
    """What lies in the tiles of a lattice; all (rows, columns, ...)."""

    lattice: Lattice
    tissue_px: NDArray[np.int64]  # (rows, columns, 8): pixels per code of the tissue map
    counts: NDArray[np.int64]  # (rows, columns, 9): cells per class in nucleated tissue
    used: NDArray[np.bool_]  # (rows, columns): enough nucleated tissue
    density: NDArray[np.float64]  # (rows, columns, 9): cells per mm2 of nucleated tissue, 0 where unused


def tiles_of(scene: Scene, size_um: float) -> Tiles:
    """Cut a scene into tiles of one size."""
    lattice = lattice_over(scene.ground, size_um)
    pixels = scene.ground.once(tissue_px_per_tile, lattice)
    inside = scene.nucleated >= 0
    row, column = tile_of(lattice, scene.cells.x_um[inside], scene.cells.y_um[inside])
    place = (row * lattice.columns + column) * N_CELL_CLASSES + scene.cells.label[inside]
    shape = (lattice.rows, lattice.columns, N_CELL_CLASSES)
    counts = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
    nucleated_mm2 = pixels[..., NUCLEATED_OF_CODE >= 0].sum(axis=-1) * scene.ground.um2_per_px / 1e6
    used = nucleated_mm2 >= SMALLEST_SHARE * (size_um / 1000) ** 2
    density = np.zeros(shape)
    density[used] = counts[used] / nucleated_mm2[used][:, None]
    return Tiles(lattice, pixels, counts, used, density)


def lattice_over(ground: Ground, size_um: float) -> Lattice:
    """Return the smallest lattice that covers the analyzed tissue, centered on it."""
    height, width = (side * ground.tissue.mpp for side in ground.tissue.array.shape)
    # A hair less: an extent of exactly k tiles must not become k + 1 by rounding.
    rows, columns = (int(np.ceil(side / size_um - 1e-9)) for side in (height, width))
    top = ground.corner_px[0] * ground.tissue.mpp - (rows * size_um - height) / 2
    left = ground.corner_px[1] * ground.tissue.mpp - (columns * size_um - width) / 2
    return Lattice(size_um, rows, columns, top, left)


def tile_of(
    lattice: Lattice, x_um: NDArray[np.float64], y_um: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and column of the tile of each point of the analyzed tissue."""
    row = np.floor((y_um - lattice.top_um) / lattice.size_um).astype(np.int64)
    column = np.floor((x_um - lattice.left_um) / lattice.size_um).astype(np.int64)
    return np.clip(row, 0, lattice.rows - 1), np.clip(column, 0, lattice.columns - 1)


def tissue_px_per_tile(ground: Ground, lattice: Lattice) -> NDArray[np.int64]:
    """Count the pixels per tile and code, (rows, columns, 8); a pixel belongs to the tile of its center."""
    height, width = ground.tissue.array.shape
    mpp = ground.tissue.mpp
    x_um = (ground.corner_px[1] + np.arange(width) + 0.5) * mpp
    y_um = (ground.corner_px[0] + np.arange(height) + 0.5) * mpp
    row = tile_of(lattice, np.full(height, x_um[:1].sum()), y_um)[0]
    column = tile_of(lattice, x_um, np.full(width, y_um[:1].sum()))[1]
    counts = np.zeros((lattice.rows, lattice.columns, len(NUCLEATED_OF_CODE)), np.int64)
    _count_pixels(ground.tissue.array, row, column, counts)
    return counts


@njit(cache=True, nogil=True)
def _count_pixels(codes, row, column, counts):
    """Add every pixel to the count of its tile and code."""
    for r in range(codes.shape[0]):
        for c in range(codes.shape[1]):
            counts[row[r], column[c], codes[r, c]] += 1
