"""Figures hold what they were given, are equal for equal input, and refuse other endings."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers import drawn_patch
from helpers.cells import cell_table

pytest.importorskip("matplotlib")

from histome.cli import main
from histome.errors import DataError, UsageError
from histome.exports.tme_figures import draw_axis_maps, draw_training_curves
from histome.narrative import Facts, write
from histome.phenotype.axes import phenotypes
from histome.phenotype.patch import describe_file
from histome.phenotype.tiles import tile_phenotypes


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    instances, classes = drawn_patch.draw(
        [(20 * (k % 10), 40 * (k // 10), 1 + k % 3) for k in range(40)], side=10
    )
    np.savez(tmp_path / "patch.npz", inst_mask=instances, cls_mask=classes)
    return tmp_path / "patch.npz"


def run(*words: object) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([str(word) for word in words])


def svg_texts(path: Path) -> str:
    """matplotlib writes text as paths, with the text in a comment."""
    return " ".join(line.strip() for line in path.read_text().splitlines() if "<!--" in line)


def test_the_narrative_of_a_patch_is_printed_and_drawn(masks: Path, tmp_path: Path, capsys) -> None:
    figure = tmp_path / "out" / "patch.svg"
    run("tme", "patch", masks, "--mpp", 0.5, "--narrative", "--figure", figure)
    text = write(Facts.of_patch(describe_file(masks, mpp=0.5))).text
    assert capsys.readouterr().out.strip().replace("\n", " ") == text
    drawn = svg_texts(figure)
    assert text[:40] in drawn
    assert "Inflammatory (13)" in drawn
    for name in phenotypes().axes:
        assert f"{name}: " in drawn


@pytest.fixture(scope="module")
def tiles() -> pa.Table:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1500, 3000), rng.uniform(0, 1000, 3000)
    return tile_phenotypes(
        cell_table(x, y, rng.integers(0, 9, 3000), area_um2=rng.uniform(20, 60, 3000)), 250.0
    )


def test_a_slides_axes_are_drawn_as_values_and_as_labels(tiles: pa.Table, tmp_path: Path) -> None:
    draw_axis_maps(tiles, tmp_path / "a.svg", title="a $5 slide")
    draw_axis_maps(tiles, tmp_path / "b.svg", title="a $5 slide")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    drawn = svg_texts(tmp_path / "a.svg")
    for axis in phenotypes().axes.values():
        assert axis.value in drawn
        assert axis.high.label in drawn


def test_nothing_and_other_endings_are_refused(tiles: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tile"):
        draw_axis_maps(tiles.slice(0, 0), tmp_path / "a.svg")
    with pytest.raises(UsageError, match=r"ends in \.svg"):
        draw_axis_maps(tiles, tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"no log\.csv"):
        draw_training_curves(tmp_path, tmp_path / "a.svg")


@pytest.mark.parametrize("ending", [".svg", ".pdf"])
def test_curves_of_every_stage(tmp_path: Path, ending: str) -> None:
    for stage, losses in (("stage1", (2.0, 1.0)), ("stage2", (1.5, 0.5))):
        (tmp_path / "run" / stage).mkdir(parents=True)
        with (tmp_path / "run" / stage / "log.csv").open("w", newline="") as file:
            rows = [
                {"step": 10 * k, "seconds": k, "loss": loss, "miou": 0.1 * k} for k, loss in enumerate(losses)
            ]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    out = tmp_path / f"curves{ending}"
    run("train", "curves", tmp_path / "run", "-o", out)
    first = out.read_bytes()
    run("train", "curves", tmp_path / "run", "-o", out)
    assert out.read_bytes() == first
    if ending == ".svg":
        drawn = svg_texts(out)
        assert all(word in drawn for word in ("stage1", "stage2", "loss", "miou"))
        assert "seconds" not in drawn


def test_a_log_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n1,many\n")
    with pytest.raises(DataError, match="not the log of a training"):
        draw_training_curves(tmp_path, tmp_path / "a.svg")
