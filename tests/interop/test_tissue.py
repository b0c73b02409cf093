"""Foreign tissue: formats, class maps, damaged files."""

import gzip
import json
from itertools import permutations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile

from histome.classes import TISSUE_CLASSES
from histome.errors import HistomeError, UsageError
from histome.geotable import write_geo_table
from histome.interop.formats import read_shapes, read_tissue
from histome.interop.labels import read_labels
from histome.slide import ClassMap, Frame
from histome.tissue import find_regions

MAPPING = {"tumor": "CARCINOMA", "muscle": "STROMA"}
BOXES = [("tumor", shapely.box(0, 0, 100, 100)), ("muscle", shapely.box(100, 0, 200, 100))]


def feature(label, geometry, **more):
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(geometry),
        "properties": {"classification": {"name": label}},
        **more,
    }


def collection(boxes=BOXES):
    return {"type": "FeatureCollection", "features": [feature(*box) for box in boxes]}


@pytest.fixture(params=["geojson", "json list", "geojson.gz", "parquet"])
def tissue_file(request, tmp_path):
    path = tmp_path / f"tissue.{request.param.split()[0]}"
    if request.param == "parquet":
        geometry = [shapely.to_wkb(box) for _, box in BOXES]
        pq.write_table(pa.table({"geometry": geometry, "class_name": [label for label, _ in BOXES]}), path)
        return path
    data = json.dumps(collection()["features"] if "list" in request.param else collection()).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_polygons_become_a_class_map(tissue_file):
    tissue = read_tissue(tissue_file, MAPPING, mpp=0.5).map
    assert tissue.mpp == 2.0
    assert tissue.classes == TISSUE_CLASSES
    assert tissue.array.shape == (25, 50)
    assert tissue.area_um2("CARCINOMA") == tissue.area_um2("STROMA") == 50 * 50


def test_unmapped_labels_are_all_listed(tissue_file):
    with pytest.raises(HistomeError, match=r"no class for muscle, tumor; add them to \[tissue\]"):
        read_tissue(tissue_file, {}, mpp=0.5)


def test_our_own_names_need_no_mapping(tmp_path):
    path = tmp_path / "t.geojson"
    path.write_text(json.dumps(collection([("NECROSIS", shapely.box(0, 0, 4, 4))])))
    assert read_tissue(path, {}, mpp=2.0).map.area_um2("NECROSIS") == 64


def test_label_image_with_and_without_a_resolution(tmp_path):
    labels = np.zeros((40, 60), np.uint16)
    labels[:20], labels[20:, 30:] = 7, 300
    mapping = {"7": "BLOOD", "300": "VESSEL"}
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, labels)
    tissue = read_tissue(plain, mapping, mpp=0.5).map
    assert tissue.mpp == 0.5
    assert tissue.area_um2("BLOOD") == 20 * 60 * 0.25
    stated = tmp_path / "stated.ome.tif"
    tifffile.imwrite(
        stated, labels, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 4.0, "PhysicalSizeY": 4.0}
    )
    assert read_tissue(stated, mapping, mpp=0.5).map.mpp == 4.0
    with pytest.raises(HistomeError, match="no class for 300, 7"):
        read_tissue(plain, {}, mpp=0.5)


def test_our_own_class_map_is_read_back(tmp_path):
    tissue = ClassMap(
        np.random.default_rng(0).integers(0, 8, (300, 200)).astype(np.uint8), 2.0, TISSUE_CLASSES
    )
    tissue.save(tmp_path / "tissue.ome.tif")
    again = read_tissue(tmp_path / "tissue.ome.tif", {}, mpp=0.25).map
    assert again.mpp == 2.0
    assert np.array_equal(again.array, tissue.array)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.geojson", b"", "not valid JSON"),
        ("t.geojson", b"[" * 200_000, "not valid JSON"),
        ("t.geojson", b'{"type": "FeatureCollection", "features": [1]}', "not GeoJSON features"),
        ("t.geojson", b'[{"geometry": {"type": "Blob"}}]', "not valid GeoJSON"),
        ("t.geojson.gz", b"not gzip", "cannot be read"),
        ("t.parquet", b"PAR1", "not a Parquet file"),
        ("t.tif", b"II*\x00", "not a TIFF"),
        ("missing.geojson", None, "there is no such file"),
        ("t.geojson", b"[]", "holds no polygons of tissue"),
        (
            "t.geojson",
            b'[{"geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"class": "STROMA"}}]',
            "the geometry of row 1 is a Point, not a Polygon or MultiPolygon",
        ),
    ],
)
def test_damaged_files_are_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HistomeError, match=message) as caught:
        read_tissue(path, {}, mpp=0.5)
    assert str(path) in str(caught.value)


def test_empty_and_infinite_geometries_are_named(tmp_path):
    path = tmp_path / "t.geojson"
    path.write_text(json.dumps(collection([*BOXES, ("tumor", shapely.Polygon())])))
    with pytest.raises(HistomeError, match="geometry of row 3 is empty"):
        read_shapes(path)
    path.write_text(json.dumps(collection([("tumor", shapely.box(0, 0, 1e9, 1e9))])))
    with pytest.raises(HistomeError, match="reach over"):
        read_tissue(path, MAPPING, mpp=0.5)


