"""Foreign cells: every format gives the same table; what is damaged or at odds is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from histome.classes import TISSUE_CLASSES
from histome.errors import HistomeError
from histome.interop.formats import read_foreign_cells
from histome.interop.frames import check_same_frame
from histome.models.label_support import CLASS_LABELS, support_texts, table_support
from histome.slide.maps import ClassMap

MAPPING = {
    "neoplastic": "carcinoma_cell",
    "1": "carcinoma_cell",
    "inflammatory": "lymphocyte",
    "2": "lymphocyte",
}
OUTLINES = [shapely.box(10, 20, 30, 40), shapely.Polygon([(100, 100), (120, 100), (110, 130)])]
NAMES, NUMBERS = ["neoplastic", "inflammatory"], [1, 2]


def corners(outline):
    return shapely.get_coordinates(outline)[:-1].tolist()


def records(**more):
    return [
        {"contour": corners(outline), "type": number, "type_prob": 0.5, **more}
        for outline, number in zip(OUTLINES, NUMBERS, strict=True)
    ]


def write_geoparquet(path):
    pq.write_table(pa.table({"geometry": shapely.to_wkb(OUTLINES), "class_name": NAMES}), path)


def write_qupath(path):
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(outline.buffer(5)),
            "nucleusGeometry": shapely.geometry.mapping(outline),
            "properties": {"objectType": "cell", "classification": {"name": name, "color": [1, 2, 3]}},
        }
        for outline, name in zip(OUTLINES, NAMES, strict=True)
    ]
    path.write_text(json.dumps(features))


def write_cellvit(path):
    type_map = {"1": "neoplastic", "2": "inflammatory"}
    path.write_text(json.dumps({"wsi_metadata": {}, "type_map": type_map, "cells": records()}))


def write_hovernet(path):
    path.write_text(json.dumps({"mag": None, "nuc": {str(k): each for k, each in enumerate(records())}}))


FORMATS = {
    "cells.parquet": write_geoparquet,
    "cells.geojson": write_qupath,
    "cellvit.json": write_cellvit,
    "hovernet.json": write_hovernet,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_cells(tmp_path, name):
    FORMATS[name](tmp_path / name)
    cells = read_foreign_cells(tmp_path / name, MAPPING, mpp=0.5)
    assert cells["class"].to_pylist() == ["carcinoma_cell", "lymphocyte"]
    assert cells["x"].to_pylist() == pytest.approx([20, 110])
    assert cells["y_um"].to_pylist() == pytest.approx([15, 55])
    assert cells["area_um2"].to_pylist() == pytest.approx([100, 75])
    assert cells["perimeter_um"].to_pylist()[0] == pytest.approx(40)
    assert cells["solidity"].to_pylist() == pytest.approx([1, 1])


def test_csv_in_px_and_in_um(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("x,y,label,area_um2,note\n10,20,neoplastic,31.5,a\n30,40,inflammatory,28,b\n")
    cells = read_foreign_cells(path, MAPPING, mpp=0.25)
    assert cells["x_um"].to_pylist() == [2.5, 7.5]
    assert cells["area_um2"].to_pylist() == [31.5, 28]
    assert "note" not in cells.column_names
    path.write_text("x_um,y_um,class\n10,20,other\n")
    assert read_foreign_cells(path, {}, mpp=0.25)["x"].to_pylist() == [40]


def test_points_have_no_shape(tmp_path):
    table = pa.table({"geometry": shapely.to_wkb(shapely.points([[1, 2], [3, 4]])), "class": ["other"] * 2})
    pq.write_table(table, tmp_path / "p.parquet")
    cells = read_foreign_cells(tmp_path / "p.parquet", {}, mpp=1.0)
    assert cells["y"].to_pylist() == [2, 4]
    assert "area_um2" not in cells.column_names


def test_crossing_outlines_are_repaired(tmp_path):
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 8)])
    spike = shapely.Polygon([(0, 0), (10, 0), (5, 0)])
    table = pa.table({"geometry": shapely.to_wkb([bow, spike, *OUTLINES]), "class": ["other"] * 4})
    pq.write_table(table, tmp_path / "p.parquet")
    cells = read_foreign_cells(tmp_path / "p.parquet", {}, mpp=1.0)
    expected = max(part.area for part in shapely.make_valid(bow).geoms)
    assert cells["area_um2"].to_pylist()[0] == pytest.approx(expected)
    assert np.isnan(cells["area_um2"].to_numpy()[1])
    assert cells["area_um2"].to_pylist()[2] == pytest.approx(400)


def test_no_cells(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("x,y,class\n")
    assert len(read_foreign_cells(path, {}, mpp=0.5)) == 0
    path = tmp_path / "cells.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert len(read_foreign_cells(path, {}, mpp=0.5)) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.csv", "x,y,class\n1,2,other\nnan,3,other\n", "position of row 2 is not finite"),
        (
            "c.csv",
            "x,y,class\n1,2,B cell\n3,4,T cell\n",
            r"no class for B cell, T cell; add them to \[cells\]",
        ),
        ("c.csv", "x,y,class\n3,4,other\n1,two,other\n", "y of row 2 is not a number: 'two'"),
        ("c.csv", "a,b,class\n1,2,other\n", "no columns x and y"),
        ("c.csv", "x,y\n1,2\n", "no column is called class"),
        ("c.csv", "x,y,x_um,y_um,class\n100,100,25,25,other\n", "made at 0.25 um/px, but --mpp says 0.5"),
        ("c.json", '{"mag": 40, "nuc": {}}', "made at 0.25 um/px"),
        ("c.json", '{"cells": [{"type": 1}]}', "cell 1 has no contour"),
        (
            "c.json",
            '{"cells": [{"type": 1, "contour": [[1, 2], [3, 4]]}]}',
            "cell 1 has fewer than 3 corners",
        ),
        ("c.json", '{"cells": [{"type": 1, "contour": [[1, 2], [3, NaN], [1, 1]]}]}', "cell 1 is not finite"),
        ("c.json", '{"nuclei": []}', "not GeoJSON features"),
        ("c.parquet", "PAR1", "not a Parquet file"),
        (
            "c.csv",
            "x,y,class\n1,2,other\n1e300,2,other\n",
            "row 2 lies at x 1e.300, y 2, more than a meter away",
        ),
        (
            "c.csv",
            "x,y,class,confidence\n1,2,other,0.5\n3,4,other,87\n",
            "confidence of row 2 is 87, outside 0",
        ),
        ("c.csv", "x,y,class,confidence\n1,2,other,high\n", "confidence of row 1 is not a number: 'high'"),
        ("c.csv", "x,y,class,area_um2\n1,2,other,-5\n", "area_um2 of row 1 is -5, outside 0 to inf"),
        ("c.csv", "x,y,class,area_um2\n1,2,other,5\n3,4,other,inf\n", "area_um2 of row 2 is inf, outside 0"),
        ("c.csv", "x,y,class,abstained\n1,2,other,true\n3,4,other,maybe\n", "abstained of row 2 .* 'maybe'"),
        ("c.csv", "x,y,class\n1,2,other\n5,6,other\n1,2,other\n", "rows 1 and 3 are the same cell"),
        ("c.csv", "x,y,class,cell_id\n1,2,other,7\n5,6,other,7\n", "rows 1 and 2 have one cell_id: 7"),
        ("c.csv", "id,x,y,class\n7,1,2,other\n7,5,6,other\n", "rows 1 and 2 have one id: 7"),
        ("c.csv", "x,y,class\n1,2,other\n5,6,\n", r"row 2 has no class \(1 such rows\)"),
        ("c.csv", "a,b,class\n1,2,other\n", "there are a, b, class"),
        (
            "c.json",
            '[{"geometry": null, "properties": {"class": "other"}}]',
            "the geometry of row 1 is null",
        ),
    ],
)
def test_what_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(HistomeError, match=message):
        read_foreign_cells(tmp_path / name, MAPPING, mpp=0.5)


@pytest.fixture
def tissue():
    array = np.zeros((400, 400), np.uint8)
    array[20:380, 10:390] = 4
    return ClassMap(array, 2.0, TISSUE_CLASSES)


def cells_over(factor, rng):
    x, y = rng.uniform(30, 750, (2, 500)) * factor
    return pa.table({"x_um": x, "y_um": y})


def test_one_resolution_is_accepted(tissue):
    rng = np.random.default_rng(0)
    check_same_frame(cells_over(1, rng), tissue)
    check_same_frame(cells_over(0.7, rng), tissue)
    check_same_frame(pa.table({"x_um": [1e6], "y_um": [1e6]}), tissue)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 4.0])
def test_two_resolutions_are_refused(tissue, factor):
    x, y = np.random.default_rng(0).uniform(40, 760, (2, 500)) * factor
    x[0], y[0] = 779 * factor, 759 * factor
    with pytest.raises(HistomeError, match="not at one resolution"):
        check_same_frame(pa.table({"x_um": x, "y_um": y}), tissue)


def test_real_polygons(data_dir):
    path = data_dir("hgsc_cells") / "hgsc_nest.parquet"
    mapping = {
        "neoplastic": "carcinoma_cell",
        "connective": "fibroblast",
        "inflammatory": "lymphocyte",
        "dead": "other",
        "macrophage_cell": "macrophage",
        "macrophage_nucleus": "macrophage",
    }
    cells = read_foreign_cells(path, mapping, mpp=0.5)
    assert len(cells) == 1295
    assert 10 < np.nanmedian(cells["area_um2"].to_numpy()) < 100


def test_our_own_table_keeps_what_it_knows(tmp_path):
    classes = pa.array(["lymphocyte", "other"]).dictionary_encode()
    columns = {"x": [20.0, 110.0], "x_um": [10.0, 55.0], "confidence": pa.array([0.9, 0.4], pa.float32())}
    columns |= {"abstained": [False, True], "class": classes, "geometry": shapely.to_wkb(OUTLINES)}
    pq.write_table(pa.table(columns), tmp_path / "cells.parquet")
    cells = read_foreign_cells(tmp_path / "cells.parquet", {}, mpp=0.5)
    assert cells["class"].to_pylist() == ["lymphocyte", "other"]
    assert cells["abstained"].to_pylist() == [False, True]
    assert cells["confidence"].to_pylist() == pytest.approx([0.9, 0.4])
    with pytest.raises(HistomeError, match=r"made at 0\.5 um/px"):
        read_foreign_cells(tmp_path / "cells.parquet", {}, mpp=0.25)


def test_what_a_table_of_our_own_says_of_its_model_is_kept(tmp_path):
    write_geoparquet(tmp_path / "cells.parquet")
    table = pq.read_table(tmp_path / "cells.parquet")
    labels = {CLASS_LABELS: b'{"lymphocyte": "indirect"}'}
    pq.write_table(table.replace_schema_metadata(labels), tmp_path / "ours.parquet")
    kept = read_foreign_cells(tmp_path / "ours.parquet", MAPPING, mpp=0.5)
    assert support_texts(table_support(kept.schema)) == {"lymphocyte": "indirect"}
    assert table_support(read_foreign_cells(tmp_path / "cells.parquet", MAPPING, mpp=0.5).schema) == {}


@pytest.mark.parametrize("name", ["cells.tif", "cells.unknown"])
def test_an_ending_that_holds_no_cells_is_read_as_json(tmp_path, name):
    (tmp_path / name).write_text("no JSON")
    with pytest.raises(HistomeError, match="not valid JSON"):
        read_foreign_cells(tmp_path / name, {}, mpp=0.5)


QUPATH_TSV = (
    "Image\tObject ID\tClassification\tCentroid X {unit}\tCentroid Y {unit}\tNucleus: Area {unit}^2\n"
    "a.svs\tid-1\tneoplastic\t10.5\t20\t31\n"
    "a.svs\tid-2\tinflammatory\t30\t40.5\t28\n"
)


@pytest.mark.parametrize("unit", ["\u00b5m", "\u03bcm", "um"])
@pytest.mark.parametrize("ending", ["tsv", "txt", "csv"])
def test_measurements_that_qupath_exported(tmp_path, unit, ending):
    path = tmp_path / f"measurements.{ending}"
    path.write_text(QUPATH_TSV.format(unit=unit), encoding="utf-8")
    cells = read_foreign_cells(path, MAPPING, mpp=0.5)
    assert cells["x_um"].to_pylist() == [10.5, 30]
    assert cells["y"].to_pylist() == [40, 81]
    assert cells["class"].to_pylist() == ["carcinoma_cell", "lymphocyte"]


@pytest.mark.parametrize("rows", ["1.5;2;other\n3;4.5;other\n", "1,5;2;other\n3;4,5;other\n"])
def test_semicolons_with_points_and_with_commas(tmp_path, rows):
    path = tmp_path / "cells.csv"
    path.write_text("x;y;class\n" + rows)
    cells = read_foreign_cells(path, {}, mpp=1.0)
    assert cells["x"].to_pylist() == [1.5, 3]
    assert cells["y"].to_pylist() == [2, 4.5]


def test_our_names_in_any_case(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("x,y,class\n1,2,Carcinoma cell\n3,4,PLASMA_CELL\n5,6,fibroblast\n")
    cells = read_foreign_cells(path, {"fibroblast": "other"}, mpp=1.0)
    assert cells["class"].to_pylist() == ["carcinoma_cell", "plasma_cell", "other"]


def test_points_among_polygons_are_named(tmp_path):
    shapes = [*OUTLINES, shapely.Point(5, 5)]
    pq.write_table(
        pa.table({"geometry": shapely.to_wkb(shapes), "class": ["other"] * 3}), tmp_path / "c.parquet"
    )
    with pytest.raises(HistomeError, match="row 3 is a Point, not a Polygon or MultiPolygon"):
        read_foreign_cells(tmp_path / "c.parquet", {}, mpp=1.0)


def test_ids_of_features_are_looked_at(tmp_path):
    features = [
        {"id": "x", "geometry": shapely.geometry.mapping(outline), "properties": {"class": "other"}}
        for outline in OUTLINES
    ]
    (tmp_path / "c.geojson").write_text(json.dumps(features))
    with pytest.raises(HistomeError, match="rows 1 and 2 have one id: x"):
        read_foreign_cells(tmp_path / "c.geojson", {}, mpp=1.0)


def test_cells_that_all_lie_on_tissue_are_never_refused(tissue):
    x, y = np.random.default_rng(0).uniform(45, 385, (2, 500))
    x[0], y[0] = 779 / 2, 759 / 2  # exactly the upper left quarter
    check_same_frame(pa.table({"x_um": x, "y_um": y}), tissue)


def test_tissue_near_the_corner_only_is_not_taken_for_another_resolution():
    array = np.zeros((400, 400), np.uint8)
    array[:140, :120] = 4
    x, y = np.random.default_rng(0).uniform(0, 790, (2, 500))
    x[:150], y[:150] = x[:150] / 4, y[:150] / 4  # less than half of them on it
    check_same_frame(pa.table({"x_um": x * 0.9, "y_um": y}), ClassMap(array, 2.0, TISSUE_CLASSES))
