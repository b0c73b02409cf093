"""Encoders side by side on made tiles: who knows the label, who the stain, what is told."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from histome.cli import app
from histome.embedding.compare import Comparison, compare_encoders, slide_leakage, stain_range
from histome.embedding.cost import measure_cost
from histome.embedding.figure import as_markdown, mean_of
from histome.embedding.tasks import (
    EncoderTask,
    Item,
    TaskSource,
    folder_task,
    items,
    read_tasks,
    read_tiles_of,
)
from histome.encoders import EncoderCard, find_encoder, open_encoder
from histome.encoders.network import count_gflops
from histome.errors import DataError

SIDE = 64


@pytest.fixture
def data(tmp_path, rng):
    """Red and blue tiles of 6 slides in 2 centers, one of which is darker; points in one of them."""
    folder = tmp_path / "made"
    folder.mkdir()
    rows = [["image", "file", "label", "source", "center", "mpp"]]
    for k in range(24):
        label, center = ("red", "blue")[k % 2], "AB"[k // 12]
        tile = rng.integers(60, 120, (SIDE, SIDE, 3))
        tile[..., 0 if label == "red" else 2] += 90
        shade = 0.8 if center == "B" else 1.0
        Image.fromarray((tile * shade).astype(np.uint8)).save(folder / f"{k}.png")
        rows.append([k, f"{k}.png", label, f"slide {k // 4}", center, 0.5])
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    points = [
        ["image", "x_px", "y_px", "label"],
        *([k, 5.0, 40.0, "edge" if k % 2 else "middle"] for k in range(24)),
    ]
    with (folder / "nuclei.csv").open("w", newline="") as file:
        csv.writer(file).writerows(points)
    return tmp_path


TASK = EncoderTask(name="color", source=[TaskSource(folder="made", confounder="center")], stain=True)


def test_a_tile_smaller_than_the_encoders_is_mirrored_and_a_larger_one_cut(tmp_path, rng):
    image = rng.integers(0, 256, (40, 100, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    item = Item(tmp_path / "a.png", 0.5, None, "x", "g", "")
    card = EncoderCard(name="c", publisher="me", mpp=0.5, input_px=48)
    tiles = read_tiles_of(item, card, None)
    assert tiles.shape == (2, 48, 48, 3)  # two fit the width, the height is mirrored
    np.testing.assert_array_equal(tiles[0, 4:44], image[:, 2:50])
    np.testing.assert_array_equal(tiles[0, 3], image[1, 2:50])


def test_a_point_lies_in_the_middle_of_its_square(tmp_path):
    image = np.full((60, 60, 3), 255, np.uint8)
    image[19:22, 29:32] = 0  # its middle is at x 30.5, y 20.5
    Image.fromarray(image).save(tmp_path / "a.png")
    item = Item(tmp_path / "a.png", 0.25, (30.5, 20.5), "x", "g", "")
    (tile,) = read_tiles_of(item, EncoderCard(name="c", publisher="me", input_px=100), 5.0)  # 20 px on 100
    dark = np.argwhere(tile[..., 0] < 128)
    np.testing.assert_allclose(dark.mean(0), [50, 50], atol=3)
    np.testing.assert_allclose(np.ptp(dark, axis=0) + 1, [15, 15], atol=3)


def test_labels_are_renamed_and_rows_left_out(data):
    source = TaskSource(folder="made", labels={"red": "warm", "blue": "cold"}, where={"center": ["A"]})
    found = items(EncoderTask(name="t", source=[source]), data)
    assert (len(found), {item.label for item in found}) == (12, {"warm", "cold"})
    assert {item.group for item in found} == {f"made slide {k}" for k in range(3)}
    pointed = EncoderTask(
        name="p", source=[TaskSource(folder="made", points="nuclei.csv", confounder="here")]
    )
    assert {(item.point_px, item.confounder) for item in items(pointed, data)} == {((5.0, 40.0), "here")}
    with pytest.raises(DataError, match="fewer than two labels"):
        items(EncoderTask(name="t", source=[TaskSource(folder="made", labels={"red": "x"})]), data)


def test_colors_tell_colors_and_vectors_are_not_made_twice(data, tmp_path, monkeypatch):
    asked = Comparison([("color-histogram", None)], [TASK], data, cost=False)
    (one,) = compare_encoders(asked, tmp_path / "out")
    (result,) = one.tasks
    assert (result.n, result.groups) == (24, 6)
    assert result.scores["linear"].value == 1.0
    assert result.scores["knn"].value == 1.0
    assert "abmil" not in result.scores  # one tile an image
    assert result.robustness is not None
    assert "color-histogram, color: no apd: too few groups" in as_markdown([one])
    conditions = {"low_intensity", "high_intensity", "low_similarity", "high_similarity"}
    assert set(result.stain) == {"unchanged", *conditions}
    assert result.stain["unchanged"] == result.scores["linear"].value
    assert stain_range(result._replace(stain={"unchanged": 0.9, "low_intensity": 0.5})) == 0.0
    from histome.embedding import compare

    monkeypatch.setattr(compare, "read_tiles_of", None)
    assert compare_encoders(asked, tmp_path / "out")[0].tasks[0].scores == result.scores


def test_tiles_may_be_shown_at_another_resolution(data, tmp_path, monkeypatch):
    from histome.embedding import compare

    asked = Comparison([("color-histogram", None)], [TASK], data, cost=False, probes=False, at_mpp=1.0)
    read = []
    tiles_of = lambda item, card, side_um: read.append(card.mpp) or read_tiles_of(item, card, side_um)  # noqa: E731
    monkeypatch.setattr(compare, "read_tiles_of", tiles_of)
    compare_encoders(asked, tmp_path)
    compare_encoders(asked._replace(at_mpp=None), tmp_path)
    assert (read[0], read[-1], len(read)) == (1.0, 0.5, 2 * 24 * 5)


def test_fields_of_several_tiles_are_bags(data, tmp_path, monkeypatch):
    from dataclasses import replace

    from histome.encoders import registry

    small = replace(find_encoder("color-histogram"), name="small", input_px=32)
    monkeypatch.setitem(registry._DECLARED, "small", small)
    monkeypatch.setattr("histome.training.encoders.abmil._STEPS", 60)
    (one,) = compare_encoders(Comparison([("small", None)], [TASK], data, cost=False), tmp_path)
    assert one.tasks[0].scores["abmil"].value == 1.0


def test_leakage_is_asked_where_slides_have_rows_enough(rng):
    x = rng.normal(0, 1, (12, 3)).astype(np.float32)
    assert slide_leakage(x, np.array([str(k) for k in range(12)])) is None
    groups = np.repeat(["a", "b"], 6)
    assert slide_leakage(x + 20 * (groups == "a")[:, None], groups) == (1.0, 0.5)


def test_the_command_writes_one_table_of_encoders_or_of_files(data, tmp_path):
    words = ["encoders", "compare", "-e", "color-histogram", "--tiles", str(data / "made"), "--no-cost"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "| color-histogram | 48 | 1.000" in done.output
    row = next(csv.DictReader((tmp_path / "out" / "encoders.csv").read_text().splitlines()))
    assert (row["task"], row["linear"], row["n"]) == ("made", "1", "24")
    vectors = np.random.default_rng(0).normal(0, 1, (30, 4)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    rows = "label,group\n" + "".join(f"{'ab'[k % 2]},{k // 3}\n" for k in range(30))
    (tmp_path / "rows.csv").write_text(rows)
    words = [
        "encoders",
        "compare",
        "--vectors",
        str(tmp_path / "v.npy"),
        "--manifest",
        str(tmp_path / "rows.csv"),
    ]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "files")])
    assert done.exit_code == 0, done.output
    assert "| v | 4 |" in done.output


def test_the_robustness_of_files_and_of_encoders_is_a_table_and_a_figure(data, tmp_path, monkeypatch):
    from histome.validation import confounding

    monkeypatch.setattr(confounding, "_REPEATS", 2)
    rng = np.random.default_rng(0)
    rows = [(y, c, f"{y}{c}{g}") for y in "ab" for c in "xy" for g in range(15) for _ in range(2)]
    (tmp_path / "rows.csv").write_text("label,confounder,group\n" + "".join(",".join(r) + "\n" for r in rows))
    axes = {"biology": [r[0] == "a" for r in rows], "center": [r[1] == "x" for r in rows]}
    for name, first in axes.items():
        vectors = np.stack([first, np.logical_not(first)], axis=1) + rng.normal(0, 0.05, (len(rows), 2))
        np.save(tmp_path / f"{name}.npy", vectors.astype(np.float32))
    words = ["encoders", "robustness", "--manifest", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out")]
    words += [word for name in axes for word in ("--vectors", str(tmp_path / f"{name}.npy"))]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "| biology | rows | 120 (60) | 1.000 (" in done.output
    assert "| center | rows | 120 (60) | 0.000 (" in done.output
    table = (tmp_path / "out" / "robustness.csv").read_text().splitlines()
    by_name = {row["encoder"]: row for row in csv.DictReader(table)}
    assert float(by_name["biology"]["clustering"]) > 0.9 > -0.9 > float(by_name["center"]["clustering"])
    assert "linear" not in by_name["center"]
    with Image.open(tmp_path / "out" / "robustness.png") as figure:
        assert figure.size == (2250, 675)
    words = ["encoders", "robustness", "-e", "color-histogram", "--tiles", str(data / "made")]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "tiles")])
    assert done.exit_code == 0, done.output
    assert "| color-histogram | made | 24 (6) | - |" in done.output  # no confounder: slide identity alone
    assert " (0.167) |" in done.output  # one of six slides by chance


def test_a_list_of_tasks_that_is_none_is_one_line(tmp_path):
    (tmp_path / "t.toml").write_text('[[task]]\nname = "x"\nsource = [{folder = "a", labell = "b"}]\n')
    with pytest.raises(DataError, match="labell"):
        read_tasks(tmp_path / "t.toml")
    with pytest.raises(DataError, match="no folders of tiles"):
        items(folder_task(tmp_path), tmp_path)


def test_the_shipped_list_of_tasks_is_read(data_dir):
    from pathlib import Path

    listed = read_tasks(Path(__file__).parents[2] / "runs" / "encoder_tasks.toml")
    assert [task.name for task in listed] == ["gland grade", "tissue type", "nucleus type"]
    root = data_dir("glas").parent
    assert {item.label for item in items(listed[0], root)} == {"benign", "malignant"}
    tissue = items(listed[1], root)
    assert {item.confounder for item in tissue} == {"NCT-CRC-HE-7K", "Kather 2016"}
    assert {item.label for item in items(listed[2], root)} == {"tumor", "inflammatory", "connective"}


def test_cost_is_measured_in_a_process_of_its_own():
    cost = measure_cost("color-histogram")
    assert cost.tiles_per_s > 1
    assert cost.peak_mb > 20
    assert cost.mm2_per_min == pytest.approx(cost.tiles_per_s * 60 * 0.112**2)
    assert (cost.parameters, cost.gflops) == (None, None)


def test_arithmetic_is_that_of_the_network():
    pytest.importorskip("torch")
    from torch import nn

    card = EncoderCard(
        name="c",
        publisher="me",
        dimension=4,
        input_px=8,
        pooling="own",
        weights="none",
        build=lambda: nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()),
    )
    assert count_gflops(open_encoder(card)) == pytest.approx(2 * 3 * 8 * 8 * 4 / 1e9)
    assert count_gflops(open_encoder("color-histogram")) is None


def test_means_leave_out_what_is_missing():
    assert mean_of([1.0, None, 3.0]) == 2.0
    assert mean_of([None]) is None
    assert json.dumps(mean_of([])) == "null"
