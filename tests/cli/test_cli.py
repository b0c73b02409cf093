"""The command line: one line an error, the right exit code, for every bad input we know of."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rich.console
import rich.progress
import tifffile
import typer
from helpers.cli import Cli
from helpers.tiny_models import dark_detector, tiny_settings
from PIL import Image

from histome.cli import app, console
from histome.cli.profile import summary
from histome.store.profile import load_profile


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings that name models of a few weights: these tests are about everything else."""
    return tiny_settings(tmp_path_factory.mktemp("models"))


def white(path: Path, *, mode: str = "RGB", side: int = 64) -> Path:
    Image.new("RGB", (side, side), "white").convert(mode).save(path)
    return path


def not_a_slide(folder: Path) -> Path:
    path = folder / "letter.svs"
    path.write_text("Dear pathologist,\n" * 100)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.svs"
    path.touch()
    return path


def folder_for_a_file(folder: Path) -> Path:
    path = folder / "folder.svs"
    path.mkdir()
    return path


def truncated_tiff(folder: Path) -> Path:
    whole = folder / "whole.tif"
    pixels = np.full((512, 512, 3), 200, np.uint8)
    tifffile.imwrite(whole, pixels, tile=(256, 256), photometric="rgb")
    path = folder / "truncated.svs"
    # The list of tiles of a TIFF written in one go stands at the end: half a file has lost it.
    path.write_bytes(whole.read_bytes()[:8])
    return path


def fake_dicom(folder: Path) -> Path:
    path = folder / "slide.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 1000)
    return path


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (not_a_slide, "letter.svs"),
        (empty, "empty"),
        (folder_for_a_file, "folder"),
        (truncated_tiff, "truncated.svs"),
        (fake_dicom, "slide.dcm"),
        (lambda folder: folder / "none.svs", "does not exist"),
        (lambda folder: white(folder / "field.png"), "--mpp"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(
    cli: Cli, tmp_path: Path, make: Callable[[Path], Path], word: str
) -> None:
    path = make(tmp_path)
    cli.fails("profile", path, "-o", tmp_path / "out", code=1, word=word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["broken.svs", "unreadable.svs", "unopenable.tiff"])
def test_real_broken_files_are_one_line(
    cli: Cli, tmp_path: Path, data_dir: Callable[[str], Path], name: str
) -> None:
    path = data_dir("slides") / name
    cli.fails("profile", path, "-o", tmp_path / "out", "--mpp", 0.5, code=1, word=name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mpp", ["0.0001", "50", "-1", "0", "nan", "inf"])
def test_an_implausible_mpp_is_a_wrong_usage(cli: Cli, tmp_path: Path, mpp: str) -> None:
    path = white(tmp_path / "field.png")
    cli.fails("profile", path, "-o", tmp_path / "out", f"--mpp={mpp}", code=2, word="implausible")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("mode", "side"), [("RGB", 64), ("RGB", 1), ("RGBA", 64), ("P", 64), ("L", 64), ("1", 64)]
)
def test_a_slide_without_tissue_is_refused(
    cli: Cli, tmp_path: Path, settings: Path, mode: str, side: int
) -> None:
    path = white(tmp_path / "field.png", mode=mode, side=side)
    words = ("profile", path, "-o", tmp_path / "out", "--mpp", 0.5, "--config", settings)
    cli.fails(*words, code=3, word="no valid tissue")
    run = json.loads((tmp_path / "out" / "field" / "run.json").read_text())
    assert (run["state"], run["exit_code"]) == ("refused", 3)
    assert sorted(entry.name for entry in (tmp_path / "out" / "field").iterdir()) == ["qc", "run.json"]
    cli.fails(*words, code=3, word="no valid tissue")


def test_of_a_refused_profile_the_reason_is_told_and_no_way_that_leads_there_again(
    cli: Cli, tmp_path: Path, settings: Path
) -> None:
    path, out = white(tmp_path / "white.png"), tmp_path / "out"
    cli("profile", path, "-o", out, "--mpp", 0.5, "--config", settings)
    why = "its run was refused: white.png: no valid tissue found; is it an H&E slide?"
    told = cli.fails("narrative", out / "white", code=1, word=f"no narrative results; {why}\n")
    told += cli.fails("export", out / "white", "--to", "csv", code=1, word=f"no cells results; {why}\n")
    assert "again" not in told


def test_sixteen_bits_are_one_line(cli: Cli, tmp_path: Path, settings: Path) -> None:
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.full((64, 64, 3), 65535, np.uint16), photometric="rgb")
    code, _, err = cli("profile", path, "-o", tmp_path / "out", "--mpp", 0.5, "--config", settings)
    assert code in (1, 3)
    assert err.count("\n") == 1
    assert "deep.tif" in err


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["frobnicate"], "frobnicate"),
        (["profile"], "SLIDE"),
        (["profile", "a.svs", "-o", "out", "--frob"], "--frob"),
        (["profile", "a.svs", "-o", "out", "--mpp", "fine"], "--mpp"),
        (["profile", "a.svs", "-o", "out", "--stages", "qc,magic"], "magic"),
        (["profile", "a.svs", "-o", "out", "--stages", ""], "stages"),
        (["profile", "a.svs", "-o", "out", "--workers", "0"], "workers"),
        (["profile", "a.svs", "-o", "out", "--config", "none.toml"], "none.toml"),
        (["profile", "a/x.svs", "b/x.tif", "-o", "out"], "share the folder"),
        (["profile", "a.svs", "-o", "out", "--organ", "kidny"], "did you mean kidney"),
        (["profile", "a.svs", "-o", "out", "--site", "somewhere"], "'primary' or 'metastasis'"),
        (["profile", "a.svs", "-o", "out", "--specimen", "smear"], "cytology"),
        (["profile", "a.svs", "b.svs", "-o", "out", "--roi-include", "Tumor"], "include needs --roi FILE"),
        (["profile", "a.svs", "-o", "out", "--roi-exclude", "Fold"], "--roi-exclude needs --roi FILE"),
        (["models"], "command"),
        (["models", "show"], "name"),
        (["metrics", "explain", "CELL_COUNT"], "CELL_COUNT"),
        (["metrics", "list", "no-family"], "no-family"),
        (["--log"], "--log"),
    ],
)
def test_wrong_usage_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.fails(*words, code=2, word=word)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_one_line(cli: Cli) -> None:
    cli.fails("models", "show", "no-such-model", code=1, word="no-such-model")


