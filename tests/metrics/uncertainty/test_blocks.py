"""Blocks own cells and areas; their sums give the metrics' values."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import CODE, one_tissue, patchwork, random_cells

from histome.classes import TISSUE_CLASSES
from histome.metrics.catalogue import FAMILIES
from histome.metrics.declaration import templates_of
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.metrics.uncertainty.blocks import blocks_of
from histome.slide.maps import ClassMap
from histome.tissue.regions import find_regions


def specimen_of(tissue, cells):
    maps = make_tissue_maps(tissue, regions=find_regions(tissue))
    return counted_specimen(maps, cells_as_arrays(cells, tissue))


@pytest.fixture(scope="module")
def scene():
    """A patchwork of 4 mm with a tumor, and cells with all their columns."""
    rng = np.random.default_rng(3)
    array = patchwork(rng, (1000, 1000), mpp=4.0, patch_px=50).array
    array[200:700, 300:800] = CODE["CARCINOMA"]
    names = ("area_um2", "perimeter_um", "roundness", "major_axis_um", "minor_axis_um", "hematoxylin_od_mean")
    columns = {name: rng.gamma(5, 2, 9000) for name in names}
    columns |= {"confidence": rng.random(9000), "abstained": rng.random(9000) < 0.2}
    cells = random_cells(rng, 9000, side_um=4000.0, **columns)
    return specimen_of(ClassMap(array, 4.0, TISSUE_CLASSES), cells)


def test_a_cell_and_its_tissue_belong_to_one_square():
    # 1,000 x 500 um in blocks of 500 um: two, side by side.
    tissue = one_tissue((125, 250), mpp=4.0)
    specimen = specimen_of(tissue, cell_table([10.0, 499.0, 501.0], [20.0, 480.0, 250.0], [0, 0, 5]))
    blocks = blocks_of(specimen, 500)
    assert len(blocks) == 2
    assert blocks.per_class(specimen)[:, [0, 5]].tolist() == [[2, 0], [0, 1]]
    assert blocks.tissue_mm2[:, CODE["STROMA"]] == pytest.approx([0.25, 0.25])
    assert blocks.zones_mm2()[:, 3] == pytest.approx([0.25, 0.25])  # no tumor: all of it outside
    assert blocks.pairs.tolist() == [[1, 0]]


def test_squares_without_tissue_are_no_blocks():
    array = np.zeros((125, 375), np.uint8)
    array[:, :125] = array[:, 250:] = CODE["STROMA"]
    specimen = specimen_of(ClassMap(array, 4.0, TISSUE_CLASSES), cell_table([10.0], [10.0], [0]))
    blocks = blocks_of(specimen, 500)
    assert len(blocks) == 2
    assert len(blocks.pairs) == 0


def test_no_tissue_is_no_block():
    specimen = specimen_of(
        ClassMap(np.zeros((50, 50), np.uint8), 4.0, TISSUE_CLASSES), cell_table([], [], [])
    )
    assert len(blocks_of(specimen, 500)) == 0


# Their tiles, 250 um and more, are also moved by half a tile, and then lie in several blocks of 250 um.
_MOVED = ("tile-dispersion", "tile-overlap")


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.block_sums])
@pytest.mark.parametrize("size_um", [250, 1000])
def test_the_totals_of_the_sums_are_the_metrics(scene, name, size_um):
    family = FAMILIES[name]
    results = family.compute(scene)
    sums = family.block_sums(scene, blocks_of(scene, size_um))
    assert sums
    assert sums.keys() <= {template.pattern for template in templates_of(family.templates)}
    for pattern, given in sums.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            total = given.value(*(column.sum(axis=0)[None] for column in given.sums))[0]
        expected = results[pattern].value
        assert total.shape == expected.shape, pattern
        if size_um == 250 and name in _MOVED:
            assert np.isnan(total).all(), pattern
            continue
        # Tiles larger than a block belong to none.
        known = np.isfinite(expected) & (np.isfinite(total) | ("{tile}" not in pattern))
        assert known.any() or not np.isfinite(expected).any(), pattern
        np.testing.assert_allclose(total[known], expected[known], rtol=1e-8, atol=1e-12, err_msg=pattern)
