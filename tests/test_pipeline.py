"""The pipeline from end to end, on a drawn slide and models of a few weights."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile
from helpers.fakes import snapshot
from helpers.phantoms import small_phantom
from helpers.tiny_models import tiny_settings
from helpers.tissue_models import InkNetwork
from PIL import Image

import histome
from histome.classes import CELL_CLASSES, QC_CLASSES, TISSUE_CLASSES
from histome.cohort.local import Outcome, profile_slides, worst_exit_code
from histome.config import Config, RuntimeConfig, SlideConfig
from histome.errors import ModelError, MppError, NoTissueError, UsageError
from histome.models.registry import register_model
from histome.pipeline import STAGES, profile
from histome.slide import ClassMap
from histome.store.profile import Profile
from histome.store.slide_row import ROW_HEAD
from histome.tissue import Tissue

pytestmark = pytest.mark.slow

# One family of metrics is enough here; all of them are measured in tests/metrics.
FAMILIES = """[metrics]
families = ["total-area", "qc-areas", "cells", "cells-per-class", "not-counted", "scan"]
"""


class Case:
    """A drawn slide, settings, and its profile."""

    def __init__(self, folder: Path) -> None:
        self.slide = folder / "drawn.tif"
        small_phantom(self.slide, size_px=(700, 600), tissue_share=0.7)
        self.toml = tiny_settings(folder, more=FAMILIES)
        self.config = Config.from_toml(self.toml)
        self.profile = profile(self.slide, folder / "out", config=self.config, workers=1)

    def command(self, out: Path) -> list[str]:
        words = ["profile", self.slide, "-o", out, "--config", self.toml, "--workers", 1]
        return [sys.executable, "-m", "histome", *map(str, words)]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("pipeline"))


def without_report(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave the report out: it tells the date of its run."""
    return {name: content for name, content in files.items() if not name.startswith("report/")}


def test_the_folder_holds_what_the_contract_names(case: Case) -> None:
    files = {path.relative_to(case.profile.path).as_posix() for path in case.profile.path.rglob("*")}
    assert {
        "run.json",
        "qc/qc.ome.tif",
        "tissue/tissue.ome.tif",
        "tissue/tissue.zarr/zarr.json",
        "tissue/regions.parquet",
        "tissue/zones.ome.tif",
        "cells/cells.parquet",
        "metrics/metrics.parquet",
        "slide.csv",
        "slide.units.csv",
        "report/index.html",
    } <= files
    assert not [name for name in files if name.startswith(".")]
    assert case.profile.path.name == "drawn"


def test_a_profile_gives_each_part(case: Case) -> None:
    found = histome.load_profile(case.profile.path)
    assert found.quality.map.classes == QC_CLASSES
    assert found.tissue.map.classes == TISSUE_CLASSES
    assert found.tissue.probabilities.array.shape[1:] == found.tissue.map.array.shape
    assert found.tissue.regions.num_rows == len(Tissue.of(found.tissue.map).regions) > 0
    assert (found.tissue.zones.array == Tissue.of(found.tissue.map).zones.array).all()
    assert found.cells.num_rows == found.run["cells"]["count"] > 100
    assert set(found.cells["class"].to_pylist()) <= set(CELL_CLASSES)
    assert found.metrics.column_names[:5] == ["name", "value", "unit", "n", "reason"]
    assert found.report.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_maps_are_tiled_ome_tiff_with_their_pixel_size(case: Case) -> None:
    for name, mpp in (("qc/qc.ome.tif", 8.0), ("tissue/tissue.ome.tif", 1.0)):
        assert ClassMap.load(case.profile.path / name).mpp == mpp


def test_another_precision_is_another_result(case: Case, tmp_path: Path) -> None:
    """Resumed on a machine that computes otherwise, no profile is half of each."""
    keys = []
    for precision in ("f32", "bf16"):
        config = case.config.model_copy(update={"runtime": RuntimeConfig(precision=precision)})
        found = profile(case.slide, tmp_path / precision, config=config, stages=("tissue",))
        keys.append({name: stage["key"] for name, stage in found.run["stages"].items()})
        assert found.run["tissue_network"]["precision"] == precision
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == {"tissue"}
    assert set(keys[0]) == {"qc", "tissue"}


