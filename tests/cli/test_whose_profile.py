"""Whose profile it is, from outside: slides of one name, copies, edits in place, and names that do harm."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.cli import Cli
from PIL import Image

from histome.slide.fingerprint import SAMPLE_BYTES, SAMPLES, of_file


def tissue(path: Path, *, seed: int = 5, side: int = 256) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pink(side, seed)).save(path, format="PNG")
    return path


def pink(side: int, seed: int = 5) -> np.ndarray:
    pixels = np.full((side, side, 3), (228, 180, 205), np.uint8)
    pixels[..., 1] += np.random.default_rng(seed).integers(0, 30, (side, side), dtype=np.uint8)
    return pixels


def tiled(path: Path, pixels: np.ndarray) -> bytes:
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb")
    return path.read_bytes()


def measured(cli: Cli, slide: Path, out: Path, *words: object) -> tuple[int, str, str]:
    return cli("profile", slide, "-o", out, "--mpp", 0.5, "--stages", "qc", *words)


def test_a_loop_over_folders_does_not_replace_what_it_wrote(cli: Cli, tmp_path: Path) -> None:
    first, second = tissue(tmp_path / "a" / "field.png"), tissue(tmp_path / "b" / "field.png", seed=6)
    assert measured(cli, first, tmp_path / "out")[0] == 0
    kept = (tmp_path / "out" / "field" / "run.json").read_bytes()
    words = ("profile", second, "-o", tmp_path / "out", "--mpp", 0.5, "--stages", "qc")
    cli.fails(*words, code=1, word="another slide, field.png")
    assert (tmp_path / "out" / "field" / "run.json").read_bytes() == kept
    assert cli(*words, "--overwrite")[0] == 0
    assert (tmp_path / "out" / "field" / "run.json").read_bytes() != kept


def test_a_copy_is_done_already(cli: Cli, tmp_path: Path) -> None:
    first = tissue(tmp_path / "a" / "field.png")
    measured(cli, first, tmp_path / "out")
    run_json = tmp_path / "out" / "field" / "run.json"
    kept = json.loads(run_json.read_text())
    (tmp_path / "b").mkdir()
    copy = Path(shutil.copyfile(first, tmp_path / "b" / "field.png"))
    os.utime(copy, (1, 1))
    assert measured(cli, copy, tmp_path / "out")[0] == 0
    told = json.loads(run_json.read_text())
    assert told["finished"] == kept["finished"]
    assert {name for name, value in told["slide"].items() if value != kept["slide"][name]} == {
        "times",
        "place",
    }


def test_pixels_edited_in_place_are_measured_again(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "field.tif"
    other = tiled(path, pink(1024))
    size = len(tiled(path, np.full((1024, 1024, 3), 255, np.uint8)))
    before = of_file(path)
    code, _, err = measured(cli, path, tmp_path / "out")
    assert (code, "no valid tissue" in err) == (3, True)
    starts = [(size - SAMPLE_BYTES) * number // (SAMPLES - 1) for number in range(SAMPLES)]
    with path.open("r+b") as file:
        for start, end in pairwise(starts):
            file.seek(start + SAMPLE_BYTES)
            file.write(other[start + SAMPLE_BYTES : end])
    assert (of_file(path), path.stat().st_size) == (before, size)
    assert measured(cli, path, tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    ("name", "file", "folder"),
    [
        (b"...png", "...png", "%2E%2E"),
        (b"..png", "..png", "%2E"),
        (b"\xff\xfebad.png", "%FF%FEbad.png", "%FF%FEbad"),
        (b"a\n\x1b[31mb.png", "a%0A%1B[31mb.png", "a%0A%1B[31mb"),
    ],
)
def test_a_name_that_does_harm_is_shown_and_kept_escaped(
    cli: Cli, tmp_path: Path, name: bytes, file: str, folder: str
) -> None:
    path = tissue(tmp_path / os.fsdecode(name))
    log = tmp_path / "log.jsonl"
    code, out, err = measured(cli, path, tmp_path / "out", "--log", log)
    assert (code, err) == (0, "")
    assert out.startswith(f"{file}: ")
    assert out.count("\n") == 1
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [folder]
    run = json.loads((tmp_path / "out" / folder / "run.json").read_text(encoding="utf-8"))
    assert (run["slide"]["id"], run["slide"]["file"]) == (folder, file)
    assert all(json.loads(line)["message"] for line in log.read_text(encoding="utf-8").splitlines())
    assert f"{folder}: qc starts" in log.read_text(encoding="utf-8")
    path.write_bytes(b"no slide any more")
    cli.fails("profile", path, "-o", tmp_path / "out", code=1, word="png")
    assert f"slide                 {folder}\n" in cli("info", tissue(path), "--mpp", 0.5)[1]
