"""Files of another program in, metrics out: the library call and the command line."""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import shapely.affinity

from histome.cli import main
from histome.config import MetricsConfig
from histome.errors import HistomeError, OutputError, UsageError
from histome.interop.foreign_files import ForeignFiles, measure_files
from histome.metrics.catalogue import list_metrics
from histome.store.slide_row import ROW_HEAD

CLASSES = """
[cells]
neoplastic = "carcinoma_cell"
immune = "lymphocyte"
[tissue]
tumor = "CARCINOMA"
stroma = "STROMA"
"""


def feature(label, shape):
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shape),
        "properties": {"classification": {"name": label}},
    }


@pytest.fixture
def files(tmp_path):
    """Two half-planes of 400 x 800 px at 0.5 um/px, 60 nuclei in each."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(20, 380, 120), rng.uniform(20, 780, 120)
    x[60:] += 400
    nuclei = [shapely.affinity.scale(disc, 1.25, 0.8) for disc in shapely.buffer(shapely.points(x, y), 6)]
    labels = ["neoplastic"] * 60 + ["immune"] * 60
    cells, tissue, classes = (tmp_path / name for name in ("cells.geojson", "tissue.geojson", "map.toml"))
    cells.write_text(json.dumps([feature(*each) for each in zip(labels, nuclei, strict=True)]))
    halves = [("tumor", shapely.box(0, 0, 400, 800)), ("stroma", shapely.box(400, 0, 800, 800))]
    tissue.write_text(json.dumps([feature(*half) for half in halves]))
    classes.write_text(CLASSES)
    return ForeignFiles(cells, tissue, 0.5, classes)


def test_metrics_row_and_run_are_written(files, tmp_path):
    out = tmp_path / "out"
    table = measure_files(files, out)
    found = dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert found["CELL_COUNT_LYMPHOCYTE_STROMA"] == 60
    assert found["ABSOLUTE_AREA_CARCINOMA"] == 200 * 400
    assert found["REGION_COUNT_STROMA"] == 1
    assert found["MPP_USED"] == 0.5
    assert found["NUCLEUS_AVG_AREA_LYMPHOCYTE"] == pytest.approx(np.pi * 9, rel=0.03)
    assert pq.read_table(out / "metrics.parquet").equals(table)
    names, values = (line.split(",") for line in (out / "slide.csv").read_text().splitlines())
    assert names == [*ROW_HEAD, *(metric.name for metric in list_metrics())]
    about = dict(zip(ROW_HEAD, values, strict=False))
    assert (about["slide"], about["file"], about["state"]) == ("cells", "cells.geojson", "done")
    assert (about["mpp_x"], about["warnings"]) == ("0.5", "0")
    assert len(values) == len(names)
    run = json.loads((out / "run.json").read_text())
    assert run["metrics"]["declared"] == 8876
    assert 0 < run["metrics"]["finite"] < 8876
    named = {"cells": "cells.geojson", "tissue": "tissue.geojson", "classes": "map.toml"}
    assert {name: run["input"][name]["file"] for name in named} == named
    assert run["input"]["mpp"] == 0.5
    assert run["input"]["cells"]["sha256"] == hashlib.sha256(files.cells.read_bytes()).hexdigest()
    assert run["cells_on_tissue"] == 1
    assert run["warnings"] == []
    written = ["metrics.parquet", "run.json", "slide.csv", "slide.units.csv"]
    assert sorted(path.name for path in out.iterdir()) == written
    header, units = (line.split(",") for line in (out / "slide.units.csv").read_text().splitlines())
    assert header == names
    assert units[len(ROW_HEAD) :] == table["unit"].to_pylist()
    assert dict(zip(header, units, strict=True))["mpp_x"] == "um/px"


def test_two_runs_are_the_same_bytes(files, tmp_path):
    for name in ("a", "b"):
        measure_files(files, tmp_path / name, workers=1 + (name == "b"))
    for file in ("metrics.parquet", "slide.csv", "slide.units.csv", "run.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(("per", "parts"), [("piece", 1), ("tile:200um", 4), ("region", 2)])
def test_parts_are_written_too(files, tmp_path, per, parts):
    where = f"{per}:{files.tissue}" if per == "region" else per
    measure_files(files, tmp_path / "out", per=where)
    table = pq.read_table(tmp_path / "out" / "parts.parquet")
    assert len(table) == parts * 8876
    if per == "region":
        assert table["part"].unique().to_pylist() == ["tumor", "stroma"]


def test_parts_of_an_earlier_run_do_not_stay(files, tmp_path):
    out, config = tmp_path / "out", MetricsConfig(families=("total-area",))
    measure_files(files, out, per="piece", config=config)
    measure_files(files, out, config=config)
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.parquet",
        "run.json",
        "slide.csv",
        "slide.units.csv",
    ]


def test_a_profile_is_not_written_over(files, tmp_path):
    (tmp_path / "run.json").write_text('{"format": "histome profile 1"}')
    with pytest.raises(OutputError, match="holds a profile or something else"):
        measure_files(files, tmp_path)
    assert not (tmp_path / "metrics.parquet").exists()


def test_regions_are_told_apart_and_those_that_hold_nothing_are_told(files, tmp_path):
    regions, out = tmp_path / "regions.geojson", tmp_path / "out"
    boxes = [("A", 0), ("A", 200), ("A 1", 400), ("off", 9000), ("beside", -9000)]
    regions.write_text(json.dumps([feature(name, shapely.box(x, 0, x + 200, 200)) for name, x in boxes]))
    config = MetricsConfig(families=("total-area",))
    measure_files(files, out, per=f"region:{regions}", config=config)
    assert pq.read_table(out / "parts.parquet")["part"].to_pylist() == ["A 2", "A 3", "A 1"]
    assert json.loads((out / "run.json").read_bytes())["warnings"] == [
        "region beside holds no analyzed tissue and is left out",
        "region off holds no analyzed tissue and is left out",
    ]


def test_what_is_refused(files, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="um per px lie between"):
        measure_files(ForeignFiles(files.cells, files.tissue, -1.0, files.classes), out)
    with pytest.raises(HistomeError, match="no class for immune, neoplastic"):
        measure_files(ForeignFiles(files.cells, files.tissue, 0.5), out)
    with pytest.raises(UsageError, match="metrics per region need polygons"):
        measure_files(files, out, per="region")
    assert not out.exists()


def run(*words):
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code


def test_holes_in_the_tumor_are_kept_on_request(files, tmp_path):
    hole = shapely.box(1400, 1400, 2600, 2600)  # 0.36 mm2 of stroma in 4 mm2 of carcinoma
    tissue = [feature("tumor", shapely.box(0, 0, 4000, 4000)), feature("stroma", hole)]
    files.tissue.write_text(json.dumps(tissue))
    words = ["--cells", files.cells, "--tissue", files.tissue, "--classes", files.classes, "--mpp", 0.5]
    found = {}
    for mm2 in ("default", 0):
        out, option = tmp_path / f"{mm2}", [] if mm2 == "default" else ["--largest-hole", mm2]
        assert run("metrics", "run", *words, "-o", out, "--any-frame", "--per", "tile:4000um", *option) == 0
        tables = [pq.read_table(out / file) for file in ("metrics.parquet", "parts.parquet")]
        found[mm2] = [
            dict(zip(each["name"].to_pylist(), each["value"].to_pylist(), strict=True)) for each in tables
        ]
    for whole in found["default"]:
        assert whole["RELATIVE_AREA_STROMA_IN_TUMOR_CORE"] == pytest.approx(0.36, abs=0.01)
    for whole in found[0]:
        assert whole["ABSOLUTE_AREA_STROMA_IN_OUTER_INVASIVE_MARGIN"] == pytest.approx(0.36, abs=0.01)
    assert json.loads((tmp_path / "0" / "run.json").read_text())["zones"]["largest_hole_um2"] == 0


def test_command_line(files, tmp_path, capsys):
    words = ["--cells", files.cells, "--tissue", files.tissue, "--classes", files.classes]
    assert run("metrics", "run", *words, "--mpp", 0.5, "-o", tmp_path / "out", "--confident-only") == 0
    told = capsys.readouterr().out
    assert "8,876 metrics" in told
    assert "Lymphocytes per mm² of stroma: " in told
    assert (tmp_path / "out" / "metrics.parquet").exists()
    assert run("metrics", "run", *words, "--mpp", 99, "-o", tmp_path / "no") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_names_are_listed_one_a_line(capsys):
    assert run("metrics", "list") == 0
    assert capsys.readouterr().out.splitlines() == [metric.name for metric in list_metrics()]
    assert run("metrics", "list", "tumor-zones") == 0
    assert len(capsys.readouterr().out.splitlines()) == 10
    assert run("metrics", "families") == 0
    assert "cross-l                  405  Cross L" in capsys.readouterr().out
    assert run("metrics", "schema", "--format", "xml") == 2


def moved(files, tmp_path, by_px):
    """The same files, everything moved right and down."""
    paths = []
    for path in (files.cells, files.tissue):
        features = json.loads(path.read_text())
        for item in features:
            shape = shapely.geometry.shape(item["geometry"])
            item["geometry"] = shapely.geometry.mapping(shapely.affinity.translate(shape, by_px, by_px))
        paths.append(tmp_path / f"moved_{path.name}")
        paths[-1].write_text(json.dumps(features))
    return ForeignFiles(*paths, files.mpp, files.classes)


def values(table):
    return table["value"].to_numpy(zero_copy_only=False)


@pytest.mark.parametrize("by_px", [-400, -4000])
def test_metrics_do_not_change_where_tissue_lies_before_the_corner(files, tmp_path, by_px):
    there = measure_files(moved(files, tmp_path, by_px), tmp_path / "moved", per="tile:200um")
    here = measure_files(files, tmp_path / "here", per="tile:200um")
    np.testing.assert_allclose(values(there), values(here), rtol=1e-7, atol=1e-9)
    tiles = [values(pq.read_table(tmp_path / name / "parts.parquet")) for name in ("moved", "here")]
    np.testing.assert_allclose(*tiles, rtol=1e-7, atol=1e-9)


def test_no_cell_on_tissue_is_an_error_and_few_are_told(files, tmp_path, capsys):
    features = json.loads(files.cells.read_text())
    far = shapely.buffer(shapely.points(np.arange(200) * 20 + 5000, 5000), 6)
    features += [feature("immune", shape) for shape in far]
    files.cells.write_text(json.dumps(features))
    words = ["--cells", files.cells, "--tissue", files.tissue, "--classes", files.classes, "--mpp", 0.5]
    assert run("metrics", "run", *words, "-o", tmp_path / "out") == 0
    told = capsys.readouterr()
    assert "warning: 37.5% of the 320 cells lie on analyzed tissue" in told.err
    assert "37.5% of 320 cells lie on analyzed tissue" in told.out
    assert json.loads((tmp_path / "out" / "run.json").read_text())["cells_on_tissue"] == 0.375
    files.cells.write_text(json.dumps(features[120:]))
    with pytest.raises(HistomeError, match="none of the 200 cells lies on analyzed tissue"):
        measure_files(files, tmp_path / "none")


def test_overlapping_tissue_is_told(files, tmp_path):
    features = json.loads(files.tissue.read_text())
    files.tissue.write_text(json.dumps([feature("tumor", shapely.box(100, 0, 500, 800)), *features[1:]]))
    measure_files(files, tmp_path / "out")
    run_json = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run_json["tissue"]["overlap_um2"] == 50 * 400
    assert run_json["warnings"] == [
        "polygons of different tissue overlap over 0.02 mm2; the smaller one counts"
    ]


def test_the_check_of_frames_can_be_overridden(files, tmp_path):
    features = json.loads(files.cells.read_text())
    for item in features:
        shape = shapely.geometry.shape(item["geometry"])
        item["geometry"] = shapely.geometry.mapping(shapely.affinity.scale(shape, 2, 2, origin=(0, 0)))
    files.cells.write_text(json.dumps(features))
    with pytest.raises(HistomeError, match=r"not at one resolution.*--any-frame"):
        measure_files(files, tmp_path / "out")
    assert len(measure_files(files, tmp_path / "out", any_frame=True)) == 8876


@pytest.mark.parametrize("degrees", [0, 15, 37, 45])
def test_shapes_are_those_of_the_polygons_and_not_of_their_pixels(tmp_path, degrees):
    """A bar of 60 x 10 um: on pixels of 2 um its outline is 5 % off."""
    bar = shapely.affinity.rotate(shapely.box(400, 400, 520, 420), degrees)
    around = shapely.box(0, 0, 1000, 1000)
    tissue = [("STROMA", around), ("CARCINOMA", bar)]
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": {"class": name}}
        for name, shape in tissue
    ]
    (tmp_path / "tissue.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (tmp_path / "cells.csv").write_text("x,y,class\n460,410,lymphocyte\n10,10,fibroblast\n")
    files = ForeignFiles(tmp_path / "cells.csv", tmp_path / "tissue.geojson", 0.5)
    table = measure_files(files, tmp_path / "out", any_frame=True)
    value = dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))
    assert value["LARGEST_PERIMETER_CARCINOMA"] == pytest.approx(140, rel=1e-6)
    assert value["LARGEST_ROUNDNESS_CARCINOMA"] == pytest.approx(4 * np.pi * 600 / 140**2, rel=1e-6)
    assert value["LARGEST_FILLED_AREA_STROMA"] == pytest.approx(250_000, rel=1e-6)
    assert value["LARGEST_MAJ_AXIS_CARCINOMA"] == pytest.approx(4 * 60 / np.sqrt(12), rel=1e-6)