def test_an_output_below_a_file_is_one_line(cli: Cli, tmp_path: Path, settings: Path) -> None:
    file = empty(tmp_path)
    path = white(tmp_path / "field.png")
    for out in (file, file / "out"):
        words = ("profile", path, "-o", out, "--mpp", 0.5, "--config", settings)
        cli.fails(*words, code=1, word=f"{file} is a file; name a folder")
    assert file.read_bytes() == b""


def test_a_log_that_cannot_be_written_is_one_line(cli: Cli, tmp_path: Path) -> None:
    cli.fails("doctor", "--log", tmp_path / "none" / "log.jsonl", code=1, word="cannot be written")


def test_a_failed_slide_does_not_end_the_others_and_the_worst_code_wins(
    cli: Cli, tmp_path: Path, settings: Path
) -> None:
    slides = [white(tmp_path / "white.png"), empty(tmp_path), white(tmp_path / "other.png")]
    code, _, err = cli("profile", *slides, "-o", tmp_path / "out", "--mpp", 0.5, "--config", settings)
    assert code == 1
    assert [line.split()[2].strip(":") for line in err.splitlines()] == [
        "white.png",
        "empty.svs",
        "other.png",
    ]


def test_an_unexpected_error_is_one_line_and_debug_prints_where(
    cli: Cli, tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("histome.qc.assess", bug)
    path = white(tmp_path / "field.png")
    words = ("profile", path, "-o", tmp_path / "out", "--mpp", 0.5, "--config", settings)
    cli.fails(*words, code=1, word="unexpected ZeroDivisionError")
    _, _, err = cli(*words, "--debug")
    assert "Traceback" in err


def test_the_last_line_tells_tissue_cells_warnings_and_where_to_look(tmp_path: Path) -> None:
    told = [
        {"code": code, "severity": severity, "title": "", "text": "", "values": {}}
        for code, severity in (
            ("NO_CARCINOMA", "alarm"),
            ("LOW_CONFIDENCE", "caution"),
            ("FEW_LABELS", "note"),
        )
    ]
    run = {
        "state": "done",
        "slide": {},
        "quality": {"valid_mm2": 1.23456},
        "cells": {"count": 2216, "counted": 2206},
        "stages": {},
        "warnings": told,
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    line = summary(load_profile(tmp_path))
    assert line == (
        "1.235 mm2 of valid tissue; 2,206 cells; 2 warnings (NO_CARCINOMA, LOW_CONFIDENCE); "
        f"stages in {tmp_path}"
    )
    (tmp_path / "run.json").write_text(json.dumps({**run, "warnings": told[2:]}))
    assert "no warnings" in summary(load_profile(tmp_path))


def test_options_of_every_command_stand_anywhere(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    code, out, err = cli("metrics", "list", "total-area", "--quiet", f"--log={log}")
    assert (code, out, err) == (0, "ABSOLUTE_AREA\n", "")
    assert log.exists()


def test_the_log_is_json_lines(cli: Cli, tmp_path: Path, settings: Path) -> None:
    log, path = tmp_path / "log.jsonl", white(tmp_path / "field.png")
    cli("profile", path, "-o", tmp_path / "out", "--mpp", 0.5, "--config", settings, "--log", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any("qc" in line["message"] for line in lines)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["profile"],
        ["demo"],
        ["info"],
        ["models"],
        ["models", "list"],
        ["models", "show"],
        ["models", "check"],
        ["metrics", "list"],
        ["metrics", "explain"],
        ["doctor"],
    ],
)
def test_help_stands_everywhere(cli: Cli, words: list[str]) -> None:
    code, out, err = cli(*words, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: histome")


def test_no_command_prints_the_help(cli: Cli) -> None:
    assert cli()[:2] == cli("--help")[:2]


def test_info_tells_size_and_resolution(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("info", white(tmp_path / "field.png"), "--mpp", "0.25")
    assert code == 0
    assert "64 x 64 px" in out
    assert "0.25 x 0.25 um/px" in out


def test_metrics_are_listed_and_explained(cli: Cli) -> None:
    _, out, _ = cli("metrics", "list", "cells-per-class")
    assert "CELL_DENSITY_LYMPHOCYTE" in out.splitlines()
    _, out, _ = cli("metrics", "explain", "CELL_DENSITY_LYMPHOCYTE")
    assert "cells/um2" in out


def test_models_are_listed_and_shown(cli: Cli, settings: Path) -> None:
    assert cli("models", "list")[0] == 0
    _, out, _ = cli("models", "show", settings.parent / "tiny-nuclei", "--toml")
    assert 'task = "stardist"' in out
    _, out, _ = cli("models", "show", "nuclei")
    assert "Scores, with 95 % intervals" in out


def test_a_model_is_held_against_its_card(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "dark"
    dark_detector(folder)
    code, out, err = cli("models", "check", folder)
    assert (code, err) == (0, "")
    assert all(line.startswith("ok") for line in out.splitlines())
    (folder / "model.onnx").write_bytes(b"\x08")
    code, out, err = cli("models", "check", folder)
    assert (code, err) == (1, "")
    assert out.splitlines()[-2].startswith("FAIL  weights")


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        ("mine", 2, "give NAME=FOLDER"),
        ("=folder", 2, "give NAME=FOLDER"),
        ("mine=no-such-folder", 1, "no such folder"),
        ("mine={empty}", 1, "no images.csv"),
        ("pannuke={empty}", 1, "not PanNuke as it is published"),
    ],
)
def test_labeled_data_that_cannot_be_read_end_before_training(
    cli: Cli, tmp_path: Path, data: str, code: int, word: str
) -> None:
    pytest.importorskip("torch", reason="training needs the [train] extra")
    empty_folder = tmp_path / "empty"
    empty_folder.mkdir()
    words = ["train", "nuclei", "--data", data.format(empty=empty_folder), "-o", tmp_path / "out"]
    cli.fails(*words, code=code, word=word)
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "histome.training.nuclei.from_labels", None)
    err = cli.fails("train", "nuclei", "--data", "mine=x", "-o", tmp_path, code=2, word="histome[train]")
    assert "histome.training.nuclei.from_labels" in err


def test_short_memory_is_one_line_that_says_what_to_do(
    cli: Cli, tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa

    def allocate(*_: object, **__: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr("histome.qc.assess", allocate)
    words = ("profile", white(tmp_path / "field.png"), "-o", tmp_path / "out", "--mpp", 0.5)
    err = cli.fails(*words, "--config", settings, code=1, word="memory is short (malloc of size 64 failed)")
    assert "fewer --workers" in err
    assert "report it" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["info", "--mpp", "0.5"], ["--version"], []])
def test_a_full_standard_output_is_one_line(tmp_path: Path, words: list[str]) -> None:
    slide = [str(white(tmp_path / "field.png"))] if "info" in words else []
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "histome", *words, *slide], stdout=full, stderr=subprocess.PIPE, text=True
        )
    line = "histome: error: standard output cannot be written (No space left on device)\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m histome metrics list | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


