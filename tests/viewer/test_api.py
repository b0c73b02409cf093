"""What the page is given: pixels, maps, cells and numbers, each the profile's own."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from fastapi.testclient import TestClient
from PIL import Image

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.interop import ForeignFiles, measure_files
from histome.slide import open_slide
from histome.viewer import Shelf, viewer_app
from histome.viewer.measures import SHOWN_METRICS

CORNERS = [[120.0, 90.0], [560.0, 130.0], [600.0, 420.0], [300.0, 520.0], [120.0, 90.0]]
REGION = {"type": "Polygon", "coordinates": [CORNERS]}


@pytest.fixture(scope="module")
def client(looked: Any) -> TestClient:
    return TestClient(viewer_app(Shelf(looked.out)))


@pytest.fixture(scope="module")
def at(client: TestClient) -> str:
    (entry,) = client.get("/slides").json()
    return f"/slides/{entry['key']}"


def test_the_list_tells_each_profile(client: TestClient, looked: Any) -> None:
    (entry,) = client.get("/slides").json()
    assert entry["name"] == "drawn"
    assert entry["state"] == "done"
    assert entry["cells"] == looked.profile.run["cells"]["counted"]
    assert str(looked.folder) not in json.dumps(entry)


def test_tiles_are_the_slides_own_pixels(client: TestClient, at: str, looked: Any) -> None:
    told = client.get(at).json()
    assert told["size"] == [700, 600]
    assert told["missing"] == ""
    shapes = {}
    for place in ("0/0/0", "0/1/1", "1/0/0"):
        answer = client.get(f"{at}/image/{place}")
        shapes[place] = np.array(Image.open(io.BytesIO(answer.content))).shape
    assert shapes == {"0/0/0": (512, 512, 3), "0/1/1": (88, 188, 3), "1/0/0": (300, 350, 3)}
    with open_slide(looked.slide) as slide:
        pixels = slide.read(0, 0, size=(512, 512)).astype(int)
    tile = np.array(Image.open(io.BytesIO(client.get(f"{at}/image/0/0/0").content))).astype(int)
    assert np.abs(tile - pixels).mean() < 6  # JPEG


def test_a_map_is_drawn_in_its_colors_where_its_classes_are(client: TestClient, at: str, looked: Any) -> None:
    tissue = looked.profile.tissue.map
    bit = {entry["key"]: entry["bit"] for entry in client.get(at).json()["maps"]["tissue"]}
    name = max(TISSUE_CLASSES, key=tissue.area_um2)
    answer = client.get(f"{at}/map/tissue/0/0/0?shown={1 << bit[name]}")
    alpha = np.array(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[..., 3] > 0
    centers = (np.arange(512) + 0.5) * looked.profile.run["slide"]["mpp"]["x"]
    here = tissue.at(centers[None, :], centers[:, None]) == tissue.code(name)
    assert 0 < here.mean() < 1
    # Where a border lies, the pixel on the other side of it is part of the line.
    assert (alpha[here]).all()
    assert (alpha & ~here).mean() < 0.05
    lines = np.array(Image.open(io.BytesIO(client.get(f"{answer.url}&lines=true").content)).convert("RGBA"))
    assert 0 < (lines[..., 3] > 0).sum() < alpha.sum()


def test_cells_are_packed_row_by_row(client: TestClient, at: str, looked: Any) -> None:
    cells, data = looked.profile.cells, client.get(f"{at}/cells").content
    n = len(cells)
    assert len(data) == 11 * n
    xy = np.frombuffer(data, "<f4", 2 * n).reshape(-1, 2)
    kinds, confidence = (np.frombuffer(data, "u1", n, offset) for offset in (8 * n, 9 * n))
    assert np.allclose(xy, np.column_stack([cells["x"], cells["y"]]), atol=1e-2)
    assert [CELL_CLASSES[k] for k in kinds] == cells["class"].to_pylist()
    assert np.allclose(confidence / 255, cells["confidence"], atol=0.003)


def test_outlines_are_those_of_the_cells_in_a_square(client: TestClient, at: str, looked: Any) -> None:
    data = client.get(f"{at}/outlines/1/0").content
    n = int(np.frombuffer(data, "<u4", 1)[0])
    rows, corners = np.frombuffer(data, "<u4", 2 * n, 4).reshape(2, n)
    xy = np.frombuffer(data, "<f4", -1, 4 + 8 * n).reshape(-1, 2)
    cells = looked.profile.cells
    x, y = cells["x"].to_numpy(), cells["y"].to_numpy()
    assert set(rows) == set(np.flatnonzero((x >= 512) & (y < 512)))
    assert n > 5
    for row, ring in zip(rows, np.split(xy, np.cumsum(corners)[:-1]), strict=True):
        outline = shapely.from_wkb(cells["geometry"][int(row)].as_py())
        assert shapely.Polygon(ring).equals_exact(outline, 1e-3)


def test_a_cell_is_told_with_its_probabilities(client: TestClient, at: str, looked: Any) -> None:
    told, row = client.get(f"{at}/cells/7").json(), looked.profile.cells.slice(7, 1).to_pylist()[0]
    values = {each["name"]: each["value"] for each in told["values"]}
    assert values["cell_id"] == row["cell_id"]
    assert values["area_um2"] == row["area_um2"]
    assert told["probabilities"] == {name: row[f"p_{name}"] for name in CELL_CLASSES}


def test_the_slides_numbers_are_the_tables(client: TestClient, at: str, looked: Any) -> None:
    told = client.post(f"{at}/metrics", json={}).json()
    assert [row["name"] for row in told["rows"]] == list(SHOWN_METRICS)
    for row in told["rows"]:
        assert row["value"] == looked.profile[row["name"]].value
    found = client.post(f"{at}/metrics", json={"words": ["lymphocyte", "stroma"]}).json()
    assert found["found"] > len(found["rows"]) > 5


def test_a_regions_numbers_are_those_of_metrics_run(
    client: TestClient, at: str, looked: Any, tmp_path: Path
) -> None:
    """The same region in a file, measured by the command on the profile's own files."""
    feature = {"type": "Feature", "properties": {"classification": {"name": "A"}}, "geometry": REGION}
    (tmp_path / "regions.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    path = looked.profile.path
    files = ForeignFiles(path / "cells/cells.parquet", path / "tissue/tissue.ome.tif", 0.5)
    per = f"region:{tmp_path}/regions.geojson"
    measure_files(files, tmp_path / "run", config=looked.config.metrics, per=per, any_frame=True)
    parts = {row["name"]: row for row in pq.read_table(tmp_path / "run" / "parts.parquet").to_pylist()}
    compared = 0
    for words in ([], ["CELL_DENSITY_*"], ["NUCLEUS_AVG_AREA*"]):
        for row in client.post(f"{at}/metrics", json={"words": words, "region": REGION}).json()["rows"]:
            part = parts.get(row["name"])
            if part is None:  # of a family that the profile was not measured with
                continue
            # The command measures nuclei anew, on the outlines of the file, whose corners are simplified.
            rounded = 0.03 if row["name"].startswith("NUCLEUS_") else 1e-9
            same = part["value"] if part["value"] is None else pytest.approx(part["value"], rel=rounded)
            assert row["value"] == same, row["name"]
            assert row["reason"] == (part["reason"] or ""), row["name"]
            compared += 1
    assert compared > 70
    shown = client.post(f"{at}/metrics", json={"region": REGION}).json()["rows"]
    cells = next(row for row in shown if row["name"] == "CELL_N_TOTAL")
    assert 20 < cells["value"] < looked.profile["CELL_N_TOTAL"].value


def test_a_region_without_tissue_says_so(client: TestClient, at: str) -> None:
    away = {"type": "Polygon", "coordinates": [[[5000, 5000], [5100, 5000], [5100, 5100], [5000, 5000]]]}
    answer = client.post(f"{at}/metrics", json={"region": away})
    assert answer.status_code == 422
    assert "no analyzed tissue" in answer.json()["error"]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": "x"},
        {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 1e999], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, k % 7] for k in range(30_000)] + [[0, 0]]]},
    ],
)
def test_what_is_no_region_is_refused_in_a_line(client: TestClient, at: str, geometry: Any) -> None:
    body = json.dumps({"region": geometry}).replace("Infinity", "1e999")
    answer = client.post(f"{at}/metrics", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "\n" not in answer.text


def test_a_heat_map_is_the_metric_of_each_tile(client: TestClient, at: str, looked: Any) -> None:
    told = client.post(f"{at}/heat", json={"metric": "CELL_COUNT_LYMPHOCYTE", "tile": "100um"}).json()
    assert told["size_um"] == 100
    assert len(told["tiles"]) > 6
    assert sum(tile["value"] or 0 for tile in told["tiles"]) == looked.profile["CELL_COUNT_LYMPHOCYTE"].value
    assert {tile["x"] % 100 for tile in told["tiles"]} == {0}
    assert client.post(f"{at}/heat", json={"metric": "NO_SUCH", "tile": "100um"}).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "image/0/9/0",
        "image/-1/0/0",
        "image/9/0/0",
        "map/nothing/0/0/0",
        "cells/-1",
        "cells/1000000",
        "../out",
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, at: str, path: str) -> None:
    assert client.get(f"{at}/{path}").status_code == 404


