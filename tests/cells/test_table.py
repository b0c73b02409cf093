"""The cells table: its columns say what they say, and its file is GeoParquet."""

import json
import tracemalloc
from math import hypot
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, drawn_card, ground

from histome.cells import SCHEMA, find_cells, read_cells, write_cells
from histome.cells.filed import FoundNuclei, NucleiFile
from histome.cells.table import MEASURED, carcinoma_distance, cell_rows, class_codes, read_outlines
from histome.cells.windows import CellSearch, Nuclei
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.config import CellsConfig
from histome.errors import HistomeError
from histome.geotable import ROW_GROUP
from histome.metrics.axes import NUCLEUS_FEATURES
from histome.models.label_support import support_texts, table_support
from histome.slide import ClassMap, TileGrid
from histome.slide.mpp import Mpp
from histome.store.files import MEASURED_CELLS
from histome.tissue import Tissue

MPP = (0.25, 0.5)


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(11)
    return [
        Ellipse(15.0 * column + 12, 15.0 * row + 12, *rng.uniform(2.5, 5, 2), 0.3, rng.integers(0, 9).item())
        for row in range(9)
        for column in range(12)
    ]


@pytest.fixture(scope="module")
def cells(truth):
    slide = draw((800, 320), truth, mpp=MPP)
    return find_cells(slide, ground(slide), DrawnNetwork())


def test_the_columns_are_those_of_the_specification():
    classes = CELL_CLASSES
    expected = [
        *["slide", "cell_id", "x", "y", "x_um", "y_um", "class", "confidence"],
        *(f"p_{name}" for name in classes),
        *[
            "reported",
            "strangeness",
            "abstained",
            "tissue",
            "counted",
            "zone",
            "area_um2",
            "perimeter_um",
            "major_axis_um",
            "minor_axis_um",
        ],
        *[
            "roundness",
            "eccentricity",
            "solidity",
            "hematoxylin_od_mean",
            "hematoxylin_od_sd",
            "eosin_od_mean",
        ],
        *(f"n_{name}_{radius}um" for radius in (20, 40) for name in classes),
        "distance_to_carcinoma_um",
        "bbox",
        "geometry",
    ]
    assert SCHEMA.names == expected
    for field in SCHEMA:
        assert set(field.metadata) == {b"unit", b"description"}
        assert field.metadata[b"description"]


def test_the_schema_is_kept_in_full(cells):
    assert cells.schema.equals(SCHEMA)
    assert cells.schema.field("area_um2").metadata[b"unit"] == b"um2"
    cells.validate(full=True)


def test_nothing_is_null_but_what_may_be(cells):
    for field in SCHEMA:
        if not field.nullable:
            assert cells[field.name].null_count == 0
    assert cells["distance_to_carcinoma_um"].null_count == len(cells)  # stroma only


def test_cells_are_numbered_from_1_down_the_slide(cells):
    assert cells["cell_id"].to_pylist() == list(range(1, len(cells) + 1))
    places = list(zip(cells["y_um"].to_pylist(), cells["x_um"].to_pylist(), strict=True))
    assert places == sorted(places)


def test_probabilities_make_class_and_confidence(cells):
    p = np.stack([cells[f"p_{name}"].to_numpy() for name in CELL_CLASSES], axis=1)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=len(CELL_CLASSES) / 8192 + 1e-6)
    np.testing.assert_array_equal(cells["confidence"].to_numpy(), p.max(axis=1))
    assert cells["class"].to_pylist() == [CELL_CLASSES[k] for k in p.argmax(axis=1)]