RESULTS = [
    ["metrics", "list", "total-area"],
    ["metrics", "families"],
    ["metrics", "explain", "CROSS_L_LYMPHOCYTE_FIBROBLAST_20"],
    ["metrics", "search", "total"],
    ["models", "list"],
    ["models", "show", "nuclei"],
    ["doctor"],
]


@pytest.mark.parametrize("words", RESULTS)
def test_quiet_silences_no_result(cli: Cli, words: list[str]) -> None:
    said, quiet = cli(*words)[1], cli("-q", *words)[1]
    assert quiet == said != ""


def test_quiet_leaves_what_was_asked_of_a_slide_and_of_a_patch(cli: Cli, tmp_path: Path) -> None:
    assert "64 x 64 px" in cli("-q", "info", white(tmp_path / "field.png"), "--mpp", 0.25)[1]
    path = tmp_path / "patch.npz"
    np.savez(path, inst_mask=np.eye(64, dtype=int), cls_mask=np.eye(64, dtype=int))
    code, out, _ = cli("-q", "tme", "patch", path)
    assert code == 0
    assert json.loads(out)


@pytest.mark.parametrize("words", [["doctor"], ["models", "list"], ["models", "show", "nuclei"]])
def test_json_is_one_document(cli: Cli, words: list[str]) -> None:
    code, out, err = cli(*words, "--json")
    assert (code, err) == (0, "")
    assert "nuclei" in json.dumps(json.loads(out))