def test_the_wide_row_holds_the_values_of_the_long_table(case: Case) -> None:
    with (case.profile.path / "slide.csv").open() as file:
        names, values = csv.reader(file)
    table = pq.read_table(case.profile.path / "metrics" / "metrics.parquet")
    run, head = case.profile.run, len(ROW_HEAD)
    assert names[head:] == table["name"].to_pylist()
    assert [float(v) if v else None for v in values[head:]] == table["value"].to_pylist()
    about = dict(zip(names[:head], values, strict=False))
    assert tuple(about) == ROW_HEAD
    assert (about["slide"], about["file"]) == (run["slide"]["id"], run["slide"]["file"])
    assert about["fingerprint"] == run["slide"]["fingerprint"]
    assert [float(about["mpp_x"]), float(about["mpp_y"])] == [run["slide"]["mpp"][axis] for axis in "xy"]
    assert (about["histome"], about["state"]) == (run["code"], "done")
    assert int(about["warnings"]) == len(run["warnings"])


def test_the_places_of_cells_and_regions_are_on_the_slide(case: Case) -> None:
    """Both tables in level-0 px, with its name: what lies in a region has the region's class."""
    found = case.profile
    width, height = found.run["slide"]["size_px"]
    polygons = shapely.from_wkb(found.tissue.regions["geometry"].to_numpy())
    bounds = shapely.total_bounds(polygons)
    assert (bounds[:2] >= 0).all()
    assert (bounds[2:] <= (width, height)).all()
    assert bounds[2] - bounds[0] > 0.3 * width
    for table in (found.cells, found.tissue.regions):
        assert set(table["slide"].to_pylist()) == {found.run["slide"]["id"]}
    at = shapely.points(found.cells["x"].to_numpy(), found.cells["y"].to_numpy())
    cell, region = shapely.STRtree(polygons).query(at, predicate="within")
    assert len(set(cell.tolist())) > 0.9 * len(at)
    tissues = np.array(found.cells["tissue"].to_pylist())[cell]
    assert (tissues == np.array(found.tissue.regions["class"].to_pylist())[region]).all()


def test_no_area_exceeds_what_was_scanned(case: Case) -> None:
    metrics = {row["name"]: row["value"] for row in case.profile.metrics.to_pylist()}
    assert metrics["ABSOLUTE_AREA"] / 1e6 <= metrics["SCAN_AREA"] * (1 + 1e-9)
    assert metrics["VALID_AREA"] <= metrics["SCAN_AREA"] * (1 + 1e-9)
    counted = sum(case.profile.cells["counted"].to_pylist())
    assert metrics["CELL_N_TOTAL"] == counted
    assert metrics["CELL_N_NOT_COUNTED"] == len(case.profile.cells) - counted


def test_run_json_tells_settings_models_and_versions(case: Case) -> None:
    run = case.profile.run
    assert run["state"] == "done"
    assert run["config"] == case.config.model_dump(mode="json")
    assert [len(model["sha256"]) for model in run["models"]] == [64, 64]
    assert run["cells_network"]["sha256"] == run["models"][1]["sha256"]
    assert run["cells"]["count"] == case.profile.cells.num_rows
    assert run["metrics"]["declared"] == case.profile.metrics.num_rows
    assert {"histome", "python", "numpy", "openvino"} <= set(run["versions"])
    assert str(case.slide.parent) not in json.dumps(run["slide"])


def test_a_stated_organ_makes_the_words_anew_and_nothing_else(case: Case, tmp_path: Path) -> None:
    shutil.copytree(case.profile.path, tmp_path / "drawn")
    config = case.config.updated(slide=SlideConfig(organ="large bowel", site="metastasis"))
    found = profile(case.slide, tmp_path, config=config, workers=1)
    before, after = (run.run["stages"] for run in (case.profile, found))
    assert {name for name in after if after[name]["key"] != before[name]["key"]} == {"narrative", "report"}
    assert found.run["config"]["slide"]["organ"] == "colorectum"
    assert "Stated by the user: metastasis in the colorectum." in found.narrative["text"]
    told, told_then = ({warning.code for warning in run.warnings} for run in (found, case.profile))
    assert told_then - told == {"ORGAN_NOT_STATED"}
    assert told <= told_then