def test_outlines_lie_in_level_0_pixels_and_agree_with_the_measures(cells):
    """Area and centroid of the stored polygon, scaled by the oblong pixel, are the columns."""
    polygons = shapely.from_wkb(cells["geometry"].to_numpy(zero_copy_only=False))
    assert shapely.is_valid(polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    in_um = shapely.transform(polygons, lambda xy: xy * MPP)
    np.testing.assert_allclose(shapely.area(in_um), cells["area_um2"].to_numpy(), rtol=0.02)
    np.testing.assert_allclose(shapely.area(in_um).mean(), cells["area_um2"].to_numpy().mean(), rtol=2e-3)
    centers = shapely.centroid(in_um)
    np.testing.assert_allclose(shapely.get_x(centers), cells["x_um"].to_numpy(), atol=0.06)
    np.testing.assert_allclose(shapely.get_y(centers), cells["y_um"].to_numpy(), atol=0.06)
    np.testing.assert_allclose(shapely.length(in_um), cells["perimeter_um"].to_numpy(), rtol=0.03)
    hulls = shapely.area(shapely.convex_hull(in_um))
    np.testing.assert_allclose(shapely.area(in_um) / hulls, cells["solidity"].to_numpy(), atol=0.03)


def test_neighbors_are_those_of_brute_force(cells):
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    classes = cells["class"].to_pylist()
    for radius in (20, 40):
        for name in CELL_CLASSES:
            expected = [
                sum(
                    classes[j] == name and j != i and hypot(x[i] - x[j], y[i] - y[j]) <= radius
                    for j in range(len(x))
                )
                for i in range(len(x))
            ]
            assert cells[f"n_{name}_{radius}um"].to_pylist() == expected


def test_stain_is_that_of_the_drawn_color(cells):
    """All nuclei are drawn in one color for each class, but outlines reach half a pixel into the white."""
    sd = cells["hematoxylin_od_sd"].to_numpy()
    assert (cells["hematoxylin_od_mean"].to_numpy() > 0.2).all()
    assert (sd >= 0).all()


def carcinoma_map(*boxes, shape=(100, 200)):
    array = np.full(shape, TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    for x0, y0, x1, y1 in boxes:
        array[y0:y1, x0:x1] = TISSUE_CLASSES.index("CARCINOMA") + 1
    return ClassMap(array, 2.0, TISSUE_CLASSES)


def test_the_distance_to_carcinoma_is_that_to_its_nearest_pixel():
    tissue = carcinoma_map((50, 0, 60, 100), (150, 20, 152, 22))
    x_um = np.array([110.0, 98.5, 0.5, 320.5, 301.0])
    y_um = np.array([50.0, 3.0, 77.0, 41.0, 60.0])
    got = carcinoma_distance(x_um, y_um, tissue)
    # Pixel centers: columns 55, 49, 0, 160, 150 at rows 25, 1, 38, 20, 30.
    assert got == pytest.approx([0, 2, 100, 2 * 9, 2 * 9])


def test_without_carcinoma_there_is_no_distance():
    assert np.isnan(carcinoma_distance(np.array([5.0]), np.array([5.0]), carcinoma_map())).all()


def test_tissue_zone_and_distance_are_read_at_the_centroid():
    """Carcinoma 1.2 mm wide: its middle is core, its rim inner margin, outside outer margin."""
    size_px = (4000, 2400)
    slide = draw(size_px, [Ellipse(x, 600.0) for x in (600.0, 1150.0, 1300.0)])
    tissue = carcinoma_map((0, 0, 600, 600), shape=(600, 1000))
    cells = find_cells(slide, Tissue.of(tissue), DrawnNetwork()).sort_by("x_um")
    assert cells["tissue"].to_pylist() == ["CARCINOMA", "CARCINOMA", "STROMA"]
    zones = cells["zone"].to_pylist()
    assert zones[1:] == ["INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN"]
    assert cells["distance_to_carcinoma_um"].to_pylist() == pytest.approx([0, 0, 1300 - 1198], abs=2.1)


def test_the_file_is_geoparquet(cells, tmp_path):
    path = tmp_path / "cells.parquet"
    write_cells(cells, path)
    geo = json.loads(pq.read_schema(path).metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"], column["crs"]) == ("WKB", ["Polygon"], None)
    bounds = shapely.total_bounds(shapely.from_wkb(cells["geometry"].to_numpy(zero_copy_only=False)))
    assert column["bbox"] == bounds.tolist()
    kinds = {field.name: field.type for field in pq.read_schema(path)}
    assert kinds["geometry"] == pa.binary()


def test_a_table_reads_back_as_it_was_written(cells, tmp_path):
    write_cells(cells, tmp_path / "cells.parquet")
    back = read_cells(tmp_path / "cells.parquet")
    assert back.equals(cells)
    assert back.schema.field("x").metadata[b"unit"] == b"px"


def test_an_empty_table_reads_back(cells, tmp_path):
    write_cells(cells.slice(0, 0), tmp_path / "cells.parquet")
    assert read_cells(tmp_path / "cells.parquet").schema.equals(SCHEMA)


def test_other_files_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.parquet").write_text("not parquet")
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "other.parquet")
    for name in ("text.parquet", "other.parquet", "missing.parquet"):
        with pytest.raises(HistomeError, match=name) as caught:
            read_cells(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_the_table_carries_how_its_model_learned_the_classes():
    card = drawn_card(training={"labels": {"plasma_cell": "indirect"}})
    slide = draw((200, 200), [Ellipse(50.0, 50.0)])
    table = find_cells(slide, ground(slide), DrawnNetwork(card))
    assert support_texts(table_support(table.schema)) == {"plasma_cell": "indirect"}


def test_class_codes_are_places_in_the_vocabulary():
    names = [CELL_CLASSES[3], "no such class", None, CELL_CLASSES[0]]
    for column in (pa.array(names), pa.array(names).dictionary_encode()):
        assert class_codes(pa.table({"class": column})).tolist() == [3, -1, -1, 0]
    assert class_codes(pa.table({"class": pa.array([], pa.string())})).tolist() == []


def nuclei_on_a_grid(side: int) -> Nuclei:
    """side^2 nuclei 10 um apart, in no order."""
    n, rng = side * side, np.random.default_rng(5)
    x_um, y_um = (np.divmod(rng.permutation(n), side)[k] * 10.0 + 5 for k in (0, 1))
    shape = np.concatenate([np.stack([x_um, y_um], axis=1), rng.uniform(0.1, 50, (n, 7))], axis=1)
    probability = rng.dirichlet(np.ones(9), n).astype(np.float32)
    one, zero = np.ones(n, np.float32), np.zeros(n, np.int32)
    columns = (shape, rng.random((n, 3)), probability, one, one, np.full(n, 3, np.uint8), zero, zero)
    corners = np.array([[-4, -4], [4, -4], [4, 4], [-4, 4]], np.float32)
    return Nuclei((2 * shape[:, None, :2] + corners).astype(np.float32), *columns, np.zeros(n, bool))


def filed(nuclei: Nuclei) -> FoundNuclei:
    """Nuclei as a search hands them over."""
    file = NucleiFile(np.full(2, 0.5))
    return FoundNuclei(file.take(nuclei), file, np.arange(len(nuclei.score)))


def test_memory_holds_neither_all_nuclei_nor_the_table():
    """The nuclei are 150 bytes a cell, the table 185: both are on disk but for a group of rows of each."""
    nuclei = nuclei_on_a_grid(420)
    slide = SimpleNamespace(mpp=Mpp(0.5, 0.5, "made"), id="made")
    codes = np.full((264, 264), TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    tissue, zones = ClassMap(codes, 16.0, TISSUE_CLASSES), ClassMap(codes * 0, 16.0, ("ANY",))
    search = CellSearch(slide, tissue, DrawnNetwork(), TileGrid((8400, 8400), 160, 48))
    cell_rows(filed(nuclei.select(np.arange(100))), search, zones, CellsConfig())  # compiled, loaded
    found = filed(nuclei)
    held_of_arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    rows = cell_rows(found, search, zones, CellsConfig())
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (held + pa.total_allocated_bytes() - held_of_arrow) / len(rows) < 40
    group = 400 * ROW_GROUP
    assert (peak - group) / len(rows) < 200
    columns = rows.select(["cell_id", "x"])
    assert columns["cell_id"].to_pylist() == list(range(1, 420**2 + 1))
    assert len(columns["x"].chunks) > 1


def test_some_columns_are_read_without_the_others(cells, tmp_path):
    write_cells(cells, tmp_path / "cells.parquet")
    some = read_cells(tmp_path / "cells.parquet", ["class", "x"])
    assert set(some.column_names) == {"class", "x"}
    assert some["x"].equals(cells["x"])
    with pytest.raises(HistomeError, match="no column nothing"):
        read_cells(tmp_path / "cells.parquet", ["x", "nothing"])
    measured = MEASURED_CELLS.load(tmp_path)
    assert set(measured.column_names) == set(MEASURED)
    assert len(measured) == len(cells)
    assert measured.in_memory().select(MEASURED).equals(cells.select(MEASURED))
    few = pa.array(np.arange(len(cells)) % 3 == 0)
    assert measured.filter(few).equals(measured.in_memory().filter(few))
    assert {column for column, _, _ in NUCLEUS_FEATURES.values()} <= {*MEASURED, "aspect_ratio"}
    assert table_support(measured.schema) == table_support(cells.schema)


def test_outlines_of_some_rows_are_read_across_groups(tmp_path):
    outlines = shapely.to_wkb(shapely.points(np.arange(2.0 * ROW_GROUP + 5), 1.0))
    pq.write_table(pa.table({"geometry": outlines}), tmp_path / "cells.parquet", row_group_size=ROW_GROUP)
    for rows in ([], [0], [7, ROW_GROUP - 1, ROW_GROUP, 2 * ROW_GROUP + 4]):
        found = read_outlines(tmp_path / "cells.parquet", np.array(rows, np.int64))
        assert found.tolist() == outlines[rows].tolist()
