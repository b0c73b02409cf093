"""Nuclei of a file: every format gives the same nuclei, with the ids and classes of the file."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile
from PIL import Image

from histome.errors import HistomeError
from histome.interop.given import read_nuclei
from histome.slide import Mpp

SLIDE: Any = SimpleNamespace(
    id="s", path=Path("s.svs"), size_px=(400, 300), mpp=Mpp(0.5, 0.5, "file property")
)
OUTLINES = [shapely.box(10, 20, 30, 40), shapely.box(100, 100, 120, 130)]
IDS, NAMES = ["a", "b"], ["Tumor", "Immune cells"]


def feature(shape: Any, name: str | None, id_: str, **properties: Any) -> dict[str, Any]:
    kind = {"classification": {"name": name}} if name else {}
    return {
        "type": "Feature",
        "id": id_,
        "geometry": shapely.geometry.mapping(shape),
        "properties": {"objectType": "detection", **kind, **properties},
    }


def geojson(folder: Path, *features: dict[str, Any]) -> Path:
    path = folder / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def of_qupath(folder: Path) -> Path:
    found = [feature(*each) for each in zip(OUTLINES, NAMES, IDS, strict=True)]
    cell = {**found[1], "nucleusGeometry": found[1]["geometry"]}
    cell["geometry"] = shapely.geometry.mapping(OUTLINES[1].buffer(9))
    drawn = feature(shapely.box(0, 0, 300, 300), "Tumor", "region", objectType="annotation")
    return geojson(folder, drawn, found[0], cell)


def of_cellvit_geojson(folder: Path) -> Path:
    """One annotation a class, with all nuclei of it."""
    grouped = [
        feature(shapely.MultiPolygon([shape]), name, id_, objectType="annotation")
        for shape, name, id_ in zip(OUTLINES, NAMES, IDS, strict=True)
    ]
    return geojson(folder, *grouped)


def of_cellvit_json(folder: Path) -> Path:
    path = folder / "cells.json"
    corners = [shapely.get_coordinates(shape)[:-1].tolist() for shape in OUTLINES]
    cells = [{"contour": contour, "type": k} for k, contour in enumerate(corners)]
    path.write_text(json.dumps({"type_map": {"0": NAMES[0], "1": NAMES[1]}, "cells": cells}))
    return path


def of_parquet(folder: Path) -> Path:
    table = {"geometry": shapely.to_wkb(OUTLINES), "class": NAMES, "cell_id": [7, 8]}
    pq.write_table(pa.table(table), folder / "cells.parquet")
    return folder / "cells.parquet"


@pytest.mark.parametrize(
    ("write", "ids"),
    [
        (of_qupath, ["a", "b"]),
        (of_cellvit_geojson, ["a/1", "b/1"]),
        (of_cellvit_json, ["1", "2"]),
        (of_parquet, ["7", "8"]),
    ],
)
def test_every_format_gives_the_same_outlines(tmp_path: Path, write: Any, ids: list[str]) -> None:
    found = read_nuclei(write(tmp_path), SLIDE)
    assert [outline.bounds for outline in found.outlines] == [outline.bounds for outline in OUTLINES]
    np.testing.assert_allclose(found.shape[:, :3], [[10, 15, 100], [55, 57.5, 150]])
    assert (found.ids.tolist(), found.labels.tolist()) == (ids, NAMES)


def test_one_annotation_of_many_nuclei_is_many(tmp_path: Path) -> None:
    many = shapely.MultiPolygon([shapely.box(x, 5, x + 8, 12) for x in range(0, 100, 10)])
    found = read_nuclei(geojson(tmp_path, feature(many, "Tumor", "q", objectType="annotation")), SLIDE)
    assert found.ids.tolist() == [f"q/{k}" for k in range(1, 11)]
    assert set(found.labels) == {"Tumor"}
    # A detection of several parts is one nucleus.
    assert len(read_nuclei(geojson(tmp_path, feature(many, "Tumor", "q")), SLIDE)) == 1


@pytest.mark.parametrize("kind", ["points", "multipoint", "csv"])
def test_points_are_nuclei_without_a_shape(tmp_path: Path, kind: str) -> None:
    places = [shapely.Point(20, 30), shapely.Point(110, 115)]
    if kind == "points":
        path = geojson(tmp_path, *(feature(at, None, str(k)) for k, at in enumerate(places)))
    elif kind == "multipoint":
        path = geojson(tmp_path, feature(shapely.MultiPoint(places), "Tumor", "p", objectType="annotation"))
    else:
        path = tmp_path / "cells.csv"
        path.write_text("Object ID,x,y,class\nA,20,30,Tumor\nB,110,115,\n")
    found = read_nuclei(path, SLIDE)
    np.testing.assert_allclose(found.shape[:, :2], [[10, 15], [55, 57.5]])
    assert np.isnan(found.shape[:, 2:]).all()
    told = {"points": (["0", "1"], [None, None]), "multipoint": (["p/1", "p/2"], ["Tumor"] * 2)}
    assert (found.ids.tolist(), found.labels.tolist()) == told.get(kind, (["A", "B"], ["Tumor", None]))


@pytest.mark.parametrize(("ending", "scale"), [("tif", 1), ("png", 1), ("tif", 2)])
def test_a_label_image_keeps_its_numbers(tmp_path: Path, ending: str, scale: int) -> None:
    labels = np.zeros((300 // scale, 400 // scale), np.uint16)
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    labels[np.hypot(columns + 0.5 - 100 / scale, rows + 0.5 - 80 / scale) < 16 / scale] = 900
    labels[np.hypot(columns + 0.5 - 300 / scale, rows + 0.5 - 200 / scale) < 12 / scale] = 17
    labels[0, :3] = 17  # a crumb of the same number
    path = tmp_path / f"labels.{ending}"
    tifffile.imwrite(path, labels) if ending == "tif" else Image.fromarray(labels).save(path)
    found = read_nuclei(path, SLIDE)
    assert (found.ids.tolist(), found.labels.tolist()) == (["17", "900"], [None, None])
    np.testing.assert_allclose(found.shape[:, :2], [[150, 100], [50, 40]], atol=0.3)
    np.testing.assert_allclose(found.shape[:, 2], np.pi * np.array([36, 64]), rtol=0.06)
    assert (found.shape[:, 6] > 0.9).all()  # round: the outline is no staircase


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        ('{"type": "FeatureCollection", "features": []}', "a.geojson", "holds no nuclei"),
        ('{"cells": []}', "a.json", "holds no nuclei"),
        ("x,y\n1,2\n", "a.csv", "no column is called class"),
        ("not a picture", "a.png", "not a label image"),
        ("not a picture", "a.tif", "not a label image"),
        ("{", "a.geojson", "not valid JSON"),
    ],
)
def test_what_holds_no_nuclei_is_one_line(tmp_path: Path, content: str, name: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(HistomeError, match=told) as caught:
        read_nuclei(tmp_path / name, SLIDE)
    assert "\n" not in str(caught.value)


def test_a_picture_of_another_size_or_of_colors_is_no_label_image(tmp_path: Path) -> None:
    Image.fromarray(np.ones((300, 390), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(HistomeError, match=r"has 390 x 300 px, s.svs 400 x 300"):
        read_nuclei(tmp_path / "a.png", SLIDE)
    Image.new("RGB", (400, 300)).save(tmp_path / "b.png")
    with pytest.raises(HistomeError, match="one channel of whole numbers"):
        read_nuclei(tmp_path / "b.png", SLIDE)
    Image.fromarray(np.zeros((300, 400), np.uint8)).save(tmp_path / "c.png")
    with pytest.raises(HistomeError, match="holds no nuclei"):
        read_nuclei(tmp_path / "c.png", SLIDE)


def test_one_nucleus_twice_is_refused(tmp_path: Path) -> None:
    twice = geojson(tmp_path, *(feature(OUTLINES[0], "Tumor", id_) for id_ in IDS))
    with pytest.raises(HistomeError, match="rows 1 and 2 are the same cell"):
        read_nuclei(twice, SLIDE)