def test_the_warnings_are_those_of_run_json_and_of_the_report(case: Case) -> None:
    page = case.profile.report.read_text(encoding="utf-8")
    assert [warning._asdict() for warning in case.profile.warnings] == case.profile.run["warnings"]
    assert len(case.profile.warnings) > 1
    assert "NOT_H_AND_E" not in [warning.code for warning in case.profile.warnings]
    for warning in case.profile.warnings:
        assert f"<code>{warning.code}</code>" in page


def test_swapped_channels_are_told_though_only_quality_was_asked_for(case: Case, tmp_path: Path) -> None:
    with histome.open_slide(case.slide) as slide:
        Image.fromarray(slide.read(0, 0, size=slide.size_px)[..., ::-1].copy()).save(tmp_path / "bgr.png")
    found = profile(tmp_path / "bgr.png", tmp_path, mpp=0.5, config=case.config, stages=("qc",))
    assert found.warnings[0].code == "NOT_H_AND_E"
    assert found.warnings[0].values["looks_like"] == "brown"


def test_cells_of_what_is_not_h_and_e_are_all_left_open(case: Case, tmp_path: Path) -> None:
    with histome.open_slide(case.slide) as slide:
        Image.fromarray(slide.read(0, 0, size=slide.size_px)[..., ::-1].copy()).save(tmp_path / "bgr.png")
    config = case.config.updated(cells=case.config.cells.updated(abstain_below=0.0))
    swapped = profile(tmp_path / "bgr.png", tmp_path, mpp=0.5, config=config, stages=("cells",))
    plain = profile(case.slide, tmp_path, config=config, stages=("cells",))
    assert swapped.run["cells"]["abstained_percent"] == 100.0
    assert plain.run["cells"]["abstained_percent"] == 0.0


def test_a_quality_model_is_run_told_and_part_of_the_key(case: Case, tmp_path: Path) -> None:
    register_model(InkNetwork())
    config = case.config.updated(qc=case.config.qc.updated(model="ink"))
    found = profile(case.slide, tmp_path, config=config, stages=("qc",))
    assert [model["name"] for model in found.run["models"]] == ["ink", "tiny-tissue", "tiny-nuclei"]
    assert found.run["qc_network"]["name"] == "ink"
    plain = profile(case.slide, tmp_path, config=case.config, stages=("qc",))
    assert "ink" not in [model["name"] for model in plain.run["models"]]


def test_workers_change_no_byte(case: Case, tmp_path: Path) -> None:
    other = profile(case.slide, tmp_path, config=case.config, workers=3)
    assert without_report(snapshot(other.path)) == without_report(snapshot(case.profile.path))


def test_a_finished_profile_is_left_untouched(case: Case) -> None:
    before = {path: path.stat().st_mtime_ns for path in case.profile.path.rglob("*")}
    again = profile(case.slide, case.profile.path.parent, config=case.config)
    assert isinstance(again, Profile)
    assert {path: path.stat().st_mtime_ns for path in case.profile.path.rglob("*")} == before


def test_a_model_is_known_by_its_card_not_by_its_place(case: Case, tmp_path: Path) -> None:
    shutil.copytree(case.profile.path.parent, tmp_path / "out")
    shutil.copytree(case.toml.parent / "tiny-nuclei", tmp_path / "tiny-nuclei")
    cells = case.config.cells.model_copy(update={"model": str(tmp_path / "tiny-nuclei")})
    moved = case.config.model_copy(update={"cells": cells})
    before = (tmp_path / "out" / "drawn" / "run.json").read_bytes()
    profile(case.slide, tmp_path / "out", config=moved)
    assert (tmp_path / "out" / "drawn" / "run.json").read_bytes() == before


def test_killed_in_the_middle_and_run_again_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    expected = without_report(snapshot(case.profile.path))
    # Kill as soon as the stage is there: the next one is being made.
    for stage in ("qc", "tissue", "cells"):
        with subprocess.Popen(case.command(tmp_path / stage), start_new_session=True) as child:
            while not (tmp_path / stage / "drawn" / stage).exists():
                assert child.poll() is None
                time.sleep(0.002)
            os.killpg(child.pid, signal.SIGKILL)
        resumed = profile(case.slide, tmp_path / stage, config=case.config, workers=1)
        assert without_report(snapshot(resumed.path)) == expected


