"""Whole runs over slides with broken tiles, and over slides that break under way."""

import json
import os
import shutil
from pathlib import Path

import pytest
import tifffile
from helpers.cli import Cli
from helpers.phantoms import break_tile, small_phantom
from helpers.tiny_models import tiny_settings

from histome.config import Config, SlideConfig
from histome.errors import BrokenTilesError, SlideError
from histome.pipeline import profile

pytestmark = pytest.mark.slow


class Drawn:
    """An intact slide of 7 x 6 tiles of 256 px, most of it tissue, and settings."""

    def __init__(self, folder: Path) -> None:
        self.slide = folder / "whole.tif"
        small_phantom(self.slide, size_px=(1792, 1536), tissue_share=0.8)
        self.toml = tiny_settings(folder)
        self.config = Config.from_toml(self.toml)

    def copy(self, folder: Path, *broken: int) -> Path:
        """Copy the slide and break some tiles of its finest level."""
        path = Path(shutil.copy(self.slide, folder / "slide.tif"))
        for tile in broken:
            break_tile(path, tile)
        return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("broken"))


def test_a_broken_tile_is_always_said(
    drawn: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = drawn.copy(tmp_path, 24), tmp_path / "out"
    code, _, err = Cli(capsys)("profile", path, "-o", out, "--config", drawn.toml, "--stages", "cells")
    run = json.loads((out / "slide" / "run.json").read_text())
    broken = run["slide"]["broken_tiles"]
    assert (code, broken["count"]) == (0, 1)
    assert 0.01 < broken["tissue_share"] < 0.05
    lines = [warning["text"] for warning in run["warnings"] if warning["code"] == "BROKEN_TILES"]
    share = f"{100 * broken['tissue_share']:.2g} % of the tissue"
    assert lines == [f"1 broken tile could not be read, with {share}: counted as no tissue."]
    assert lines[0].removesuffix(".") in err


def test_too_many_broken_tiles_are_refused_unless_allowed(
    drawn: Drawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = drawn.copy(tmp_path, 16, 17, 18, 23, 24, 25), tmp_path / "out"
    err = Cli(capsys).fails(
        "profile",
        path,
        "-o",
        out,
        "--config",
        drawn.toml,
        "--stages",
        "qc",
        code=4,
        word="slide.tif: 6 broken tiles could not",
    )
    assert "at most 5 % may be; copy or export it again, or allow more ([slide] broken_tiles_at_most)" in err
    assert not out.exists() or list(out.iterdir()) == []
    allowed = drawn.config.model_copy(update={"slide": SlideConfig(broken_tiles_at_most=0.5)})
    found = profile(path, out, config=allowed, stages=["qc"])
    assert 0.05 < found.run["slide"]["broken_tiles"]["tissue_share"] < 0.5
    with pytest.raises(BrokenTilesError):
        profile(path, out, config=drawn.config, stages=["qc"])


def test_a_slide_of_which_nothing_is_left_is_broken_not_empty(drawn: Drawn, tmp_path: Path) -> None:
    """Its first tile decodes: it can be opened."""
    path = drawn.copy(tmp_path, *range(1, 42))
    with tifffile.TiffFile(path) as tiff:
        tiles = [
            (page, tile) for page, level in enumerate(tiff.pages) for tile in range(len(level.dataoffsets))
        ]
    for page, tile in tiles[42:]:
        break_tile(path, tile, page=page)
    with pytest.raises(BrokenTilesError):
        profile(path, tmp_path / "out", config=drawn.config, stages=["cells"])


def test_a_slide_cut_short_under_way_keeps_no_stage(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histome.slide.source.PAUSES_S", (0.0,))
    monkeypatch.setattr("histome.slide.tiff.reader.CACHE_BYTES", 0)
    path = drawn.copy(tmp_path)

    def cut(stage: str, *_: float) -> None:
        if stage == "tissue" and path.stat().st_size == drawn.slide.stat().st_size:
            os.truncate(path, 10_000)

    with pytest.raises(
        SlideError, match=r"slide\.tif could not be read from its disk \(it has become shorter"
    ):
        profile(path, tmp_path / "out", config=drawn.config, stages=["tissue"], progress=cut)
    run = json.loads((tmp_path / "out" / "slide" / "run.json").read_text())
    assert (run["state"], run["exit_code"], list(run["stages"])) == ("failed", 1, ["qc"])
    path = drawn.copy(tmp_path)
    assert profile(path, tmp_path / "out", config=drawn.config, stages=["tissue"]).run["state"] == "done"


def test_a_slide_written_to_under_way_keeps_no_stage(drawn: Drawn, tmp_path: Path) -> None:
    path = drawn.copy(tmp_path)

    def touch(stage: str, *_: float) -> None:
        if stage == "tissue":
            os.utime(path, ns=(0, 1))

    with pytest.raises(SlideError, match=r"slide\.tif has changed since it was opened"):
        profile(path, tmp_path / "out", config=drawn.config, stages=["tissue"], progress=touch)
    run = json.loads((tmp_path / "out" / "slide" / "run.json").read_text())
    assert list(run["stages"]) == ["qc"]