def test_only_the_pages_own_files_are_given(client: TestClient) -> None:
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/page/deck.js").status_code == 200
    assert b"Permission is hereby granted" in client.get("/page/deck.LICENSE.txt").content
    for name in ("api.py", "..%2fapi.py", "%2e%2e/api.py", "nothing.js"):
        assert client.get(f"/page/{name}").status_code == 404


def test_a_profile_that_was_refused_is_shown_as_far_as_it_goes(looked: Any) -> None:
    from histome.viewer.packing import pack_cells, pack_outlines

    view = SimpleNamespace(cells=None, centers=np.zeros((0, 2), np.float32), mpp=(0.5, 0.5))
    assert pack_cells(view) == b""  # type: ignore[arg-type]
    assert pack_outlines(view, 0, 0) == bytes(4)  # type: ignore[arg-type]


def test_the_map_of_carcinoma_is_its_probability(client: TestClient, at: str, looked: Any) -> None:
    assert client.get(at).json()["shares"] == {"carcinoma": "Probability of carcinoma"}
    tissue = looked.profile.tissue
    answer = client.get(f"{at}/map/carcinoma/0/0/0")
    tile = Image.open(io.BytesIO(answer.content))
    step = int(tissue.map.mpp / 0.5)
    plane = np.asarray(tissue.probabilities.array[0])
    analyzed = tissue.map.array > 0
    expected = np.where(analyzed, np.maximum(plane, 1), 0)[: 512 // step, : 512 // step]
    codes = np.array(tile)[step // 2 :: step, step // 2 :: step]
    assert (codes[: expected.shape[0], : expected.shape[1]] == expected).all()
    alpha = np.array(tile.convert("RGBA"))[..., 3][step // 2 :: step, step // 2 :: step]
    assert (alpha[codes > 128] == 255).all()  # what is unlikely fades: the slide keeps its colors
    assert (alpha[codes < 2] == 0).all()
    assert client.get(f"{at}/map/pixies/0/0/0").status_code == 404
