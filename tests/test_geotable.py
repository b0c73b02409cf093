"""GeoParquet as other programs read it: what the metadata says is what the columns hold."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, ground

from histome.cells import SCHEMA, find_cells, read_cells
from histome.classes import TISSUE_CLASSES
from histome.errors import HistomeError
from histome.geotable import read_geo_table, write_geo_table
from histome.slide import ClassMap, Frame
from histome.tissue import find_regions
from histome.tissue.regions import REGION_SCHEMA


def drawn_cells():
    slide = draw((480, 400), [Ellipse(20 + 30 * k, 20 + 25 * k) for k in range(6)])
    return find_cells(slide, ground(slide), DrawnNetwork())


def drawn_regions():
    rng = np.random.default_rng(2)
    codes = np.kron(rng.integers(0, 4, (8, 13)), np.ones((16, 16), int)).astype(np.uint8)
    codes[40:44, 40:44] = 7
    frame = Frame("drawn", (832, 511), (0.5, 0.5))
    return find_regions(ClassMap(codes, 2.0, TISSUE_CLASSES, frame=frame), min_um2=0)


@pytest.fixture(params=[drawn_cells, drawn_regions], ids=["cells", "regions"])
def table(request):
    return request.param()


def boxes_of(table):
    return np.stack([pc.struct_field(table["bbox"], name).to_numpy() for name in EDGES], axis=1)


EDGES = ("xmin", "ymin", "xmax", "ymax")


def test_the_box_of_every_row_is_that_of_its_geometry(table):
    bounds = shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy()))
    np.testing.assert_array_equal(boxes_of(table), bounds)


def test_the_metadata_are_those_of_geoparquet(table, tmp_path):
    write_geo_table(table, tmp_path / "table.parquet")
    geo = json.loads(pq.read_schema(tmp_path / "table.parquet").metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert set(column["geometry_types"]) == {polygon.geom_type for polygon in polygons}
    np.testing.assert_array_equal(column["bbox"], shapely.total_bounds(polygons))
    rings = shapely.get_exterior_ring(shapely.get_parts(polygons))
    assert column["orientation"] == "counterclockwise"
    assert shapely.is_ccw(rings).all()
    assert column["covering"] == {"bbox": {name: ["bbox", name] for name in EDGES}}
    kinds = {field.type for field in table.schema.field("bbox").type}
    assert len(kinds) == 1
    assert kinds <= {pa.float32(), pa.float64()}


def test_a_box_filters_rows_as_the_covering_says(table, tmp_path):
    """What readers do with it: four comparisons on the numbers of the struct, before any geometry is read."""
    path = tmp_path / "table.parquet"
    write_geo_table(table, path)
    box = (60.0, 40.0, 220.0, 260.0)
    low = (pc.field("bbox", "xmin") <= box[2]) & (pc.field("bbox", "ymin") <= box[3])
    high = (pc.field("bbox", "xmax") >= box[0]) & (pc.field("bbox", "ymax") >= box[1])
    found = pq.read_table(path, filters=low & high)
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    touched = shapely.intersects(shapely.box(*shapely.bounds(polygons).T), shapely.box(*box))
    assert 0 < touched.sum() < len(table)
    assert found.equals(table.filter(touched))
    metadata = pq.read_metadata(path)
    paths = [metadata.row_group(0).column(k) for k in range(metadata.num_columns)]
    statistics = {each.path_in_schema: each.statistics for each in paths}
    assert all(statistics[f"bbox.{name}"].has_min_max for name in EDGES)


def test_every_row_names_its_slide_and_tables_of_slides_can_be_joined(table, tmp_path):
    names = set(table["slide"].to_pylist())
    assert len(names) == 1
    assert all(names)
    other = table.set_column(0, table.schema.field("slide"), pa.array(["b"] * len(table)).dictionary_encode())
    for name, each in (("a", table), ("b", other)):
        write_geo_table(each, tmp_path / f"{name}.parquet")
    joined = pq.read_table([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert joined["slide"].to_pylist() == [*names] * len(table) + ["b"] * len(table)


def test_what_is_written_is_read_and_equal_tables_are_equal_bytes(table, tmp_path):
    for name in ("one", "two"):
        write_geo_table(table, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_geo_table(tmp_path / "one").equals(table, check_metadata=True)


@pytest.mark.parametrize("schema", [SCHEMA, REGION_SCHEMA])
def test_other_files_are_refused_in_one_line(schema, tmp_path):
    other = tmp_path / "other.parquet"
    other.write_text("no")
    with pytest.raises(HistomeError, match=r"other.parquet: not a Parquet file"):
        read_geo_table(other, schema)
    pq.write_table(pa.table({"slide": ["a"]}), other)
    with pytest.raises(HistomeError, match=r"other.parquet: it has no column .*bbox, geometry"):
        read_geo_table(other, schema)


def test_our_own_readers_take_the_columns_that_were_written(tmp_path):
    write_geo_table(drawn_cells(), tmp_path / "cells.parquet")
    assert read_cells(tmp_path / "cells.parquet").schema.names == SCHEMA.names