def test_class_maps_are_checked(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text('[cells]\nneoplastic = "carcinoma_cell"\n[tissue]\ntumor = "CARCINOMA"\n')
    labels = read_labels(path)
    assert labels.cells == {"neoplastic": "carcinoma_cell"}
    assert labels.tissue == {"tumor": "CARCINOMA"}
    path.write_text('[cells]\na = "tumour"\nb = "lymph"\n')
    with pytest.raises(UsageError, match="unknown classes lymph, tumour; ours are carcinoma_cell"):
        read_labels(path)
    path.write_text("[nuclei]\n")
    with pytest.raises(UsageError, match=r"\[nuclei\] is not one of the tables"):
        read_labels(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_labels(tmp_path / "no.toml")


def test_an_ending_that_holds_no_polygons_is_read_as_json(tmp_path):
    (tmp_path / "tissue.csv").write_text("x,y\n1,2\n")
    with pytest.raises(HistomeError, match="not valid JSON"):
        read_tissue(tmp_path / "tissue.csv", {}, mpp=0.5)


def test_the_smallest_polygon_lies_on_top_in_any_order(tmp_path):
    nest = [("muscle", shapely.box(0, 0, 100, 100)), ("tumor", shapely.box(20, 20, 60, 60))]
    nest.append(("muscle", shapely.box(30, 30, 40, 40)))
    maps = []
    for order in permutations(nest):
        (tmp_path / "t.geojson").write_text(json.dumps(collection(order)))
        maps.append(read_tissue(tmp_path / "t.geojson", MAPPING, mpp=2.0))
    assert all(np.array_equal(found.map.array, maps[0].map.array) for found in maps)
    assert maps[0].map.area_um2("CARCINOMA") == (1600 - 100) * 4
    assert maps[0].overlap_um2 == maps[5].overlap_um2 == (1600 + 100) * 4


def test_tissue_before_the_corner_is_kept(tmp_path):
    (tmp_path / "t.geojson").write_text(json.dumps(collection([("tumor", shapely.box(-30, -10, 50, 10))])))
    tissue = read_tissue(tmp_path / "t.geojson", MAPPING, mpp=1.0, map_mpp=2.0).map
    assert tissue.area_um2("CARCINOMA") == 80 * 20
    assert tissue.origin_px == (-15, -5)
    assert tissue.at([-29.0, 49.0, 51.0], [-9.0, 9.0, 0.0]).tolist() == [1, 1, 0]


def test_our_own_regions_come_back_as_the_map_they_were_found_in(tmp_path, rng):
    """Level-0 px, so at the slide's um per px and no other; as parts of a slide too."""
    codes = np.kron(rng.integers(1, 5, (6, 8)), np.ones((20, 20), int)).astype(np.uint8)
    frame = Frame("own", (1280, 960), (0.25, 0.25))
    made = ClassMap(codes, 2.0, TISSUE_CLASSES, frame=frame)
    write_geo_table(find_regions(made, min_um2=0), tmp_path / "regions.parquet")
    back = read_tissue(tmp_path / "regions.parquet", {}, mpp=0.25).map
    np.testing.assert_array_equal(back.array, codes)
    shapes = read_shapes(tmp_path / "regions.parquet")
    assert shapely.total_bounds(shapes.geometry).tolist() == [0, 0, 1280, 960]


def test_our_own_class_map_keeps_what_it_knows_of_its_picture(tmp_path):
    frame = Frame("own", (13, 9), (0.5, 0.5))
    made = ClassMap(np.full((3, 4), 4, np.uint8), 2.0, TISSUE_CLASSES, frame=frame)
    made.save(tmp_path / "tissue.ome.tif")
    read = read_tissue(tmp_path / "tissue.ome.tif", {}, mpp=1.0).map
    assert read.area_um2("STROMA") == made.area_um2("STROMA") == 6.5 * 4.5


def test_polygons_that_are_called_glands_are_glands(tmp_path):
    mapping = MAPPING | {
        "Gland": "EPITHELIAL_TISSUE",
        "malignant gland": "CARCINOMA",
        "glandular stroma": "STROMA",
    }
    boxes = [("Gland", shapely.box(0, 0, 50, 50)), ("malignant gland", shapely.box(50, 0, 90, 50)), *BOXES]
    boxes.append(("glandular stroma", shapely.box(300, 0, 310, 10)))
    (tmp_path / "t.geojson").write_text(json.dumps(collection(boxes)))
    glands = read_tissue(tmp_path / "t.geojson", mapping, mpp=0.5).glands
    assert sorted(zip(shapely.area(glands.shape).tolist(), glands.tissue.tolist(), strict=True)) == [
        (20 * 25, "CARCINOMA"),
        (25 * 25, "EPITHELIAL_TISSUE"),
    ]
    (tmp_path / "t.geojson").write_text(json.dumps(collection()))
    assert read_tissue(tmp_path / "t.geojson", MAPPING, mpp=0.5).glands is None


def test_a_class_map_with_a_mark_at_its_beginning_is_read(tmp_path):
    (tmp_path / "map.toml").write_text("[cells]\nTumor = 'carcinoma_cell'\n", encoding="utf-8-sig")
    assert read_labels(tmp_path / "map.toml").cells == {"Tumor": "carcinoma_cell"}
