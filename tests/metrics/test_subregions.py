"""Parts of a slide: each is what it would be alone."""

import numpy as np
import pytest
import shapely
from helpers.cells import cell_table
from helpers.scenes import CODE, by_name, in_nucleated_tissue, measure_maps, patchwork, random_cells

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.errors import UsageError
from histome.geometry.shapes import Shapes
from histome.metrics.subregions import find_subregions, measure_subregions
from histome.slide.maps import ClassMap
from histome.tissue.regions import find_regions


def part_of(table, name):
    return by_name(table.filter([part == name for part in table["part"].to_pylist()]))


def alone(tissue, cells, rows, columns, config=None):
    """The metrics of a box of pixels, everything else taken away."""
    array = np.zeros_like(tissue.array)
    array[rows, columns] = tissue.array[rows, columns]
    x, y = (cells[axis].to_numpy() / tissue.mpp for axis in ("x_um", "y_um"))
    inside = (y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)
    own = ClassMap(array, tissue.mpp, tissue.classes)
    return by_name(measure_maps(None, own, find_regions(own), cells.filter(inside), config))


@pytest.fixture
def scene(rng):
    return patchwork(rng, (600, 500), patch_px=40), random_cells(rng, 3000, side_um=1000)


def test_a_tile_is_measured_as_if_alone(scene):
    tissue, cells = scene
    table = measure_subregions(tissue, cells, "tile:500um")
    assert table["part"].unique().to_pylist()[:3] == [
        "tile x=0 y=0 um",
        "tile x=500 y=0 um",
        "tile x=0 y=500 um",
    ]
    expected = alone(tissue, cells, slice(250, 500), slice(0, 250))
    found = part_of(table, "tile x=0 y=500 um")
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-9) if value is not None else None), name


def test_tiles_divide_the_cells_on_the_map(scene):
    tissue, cells = scene
    config = MetricsConfig(families=("all-cells", "not-counted", "total-area"))
    table = measure_subregions(tissue, cells, "tile:333um", config=config)
    parts = [part_of(table, name) for name in table["part"].unique().to_pylist()]
    counted, left_out = (sum(part[f"CELL_N_{n}"] for part in parts) for n in ("TOTAL", "NOT_COUNTED"))
    area = sum(part["ABSOLUTE_AREA"] for part in parts)
    assert counted == in_nucleated_tissue(cells, tissue).sum()
    assert counted + left_out == 3000
    assert area == pytest.approx(np.count_nonzero(tissue.array) * 4)


def test_pieces_are_separate_sections():
    array = np.zeros((600, 1200), np.uint8)
    array[50:550, 50:450] = CODE["STROMA"]
    array[100:400, 700:1100] = CODE["CARCINOMA"]
    tissue = ClassMap(array, 2.0, TISSUE_CLASSES)
    cells = cell_table([200, 210, 1500, 1100], [400, 400, 500, 100], "LYMPHOCYTE")
    config = MetricsConfig(families=("all-cells", "tissue-areas"))
    table = measure_subregions(tissue, cells, "piece", config=config)
    first, second = part_of(table, "piece 1"), part_of(table, "piece 2")
    assert table["part"].unique().to_pylist() == ["piece 1", "piece 2"]
    assert (first["CELL_N_TOTAL"], second["CELL_N_TOTAL"]) == (2, 1)
    assert first["ABSOLUTE_AREA_STROMA"] == pytest.approx(500 * 400 * 4, rel=0.01)
    assert second["ABSOLUTE_AREA_CARCINOMA"] == pytest.approx(300 * 400 * 4, rel=0.01)


def test_polygons_of_the_user(scene):
    tissue, cells = scene
    shapes = [
        shapely.box(200, 300, 600, 700),
        shapely.box(0, 0, 400, 400),
        shapely.box(-900, -900, -800, -800),
    ]
    polygons = Shapes(np.array(shapes, object), np.array(["hot spot", "other", "off"], object))
    config = MetricsConfig(families=("core",))
    table = measure_subregions(tissue, cells, "region", polygons=polygons, config=config)
    assert table["part"].unique().to_pylist() == ["hot spot", "other"]
    expected = alone(tissue, cells, slice(150, 350), slice(100, 300), config)
    found = part_of(table, "hot spot")
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-9) if value is not None else None), name


def test_no_tissue_has_no_parts():
    nothing = ClassMap(np.zeros((50, 50), np.uint8), 2.0, TISSUE_CLASSES)
    for per in ("piece", "tile:50um"):
        assert len(measure_subregions(nothing, cell_table([5], [5], "OTHER"), per)) == 0


@pytest.mark.parametrize("per", ["tiles", "tile:0um", "tile:1e3um", "tile:20um", "region", ""])
def test_unknown_parts_are_refused(per):
    with pytest.raises(UsageError):
        find_subregions(ClassMap(np.ones((5, 5), np.uint8), 2.0, TISSUE_CLASSES), per)