@pytest.mark.parametrize("wanted", [["qc"], ["tissue"], ["tissue", "qc"]])
def test_a_stage_comes_with_those_it_needs(case: Case, tmp_path: Path, wanted: list[str]) -> None:
    found = profile(case.slide, tmp_path, config=case.config, stages=wanted)
    expected = ["qc"] if wanted == ["qc"] else ["qc", "tissue"]
    assert list(found.run["stages"]) == expected
    assert found.run["state"] == "done"


def test_progress_tells_every_stage(case: Case, tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []
    profile(case.slide, tmp_path, config=case.config, progress=lambda *step: told.append(step))
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [name for name in STAGES if name != "parts"]
    assert all(done <= total or total == 0 for _, done, total in told)


@pytest.mark.parametrize("stages", [[], ["magic"]])
def test_unknown_stages_are_a_wrong_usage(case: Case, tmp_path: Path, stages: list[str]) -> None:
    with pytest.raises(UsageError, match="choose from qc, tissue"):
        profile(case.slide, tmp_path, stages=stages)


def test_an_unknown_model_leaves_nothing(case: Case, tmp_path: Path) -> None:
    config = Config.model_validate({"cells": {"model": "no-such-model"}, "tissue": case.config.tissue})
    with pytest.raises(ModelError, match="no-such-model"):
        profile(case.slide, tmp_path, config=config)
    assert list(tmp_path.iterdir()) == []


def test_several_slides_end_each_on_its_own(case: Case, tmp_path: Path) -> None:
    paths = [tmp_path / "none.svs", case.slide]
    outcomes = list(profile_slides(paths, case.profile.path.parent, config=case.config))
    assert [outcome.exit_code for outcome in outcomes] == [1, 0]
    assert outcomes[1] == Outcome(case.slide, outcomes[1].profile, None)


def test_the_worst_exit_code_is_that_of_a_failure() -> None:
    assert worst_exit_code([0, 3, 1]) == 1
    assert worst_exit_code([0, 3]) == 3
    assert worst_exit_code([]) == 0


def test_one_line_of_imports_is_light() -> None:
    """A finished profile is recognized without what only the stages need."""
    heavy = {"torch", "openvino", "onnxruntime", "skimage", "matplotlib", "cv2", "pyarrow", "jinja2"}
    code = "import sys, histome, histome.cli, histome.pipeline, histome.store.runner; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert heavy & set(loaded.split()) == set()


def test_a_finished_profile_imports_no_stage(case: Case) -> None:
    command = case.command(case.profile.path.parent)
    command[1:1] = ["-X", "importtime"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert {"torch", "openvino", "skimage", "matplotlib", "pyarrow", "histome.cells"} & loaded == set()


def test_nothing_in_a_run_imports_torch(case: Case, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoTorch)\n"
        "from histome.cli import main\n"
        f"main({case.command(tmp_path)[3:]!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert pa.parquet.read_table(tmp_path / "drawn" / "cells" / "cells.parquet").num_rows > 0


def test_a_resolution_may_be_taken_from_the_magnification_on_request(tmp_path: Path) -> None:
    white = np.full((512, 512, 3), 240, np.uint8)
    about = "Aperio Image Library v12\r\n512x512 (256x256)|AppMag = 40"
    options = {"tile": (256, 256), "photometric": "rgb", "metadata": None}
    tifffile.imwrite(tmp_path / "power.svs", white, description=about, **options)
    with pytest.raises(MppError, match="only 40x"):
        profile(tmp_path / "power.svs", tmp_path / "out")
    with pytest.raises(NoTissueError):
        profile(tmp_path / "power.svs", tmp_path / "out", allow_estimated_mpp=True)
    run = json.loads((tmp_path / "out/power/run.json").read_text())
    assert run["slide"]["mpp"] | {"x": 0.25, "estimated": True} == run["slide"]["mpp"]
    assert run["config"]["slide"]["allow_estimated_mpp"] is True
