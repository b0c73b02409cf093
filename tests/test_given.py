"""A profile of regions of interest, and one of given nuclei: nothing else is computed, and runs resume."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from helpers.cli import Cli
from helpers.phantoms import small_phantom
from helpers.tiny_models import dark_detector, segmenter_model

from histome import profile
from histome.cli.profile import summary
from histome.config import Config
from histome.errors import UsageError
from histome.store.profile import load_profile

FAMILIES = ["total-area", "qc-areas", "tissue-areas", "all-cells", "cells-per-class", "nuclei-per-class"]
BOXES = {"A": (100, 100, 500, 500), "B": (700, 300, 1000, 800)}


def drawn(boxes: dict[str, tuple[int, ...]], **more: Any) -> str:
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(shapely.box(*box)),
            "properties": {"objectType": "annotation", "name": name, **more},
        }
        for name, box in boxes.items()
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    segmenter_model(folder / "tissue")
    dark_detector(folder / "nuclei")
    small_phantom(folder / "ph.tif")
    (folder / "settings.toml").write_text(
        f'[tissue]\nmodel = "{folder / "tissue"}"\n[cells]\nmodel = "{folder / "nuclei"}"\n'
        f"[metrics]\nfamilies = {json.dumps(FAMILIES)}\n"
    )
    (folder / "roi.geojson").write_text(drawn(BOXES))
    return folder


@pytest.fixture
def run(cli: Callable[..., Any], room: Path) -> Callable[..., tuple[int, str, str]]:
    config = ("--config", room / "settings.toml", "--stages", "parts,metrics")
    return lambda *words, slide="ph.tif": cli("profile", room / slide, *config, *words)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def keys(folder: Path) -> dict[str, str]:
    return {
        name: stage["key"] for name, stage in json.loads((folder / "run.json").read_text())["stages"].items()
    }


@pytest.mark.slow
def test_only_the_regions_are_measured_and_each_has_its_metrics(
    cli: Cli, run: Any, room: Path, tmp_path: Path
) -> None:
    code, out, err = run("--roi", room / "roi.geojson", "-o", tmp_path)
    assert (code, "ph.tif: 2 regions of interest; " in out) == (0, True), err
    assert "ph.tif: qc took " in err  # a plain line a stage where there is no terminal
    profile = load_profile(tmp_path / "ph")
    assert profile.run["config"]["roi"]["file"] == "roi.geojson"  # not where it lies
    assert [region["name"] for region in profile.run["roi"]["regions"]] == ["A", "B"]
    assert [warning.code for warning in profile.warnings if "REGIONS" in warning.code] == [
        "REGIONS_OF_INTEREST"
    ]
    assert summary(profile).startswith("2 regions of interest; ")
    # Tissue to the pixel of 1 um = 2 px of the slide, cells by their center, windows of 24 um and no others.
    inside = np.zeros((500, 600), np.bool_)
    for x0, y0, x1, y1 in BOXES.values():
        inside[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = True
    codes = profile.tissue.map.array
    assert not codes[~inside].any()
    assert (codes[inside] > 0).mean() > 0.4
    seen = np.asarray(profile.tissue.probabilities.array).any(axis=0)
    assert not seen[:, 280:320].any()  # between the regions, more than a window from both
    assert not seen[440:].any()
    assert seen[inside].mean() > 0.5
    x, y = (profile.cells[name].to_numpy() for name in "xy")
    assert inside[(y // 2).astype(int), (x // 2).astype(int)].all()
    assert len(x) > 50
    # The same numbers as `metrics run` gives for cells and tissue of the profile in the same regions.
    stages = tmp_path / "ph"
    words = ["--cells", stages / "cells/cells.parquet", "--tissue", stages / "tissue/tissue.ome.tif"]
    per = ["--mpp", 0.5, "--per", f"region:{room / 'roi.geojson'}", "-o", tmp_path / "again"]
    assert cli("metrics", "run", *words, *per)[0] == 0
    again = {
        (row["part"], row["name"]): row for row in pq.read_table(tmp_path / "again/parts.parquet").to_pylist()
    }
    parts = profile.parts.metrics.to_pylist()
    assert {row["part"] for row in parts} == {"A", "B"}
    for row in parts:
        same = again[row["part"], row["name"]]
        assert (row["n"], row["unit"]) == (same["n"], same["unit"])
        # Of another program's table nuclei are measured again, on the outlines there: of fewer corners.
        if not row["name"].startswith("NUCLEUS"):
            assert row["reason"] == same["reason"]
            assert row["value"] == (same["value"] and pytest.approx(same["value"], rel=1e-6)), row["name"]
    assert profile.parts.outlines["part"].to_pylist() == ["A", "B"]
    assert profile.parts.outlines["area_um2"].to_pylist() == [40_000.0, 37_500.0]


@pytest.mark.slow
def test_a_run_with_regions_goes_on_and_another_drawing_is_another_run(
    run: Any, room: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.geojson"
    path.write_text(drawn({"A": BOXES["A"]}))
    out = tmp_path / "out"
    run("--roi", path, "-o", out)
    first, written = keys(out / "ph"), (out / "ph/run.json").read_bytes()
    run("--roi", path, "-o", out)
    assert (out / "ph/run.json").read_bytes() == written
    (moved := tmp_path / "sub").mkdir()
    path.rename(moved / "elsewhere.geojson")  # the bytes decide
    run("--roi", moved / "elsewhere.geojson", "-o", out)
    assert keys(out / "ph") == first
    run("--roi", room / "roi.geojson", "-o", out)
    assert not set(keys(out / "ph").values()) & set(first.values())
    run("-o", out)  # all of the slide: nothing of the regions stays
    assert "parts" not in keys(out / "ph")
    assert not (out / "ph/parts").exists()
    assert load_profile(out / "ph").tissue.map.array[260:, :200].any()


@pytest.mark.slow
def test_what_is_left_out_alone_leaves_the_rest(run: Any, room: Path, tmp_path: Path) -> None:
    code, _, err = run(
        "--roi", room / "roi.geojson", "--roi-exclude", "a", "--roi-exclude", "B", "-o", tmp_path
    )
    assert code == 0, err
    profile = load_profile(tmp_path / "ph")
    assert len(profile.parts.metrics) == 0
    assert profile.parts.outlines["measured"].to_pylist() == [False]
    codes = profile.tissue.map.array
    assert not codes[50:250, 50:250].any()
    assert codes[260:, :200].any()


@pytest.mark.slow
def test_given_nuclei_are_classified_and_their_file_is_in_the_key(
    run: Any, room: Path, tmp_path: Path, cli: Cli
) -> None:
    (folder := tmp_path / "nuclei").mkdir()
    path = folder / "ph.geojson"  # a folder with a file a slide
    at = [(300 + 40 * k, 300 + 30 * j) for k in range(8) for j in range(8)]
    feature = {"type": "Feature", "properties": {"classification": {"name": "mine"}}}
    outlines = [shapely.geometry.mapping(shapely.Point(place).buffer(9)) for place in [*at, (9000, 9000)]]
    path.write_text(json.dumps([{**feature, "id": f"n{k}", "geometry": it} for k, it in enumerate(outlines)]))
    out = tmp_path / "out"
    code, told, err = run("--nuclei", folder, "-o", out, "--json")
    assert code == 0, err
    (document,) = json.loads(told)
    assert (document["slide"], document["exit_code"], document["error"]) == ("ph.tif", 0, None)
    assert document["nuclei"]["count"] == 65
    cells = load_profile(out / "ph").cells
    assert 30 < len(cells) == document["nuclei"]["measured"] <= 64
    assert set(cells["given_class"].to_pylist()) == {"mine"}
    ids = cells["given_id"].to_pylist()
    places = np.stack([cells[name].to_numpy() for name in "xy"], axis=1)
    np.testing.assert_allclose(places, [at[int(id_[1:])] for id_ in ids], atol=0.1)
    before = keys(out / "ph")
    path.write_text(path.read_text().replace("mine", "yours"))
    run("--nuclei", folder, "-o", out)
    after = keys(out / "ph")
    assert {name for name in before if before[name] != after[name]} == {"cells", "metrics"}
    # Points: classes and stain, no shape; the metrics of shape say why they have no value.
    points = folder / "points.csv"
    points.write_text("x,y,class\n" + "".join(f"{x},{y},a\n" for x, y in at))
    assert run("--nuclei", points, "-o", out)[0] == 0
    found = load_profile(out / "ph")
    assert found["CELL_N_TOTAL"].value > 30
    shapes = [
        row
        for row in found.metrics.to_pylist()
        if "NUCLEAR_AREA" in row["name"] or "ROUNDNESS" in row["name"]
    ]
    assert shapes
    assert all(row["value"] is None and row["reason"] for row in shapes)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--roi", "none.geojson"], "none.geojson: there is no such file"),
        (["--nuclei", "none.geojson"], "none.geojson: there is no such file"),
        (["--roi", "{room}/roi.geojson", "--roi-include", "C"], "no region is called 'C'; there are A, B"),
        (["--roi", "{room}/nuclei"], "there is no file called ph.*; --roi takes a file, or one a slide"),
        (
            ["--roi", "{room}/roi.geojson", "{room}/other.tif"],
            "for several give a folder with a file a slide",
        ),
    ],
)
def test_a_wrong_file_is_one_line_and_leaves_nothing(
    cli: Cli, room: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    words = [word.format(room=room) for word in words]
    config = ["--config", room / "settings.toml"]
    err = cli("profile", room / "ph.tif", *config, *words, "-o", tmp_path / "out")[2]
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("choice", ["include", "exclude"])
def test_a_choice_in_settings_needs_a_file_which_the_line_may_name(
    cli: Cli, room: Path, tmp_path: Path, choice: str
) -> None:
    config, out = tmp_path / "choice.toml", tmp_path / "out"
    config.write_text((room / "settings.toml").read_text() + f'[roi]\n{choice} = ["A"]\n')
    (tmp_path / "manifest.csv").write_text(f"slide,path\nph,{room / 'ph.tif'}\n")
    words = ("--config", config, "-o", out)
    for command in (["profile", room / "ph.tif"], ["cohort", "run", tmp_path / "manifest.csv"]):
        cli.fails(*command, *words, code=2, word=f"[roi] {choice} needs file")
        assert not out.exists()
    with pytest.raises(UsageError, match="needs --roi FILE"):
        profile(room / "ph.tif", out, config=Config.from_toml(config))
    assert cli("profile", room / "ph.tif", *words, "--roi", room / "roi.geojson", "--stages", "qc")[0] == 0
    measured = {"include": ["A"], "exclude": ["B"]}[choice]
    assert [region["name"] for region in load_profile(out / "ph").run["roi"]["regions"]] == measured