def test_info_as_json(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("info", white(tmp_path / "a\nb.png"), "--mpp", "0.25", "--json")
    told = json.loads(out)
    assert (code, told["size_px"], told["mpp"]["x"]) == (0, [64, 64], 0.25)
    assert told["slide"] == "a%0Ab"


def test_the_doctor_s_columns_are_aligned(cli: Cli) -> None:
    lines = cli("doctor")[1].splitlines()
    start = next(line for line in lines if "opencv-python-headless" in line).index("5")
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines)


def test_search_says_how_many_more_there_are(cli: Cli) -> None:
    code, out, err = cli("metrics", "search", "lymphocyte")
    assert (code, out.count("\n"), out.split("\t")[0]) == (0, 40, "CELL_COUNT_LYMPHOCYTE")
    assert err.startswith("warning: ")
    assert cli("metrics", "search", "lymphocyte", "--all")[1].count("\n") > 1000
    cli.fails("metrics", "search", "no", "suchword", code=2, word="no metric with 'no' 'suchword'")


def test_explain_tells_n_and_null_model(cli: Cli) -> None:
    _, out, _ = cli("metrics", "explain", "CROSS_L_LYMPHOCYTE_FIBROBLAST_20")
    told = dict(line.split("  ", 1) for line in out.splitlines())
    assert told["n counts"].strip() == "fibroblasts at least 20 um inside the nucleated tissue"
    assert "spatial randomness" in told["compared with"]
    assert "bootstrap of blocks of tissue" in told["interval"]
    assert "bands" in told["function of"]


def test_explain_tells_tests_and_what_a_number_was_before(cli: Cli) -> None:
    def told(name: str) -> dict[str, str]:
        _, out, _ = cli("metrics", "explain", name)
        return dict(line.split("  ", 1) for line in out.splitlines())

    assert "Benjamini-Hochberg" in told("ENRICHMENT_Z_LYMPHOCYTE_AROUND_FIBROBLAST")["tested"]
    assert "pixel edges" in told("INVASIVE_FRONT_DENSITY")["since"]
    assert "necrosis" in told("TUMOR_PURITY")["since"]
    total = told("ABSOLUTE_AREA")
    assert total["interval"].strip() == "no interval: measured on the whole slide, not sampled"
    assert not total.keys() & {"since", "tested", "function of"}


def test_completion_knows_the_commands() -> None:
    words = {"_HISTOME_COMPLETE": "complete_bash", "COMP_WORDS": "histome metrics se", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "histome"]
    done = subprocess.run(command, env=os.environ | words, capture_output=True, text=True)
    assert done.stdout.split() == ["search"]


