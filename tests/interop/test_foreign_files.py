"""Files of another program in, metrics out: the library call and the command line."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from histome.cli import main
from histome.errors import HistomeError, UsageError
from histome.interop.foreign_files import ForeignFiles, measure_files
from histome.metrics.catalogue import list_metrics

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
    nuclei = shapely.buffer(shapely.points(x, y), 6)
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
    assert names == [metric.name for metric in list_metrics()]
    assert len(values) == len(names)
    run = json.loads((out / "run.json").read_text())
    assert run["metrics"]["declared"] == 8264
    assert 0 < run["metrics"]["finite"] < 8264
    assert run["input"] == {
        "cells": "cells.geojson",
        "tissue": "tissue.geojson",
        "classes": "map.toml",
        "mpp": 0.5,
    }
    assert sorted(path.name for path in out.iterdir()) == ["metrics.parquet", "run.json", "slide.csv"]


def test_two_runs_are_the_same_bytes(files, tmp_path):
    for name in ("a", "b"):
        measure_files(files, tmp_path / name, workers=1 + (name == "b"))
    for file in ("metrics.parquet", "slide.csv", "run.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(("per", "parts"), [("piece", 1), ("tile:200um", 4), ("region", 2)])
def test_parts_are_written_too(files, tmp_path, per, parts):
    where = f"{per}:{files.tissue}" if per == "region" else per
    measure_files(files, tmp_path / "out", per=where)
    table = pq.read_table(tmp_path / "out" / "parts.parquet")
    assert len(table) == parts * 8264
    if per == "region":
        assert table["part"].unique().to_pylist() == ["tumor", "stroma"]


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


def test_command_line(files, tmp_path, capsys):
    words = ["--cells", files.cells, "--tissue", files.tissue, "--classes", files.classes]
    assert run("metrics", "run", *words, "--mpp", 0.5, "-o", tmp_path / "out", "--confident-only") == 0
    assert "8,264 metrics" in capsys.readouterr().out
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
