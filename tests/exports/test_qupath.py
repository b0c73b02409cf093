"""GeoJSON for QuPath: its rules, and the way back."""

import gzip
import json
import uuid
import zipfile

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from histome.cells import write_cells
from histome.classes import CELL_CLASSES
from histome.colors import CELL_COLORS, rgb
from histome.exports import export_profile
from histome.exports.geojson_bytes import NULL, Detections, Wording, write_detections
from histome.exports.place import place_of
from histome.exports.qupath import MEASURES, write_features
from histome.interop import read_foreign_cells, read_shapes


@pytest.fixture(scope="module")
def written(kept, tmp_path_factory):
    return export_profile(kept, "qupath", tmp_path_factory.mktemp("qupath") / "drawn.zip")


@pytest.fixture(scope="module")
def features(written):
    return json.loads(unpacked(written))["features"]


def unpacked(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["qupath.geojson"]
        return archive.read("qupath.geojson")


def of_type(features, kind):
    return [each for each in features if each["properties"]["objectType"] == kind]


def test_it_is_what_qupath_writes_itself(features):
    """The keys are those of QuPath's own writer since 0.4: a UUID, a color and a map of measurements each."""
    ids = [uuid.UUID(each["id"]) for each in features]
    assert len(set(ids)) == len(ids)
    for each in features:
        assert set(each) == {"type", "id", "geometry", "properties"}
        assert each["type"] == "Feature"
        about = each["properties"]
        assert about["objectType"] in ("detection", "annotation")
        assert set(about["classification"]) == {"name", "color"}
        assert all(isinstance(part, int) and 0 <= part <= 255 for part in about["classification"]["color"])
        assert all(isinstance(value, int | float) for value in about["measurements"].values())
        for ring in each["geometry"]["coordinates"] if each["geometry"]["type"] == "Polygon" else ():
            assert ring[0] == ring[-1]
            assert len(ring) >= 4


def test_outlines_come_back_to_a_tenth_of_a_pixel(kept, features, tmp_path):
    cells = of_type(features, "detection")
    file = tmp_path / "cells.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": cells}))
    back, own = read_shapes(file), shapely.from_wkb(kept.cells["geometry"].to_numpy())
    assert len(back.geometry) == len(own) == 108
    moved = np.abs(shapely.get_coordinates(back.geometry) - shapely.get_coordinates(own))
    assert moved.max() <= 0.05 + 1e-9
    table = read_foreign_cells(file, {}, mpp=1.0)
    assert table["class"].to_pylist() == kept.cells["class"].to_pylist()


def test_classes_measurements_and_numbers_are_the_tables(kept, features):
    rows = kept.cells.to_pylist()
    for row, feature in zip(rows, of_type(features, "detection"), strict=True):
        about = feature["properties"]
        assert int(feature["id"][-12:], 16) == row["cell_id"]
        assert about["classification"]["name"] == row["class"].replace("_", " ").capitalize()
        assert tuple(about["classification"]["color"]) == rgb(CELL_COLORS[row["class"]])
        for name, (column, decimals) in MEASURES.items():
            if row[column] is None:
                assert name not in about["measurements"]
            else:
                assert about["measurements"][name] == pytest.approx(
                    float(row[column]), abs=0.5 * 10**-decimals + 1e-9
                )


def test_tissue_and_what_was_not_measured_are_locked_annotations(kept, features):
    notes = of_type(features, "annotation")
    names = [each["properties"]["classification"]["name"] for each in notes]
    assert sorted(set(names)) == ["Carcinoma", "Marker", "Stroma", "Vessel"]
    assert all(each["properties"]["isLocked"] for each in notes)
    vessel = shapely.geometry.shape(notes[names.index("Vessel")]["geometry"])
    assert vessel.bounds == (960.0, 160.0, 1200.0, 280.0)  # 240-300 um, 80-140 um at 0.25 x 0.5 um/px


def test_the_place_is_told(written, kept):
    told = json.loads(unpacked(written))["histome"]
    assert told["px_to_um"] == [[0.25, 0, 0], [0, 0.5, 0], [0, 0, 1]]
    assert told["slide"] == "drawn"


def test_packed_or_not_it_is_the_same_text(kept, written, tmp_path):
    """QuPath opens .geojson, and .zip by the names of its entries; not .gz, which others do."""
    plain = export_profile(kept, "qupath", tmp_path / "drawn.geojson").read_bytes()
    assert plain == unpacked(written)
    assert plain == gzip.decompress(
        export_profile(kept, "qupath", tmp_path / "drawn.geojson.gz").read_bytes()
    )
    assert export_profile(kept, "qupath", tmp_path / "a.zip").read_bytes() == written.read_bytes()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)), min_size=3, max_size=9),
    st.lists(st.one_of(st.just(NULL), st.integers(-(10**12), 10**12)), min_size=3, max_size=3),
    st.integers(0, 16**12 - 1),
)
def test_every_number_is_written_as_it_is(corners, measures, number):
    found = Detections(
        np.array([number]),
        np.array(corners, np.int64),
        np.array([len(corners)]),
        np.array([1]),
        np.array([measures]),
    )
    words = Wording(b"00000000-0000-4000-8000-", [b'"a"', b'"b"'], [b'"x"', b'"y"', b'"z"'], (0, 2, 4))
    text = write_detections(found, words)
    assert text.endswith(b"},")
    feature = json.loads(text[:-1])
    assert feature["id"] == f"00000000-0000-4000-8000-{number:012x}"
    assert feature["geometry"]["coordinates"] == [[[x / 10, y / 10] for x, y in corners]]
    expected = zip("xyz", measures, (0, 2, 4), strict=True)
    assert feature["properties"]["measurements"] == {
        name: value / 10**digits for name, value, digits in expected if value != NULL
    }
    assert feature["properties"]["classification"] == "b"


def test_every_class_has_its_color(features):
    assert {each["properties"]["classification"]["name"] for each in of_type(features, "detection")} == {
        name.replace("_", " ").capitalize() for name in CELL_CLASSES
    }


def test_nuclei_that_are_points_are_octagons_round_them(kept, tmp_path):
    own = shapely.from_wkb(kept.cells["geometry"].to_numpy())
    centers = shapely.centroid(own)
    column = kept.cells.schema.get_field_index("geometry")
    write_cells(
        kept.cells.set_column(column, kept.cells.schema.field(column), pa.array(shapely.to_wkb(centers))),
        tmp_path / "cells.parquet",
    )
    write_features(tmp_path / "cells.geojson", place_of(kept), [], tmp_path / "cells.parquet")
    back = read_shapes(tmp_path / "cells.geojson").geometry
    assert (shapely.get_num_coordinates(back) == 9).all()
    assert shapely.distance(shapely.centroid(back), centers).max() < 0.1
