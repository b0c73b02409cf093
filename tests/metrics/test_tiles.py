"""Tiles: where they lie and what they hold."""

import numpy as np
from helpers.cells import cell_table
from helpers.scenes import CODE, one_tissue, patchwork, random_cells

from histome.classes import TISSUE_CLASSES
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import Specimen, cells_as_arrays
from histome.metrics.tiles import tiles_of
from histome.slide.maps import ClassMap


def specimen_of(tissue, cells):
    return Specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))


def test_four_tiles_by_hand():
    cells = cell_table([10, 300, 300, 300], [10, 10, 300, 400], "LYMPHOCYTE")
    tiles = tiles_of(specimen_of(one_tissue((250, 250)), cells), 250.0)
    assert tiles.counts.sum(axis=-1).tolist() == [[1, 1], [0, 2]]
    assert tiles.used.all()
    assert tiles.density[..., 5].tolist() == [[16, 16], [0, 32]]


def test_tiles_are_centered_on_the_analyzed_tissue():
    # 600 um of tissue in a larger map: three tiles of 250 um begin 75 um before it.
    array = np.zeros((500, 500), np.uint8)
    array[100:400, 150:450] = CODE["STROMA"]
    lattice = tiles_of(
        specimen_of(ClassMap(array, 2.0, TISSUE_CLASSES), cell_table([], [], [])), 250.0
    ).lattice
    assert (lattice.rows, lattice.columns) == (3, 3)
    assert (lattice.top_um, lattice.left_um) == (200 - 75, 300 - 75)


def test_pixels_and_cells_are_each_in_one_tile(rng):
    tissue, cells = patchwork(rng), random_cells(rng, 2000)
    specimen = specimen_of(tissue, cells)
    tiles = tiles_of(specimen, 333.0)
    assert np.allclose(tiles.tissue_mm2.sum(axis=(0, 1))[1:] * 1e6, specimen.maps.tissue_um2)
    assert tiles.counts.sum() == np.count_nonzero(specimen.nucleated >= 0)


def test_tiles_with_little_nucleated_tissue_are_not_used():
    array = np.full((125, 500), CODE["STROMA"], np.uint8)
    array[:, 25:125] = CODE["NECROSIS"]  # a fifth of the first tile is left
    array[:, 160:250] = 0  # 35 of 125 columns of the second
    tiles = tiles_of(specimen_of(ClassMap(array, 2.0, TISSUE_CLASSES), cell_table([], [], [])), 250.0)
    assert tiles.used.tolist() == [[False, True, True, True]]
    assert not tiles.density[0, 0].any()


def test_a_pixel_on_a_border_is_shared():
    # 25 px of 20 um: two tiles of 250 um that share the 13th column and row.
    tiles = tiles_of(specimen_of(one_tissue((25, 25), mpp=20.0), cell_table([], [], [])), 250.0)
    assert np.allclose(tiles.tissue_mm2[..., CODE["STROMA"]], 0.25**2)
