"""A slide that is gone: what needs no pixels is made again from its profile, the rest is refused."""

import shutil
from pathlib import Path

import pytest
from helpers.fakes import snapshot
from helpers.phantoms import small_phantom
from helpers.tiny_models import tiny_settings

from histome.config import Config, SlideConfig
from histome.errors import SlideError
from histome.pipeline import profile

pytestmark = pytest.mark.slow


def test_metrics_are_made_again_without_the_slide(tmp_path: Path) -> None:
    slide, away = tmp_path / "drawn.tif", tmp_path / "away.tif"
    small_phantom(slide, size_px=(500, 400), tissue_share=0.8)
    config = Config.from_toml(tiny_settings(tmp_path, dark=True))
    fewer = config.updated(metrics=config.metrics.updated(families=("all-cells", "total-area")))
    done = profile(slide, tmp_path / "out", config=fewer, stages=["narrative"], workers=1)
    before = snapshot(done.path)
    shutil.copytree(tmp_path / "out", tmp_path / "there")
    slide.rename(away)

    profile(slide, tmp_path / "out", config=fewer, workers=1)  # nothing changed: nothing is made
    assert snapshot(done.path) == before

    other = config.updated(metrics=config.metrics.updated(families=("all-cells", "tissue-areas")))
    gone = profile(slide, tmp_path / "out", config=other, workers=1)
    away.rename(slide)
    there = profile(slide, tmp_path / "there", config=other, stages=["narrative"], workers=1)
    assert snapshot(gone.path) == snapshot(there.path) != before
    assert gone.run["state"] == "done"
    assert gone.run["slide"] == there.run["slide"]
    assert "report" not in gone.run["stages"]
    slide.rename(away)

    for changed in (
        other.updated(tissue=other.tissue.updated(largest_hole_mm2=0.1)),
        other.updated(cells=other.cells.updated(abstain_below=0.9)),
    ):
        with pytest.raises(SlideError, match=r"does not exist, and its (tissue|cells) would have to be made"):
            profile(slide, tmp_path / "out", config=changed, workers=1)
    assert snapshot(gone.path) == snapshot(there.path)
    with pytest.raises(SlideError, match="does not exist"):
        profile(tmp_path / "drawn.svs", tmp_path / "out", config=other)


def test_a_name_is_that_of_slide_and_folder(tmp_path: Path) -> None:
    small_phantom(tmp_path / "1.tif", size_px=(700, 600), tissue_share=0.8)
    config = Config(slide=SlideConfig(name="first"))
    done = profile(tmp_path / "1.tif", tmp_path / "out", stages=["qc"], config=config, workers=1)
    assert (done.path, done.run["slide"]["id"]) == (tmp_path / "out" / "first", "first")