def test_profiles_go_to_a_folder_of_ours_by_default(
    cli: Cli, tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("profile", white(tmp_path / "field.png"), "--mpp", 0.5, "--config", settings)
    assert (tmp_path / "histome-out" / "field" / "run.json").is_file()


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_help_has_examples_that_are_commands(cli: Cli, words: tuple[str, ...]) -> None:
    out = cli(*words, "--help")[1]
    examples = out.partition("Examples:\n")[2].splitlines()
    assert examples
    assert all(line.split()[: len(words) + 1] == ["histome", *words] for line in examples)
    known = set(re.findall(r"--[a-z-]+", out.partition("Examples:")[0]))
    assert set(re.findall(r"--[a-z-]+", "\n".join(examples))) <= known


def test_where_there_is_no_terminal_each_stage_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        console.configure(quiet=quiet, debug=False, log=None)
        with console.bars(2) as watch:
            told = watch(Path("a.svs"))
            for stage in ("qc", "tissue", "cells"):
                told(stage, 0, 0)
                told(stage, 1, 2)
                told(stage, 1, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "a.svs (slide 1 of 2): qc took 0 s, now tissue",
        "a.svs (slide 1 of 2): tissue took 0 s, now cells",
    ]


def test_info_guesses_minutes_and_memory(cli: Cli, tmp_path: Path) -> None:
    """From the tissue of a slide with smaller copies; of a plain picture, whose pixels are not read, all."""
    from helpers.phantoms import small_phantom

    small_phantom(tmp_path / "ph.tif", size_px=(2400, 2000))
    told = json.loads(cli("info", tmp_path / "ph.tif", "--json")[1])["estimate"]
    assert 0.2 < told["tissue_mm2"] < 1.2  # of 1.2
    assert 0 < told["minutes"] < 5
    assert 0.5 < told["memory_gb"] < 16
    plain = json.loads(cli("info", white(tmp_path / "field.png"), "--mpp", 1, "--json")[1])["estimate"]
    assert plain["tissue_mm2"] == round(64 * 64 / 1e6, 3)
    assert "profile would take    about " in cli("info", tmp_path / "ph.tif")[1]


def test_profile_as_json_is_one_document_for_all_slides(cli: Cli, tmp_path: Path, settings: Path) -> None:
    slides = [white(tmp_path / "white.png"), empty(tmp_path)]
    words = ("profile", *slides, "-o", tmp_path / "out", "--mpp", 0.5, "--config", settings, "--json")
    code, out, err = cli(*words)
    told = json.loads(out)
    assert code == 1
    assert err.count("histome: error: ") == 2
    assert [(slide["slide"], slide["exit_code"], slide["profile"]) for slide in told] == [
        ("white.png", 3, None),
        ("empty.svs", 1, None),
    ]
    assert "no valid tissue" in told[0]["error"]
    assert cli("-q", *words)[1] == out  # a result


def test_bars_say_which_of_the_slides_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich.console.Console, "is_terminal", True)
    monkeypatch.setattr(
        rich.progress.Progress, "add_task", lambda _, text, **__: told.append(text) or len(told)
    )
    monkeypatch.setattr(rich.progress.Progress, "update", lambda *_, **__: None)
    told: list[str] = []
    for slides in (1, 2):
        with console.bars(slides) as watch:
            for name in ("a.svs", "b.svs")[:slides]:
                watch(Path(name))("qc", 0, 0)
    assert told == ["a.svs: qc", "a.svs (slide 1 of 2): qc", "b.svs (slide 2 of 2): qc"]


def test_what_is_not_read_of_a_stack_is_told_everywhere(cli: Cli, tmp_path: Path, settings: Path) -> None:
    pixels = np.full((256, 256, 3), (200, 120, 180), np.uint8)
    with tifffile.TiffWriter(tmp_path / "stack.tif") as writer:
        for _ in range(3):
            writer.write(pixels, photometric="rgb", metadata=None)
    told = "1 of 3 pages is read"
    assert told in cli("info", tmp_path / "stack.tif", "--mpp", 0.5)[1]
    assert told in json.loads(cli("info", tmp_path / "stack.tif", "--mpp", 0.5, "--json")[1])["notes"][0]
    words = ("--mpp", 0.5, "--config", settings, "--stages", "qc", "-o", tmp_path / "out")
    code, out, err = cli("profile", tmp_path / "stack.tif", *words)
    assert code == 0
    assert f"warning: stack.tif: PAGES_NOT_READ: One page of the file was read. {told}" in err
    assert "PAGES_NOT_READ" in out
    run = load_profile(tmp_path / "out" / "stack").run
    assert run["slide"]["pages"] == 3
    assert any(told in warning["text"] for warning in run["warnings"])


@pytest.mark.parametrize("address", ["https://example.com/a.svs", "s3://bucket/folder/a.svs?versionId=1"])
def test_an_address_is_told_as_it_was_given_with_what_reads_it(
    cli: Cli, tmp_path: Path, address: str
) -> None:
    told = f"{address} is an address, which only `cohort run` reads: download it"
    cli.fails("info", address, code=1, word=told)
    cli.fails("profile", address, "-o", tmp_path / "out", code=1, word=told)
    assert not (tmp_path / "out").exists()
