"""histome tme: JSON on standard output, all else on stderr; one line an error."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers import drawn_patch
from pyarrow import parquet


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    path = tmp_path / "patch.npz"
    inst_mask, cls_mask = drawn_patch.draw([(40 * k, 14 * row, k + 1) for row in range(20) for k in (0, 1)])
    np.savez(path, inst_mask=inst_mask, cls_mask=cls_mask)
    return path


def test_patch_prints_json_and_nothing_else(cli, masks: Path) -> None:
    code, out, err = cli("tme", "patch", masks, "--mpp", 0.5)
    found = json.loads(out)
    assert (code, err, found["mode"]) == (0, "", "physical")
    assert found["raw_data"]["mean_dist_Inflammatory_to_Neoplastic"] == 20.0
    assert found["interpretation"]["interaction"] == "Proximal"  # 10 to 35 um


def test_patch_without_a_resolution_says_so_on_stderr(cli, masks: Path) -> None:
    code, out, err = cli("tme", "patch", masks)
    assert (code, json.loads(out)["mode"]) == (0, "pixels")
    assert err.count("\n") == 1
    assert "no um per px was given" in err


def test_patch_says_what_was_left_out_and_why_there_are_no_labels(cli, tmp_path: Path) -> None:
    """With JSON on stderr, with --narrative in the text."""
    path = tmp_path / "patch.npz"
    inst_mask, cls_mask = drawn_patch.draw([(0, 0, 1), (40, 0, 2), (80, 0, 0)])
    np.savez(path, inst_mask=inst_mask, cls_mask=cls_mask)
    told = [
        "1 nucleus without a class in cls_mask: left out of all numbers.",
        "No labels: there are fewer than 20 cells.",
    ]
    code, out, err = cli("tme", "patch", path, "--mpp", 0.5)
    assert (code, json.loads(out)["notes"]) == (0, told)
    assert err == "".join(f"warning: {path}: {line}\n" for line in told)
    code, out, err = cli("tme", "patch", path, "--mpp", 0.5, "--narrative")
    text, note = out.splitlines()
    assert (code, note, err) == (0, told[1], "")
    assert (
        "Left out of all numbers is 1 nucleus (33.3\N{NO-BREAK SPACE}% of all) of none of the five classes."
        in text
    )
    assert out.lower().count("left out") == 1


def test_a_figure_of_another_ending_is_refused_before_any_work(cli, masks: Path, tmp_path: Path) -> None:
    cli.fails("tme", "patch", tmp_path / "none.npz", "--figure", "a.jpg", code=2, word="ends in .svg")
    cli.fails("tme", "map", tmp_path, "-o", "a.jpg", code=2, word="ends in .svg")


def test_the_figure_is_told_beside_the_json(cli, masks: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = cli("tme", "patch", masks, "--mpp", 0.5, "--figure", tmp_path / "a.svg")
    assert (code, json.loads(out)["mode"], err) == (0, "physical", f"{tmp_path / 'a.svg'}\n")
    assert (tmp_path / "a.svg").is_file()
    assert cli("--quiet", "tme", "patch", masks, "--mpp", 0.5, "--figure", tmp_path / "a.svg")[2] == ""


def test_a_figure_that_cannot_be_written_costs_no_numbers(cli, masks: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").touch()
    code, out, err = cli("tme", "patch", masks, "--mpp", 0.5, "--figure", tmp_path / "file" / "a.svg")
    assert (code, json.loads(out)["mode"]) == (1, "physical")
    assert err.startswith("histome: error:")
    assert err.count("\n") == 1


def test_masks_take_no_model(cli, masks: Path) -> None:
    cli.fails("tme", "patch", masks, "--cells-model", "nuclei", code=2, word="its masks are the nuclei")


def test_compatible_is_asked_for_and_not_warned_of(cli, masks: Path) -> None:
    code, out, err = cli("tme", "patch", masks, "--compatible")
    assert (code, err, json.loads(out)["mode"]) == (0, "", "compatible")


def test_bad_masks_are_one_line(cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, inst_mask=np.zeros((4, 4, 3)), cls_mask=np.zeros((4, 4)))
    cli.fails("tme", "patch", path, code=2, word="inst_mask has 3 dimensions")
    np.savez(path, inst_mask=np.zeros((4, 4), int), cls_mask=np.full((4, 4), 9))
    cli.fails("tme", "patch", path, code=2, word="cls_mask holds class 9")
    np.savez(path, inst_mask=np.zeros((4, 4), int), cls_mask=np.zeros((4, 4), int))
    cli.fails("tme", "patch", path, "--mpp", 0, code=2, word="um per px")
    cli.fails("tme", "patch", tmp_path / "none.npz", code=1, word="does not exist")


def test_tiles_of_a_profile(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finished:
        cells = pa.table({"x_um": [1.0], "y_um": [260.0], "class": ["lymphocyte"], "area_um2": [30.0]})

    monkeypatch.setattr("histome.phenotype.tiles.load_profile", lambda folder: Finished())
    code, out, _ = cli("tme", "tiles", tmp_path, "--tiles", "250um", "-o", tmp_path / "t.parquet")
    told = "1 tile of 250um; 1 with fewer than 20 cells and so without labels"
    assert (code, out) == (0, f"{tmp_path / 't.parquet'}: {told}\n")
    assert parquet.read_table(tmp_path / "t.parquet")["y_um"].to_pylist() == [250.0]


def test_tiles_of_no_profile_is_one_line(cli, tmp_path: Path) -> None:
    cli.fails("tme", "tiles", tmp_path, "-o", tmp_path / "t.csv", code=1, word="no profile here")
    cli.fails("tme", "tiles", tmp_path, "-o", tmp_path / "t.txt", code=2, word=".parquet or .csv")
