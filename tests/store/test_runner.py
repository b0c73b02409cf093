"""The stage runner: resume, kill, lock, full disk, refusal."""

import csv
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.fakes import NAMES, TEXT, FakeSlide, make_run, run_texts, snapshot

from histome.errors import Interrupted, NoTissueError, OutputError, SlideError
from histome.store.files import METRICS_TABLE, Files
from histome.store.profile import load_profile
from histome.store.runner import Run
from histome.store.slide_row import SLIDE_ROW, SLIDE_UNITS

TESTS = Path(__file__).parents[1]
# Runs the five stages slowly, telling when the first one starts.
SLOW_RUN = """
import sys, time
from pathlib import Path
from helpers import fakes
save = fakes.TEXT.save
def slowly(text, folder):
    for _ in range(5):
        save(text[: len(text) // 2], folder)
        time.sleep(0.01)
    save(text, folder)
object.__setattr__(fakes.TEXT, "save", slowly)
print("started", flush=True)
fakes.run_texts(Path(sys.argv[1]))
"""


def python(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(
        command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def told(path: Path) -> dict:
    return json.loads((path / "run.json").read_text())


def test_every_stage_runs_once(tmp_path: Path) -> None:
    assert run_texts(tmp_path / "p") == list(NAMES)
    before = (tmp_path / "p" / "run.json").read_bytes()
    assert run_texts(tmp_path / "p") == []
    assert (tmp_path / "p" / "run.json").read_bytes() == before
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == sorted([*NAMES, "run.json"])


def test_run_json_tells_the_run(tmp_path: Path) -> None:
    run_texts(tmp_path / "p", slide=FakeSlide(boxes=[(0, 0, 256, 256)]))
    run = told(tmp_path / "p")
    assert run["state"] == "done"
    assert run["exit_code"] == 0
    assert run["slide"]["mpp"] == {
        "x": 0.5,
        "y": 0.5,
        "source": "given",
        "estimated": False,
        "notes": [],
    }
    assert run["slide"]["broken_tiles"] == {
        "count": 1,
        "tissue_share": None,
        "boxes_px": [[0, 0, 256, 256]],
    }
    assert run["slide"]["notes"] == ["a note"]
    assert list(run["stages"]) == list(NAMES)
    assert all(stage["seconds"] >= 0 for stage in run["stages"].values())


def test_what_is_said_of_the_slide_is_said_again_when_it_changes(tmp_path: Path) -> None:
    run_texts(tmp_path / "p")
    stages = snapshot(tmp_path / "p")
    warning = {"code": "ORGAN_NOT_SEEN"}
    assert run_texts(tmp_path / "p", about=lambda content: {"warnings": [warning, content["state"]]}) == []
    assert told(tmp_path / "p")["warnings"] == [warning, "done"]
    assert snapshot(tmp_path / "p") == stages


@pytest.mark.parametrize("damage", ["gone", "zeros", "of a run cut off", "no units"])
def test_a_row_that_is_not_that_of_the_run_is_written_again(tmp_path: Path, damage: str) -> None:
    run_texts(tmp_path / "p")
    metrics = pa.table({"name": ["A", "B"], "value": [0.5, None], "unit": ["um", "1"]})
    pq.write_table(metrics, tmp_path / "p" / "metrics" / METRICS_TABLE)
    row, units = tmp_path / "p" / SLIDE_ROW, tmp_path / "p" / SLIDE_UNITS
    assert run_texts(tmp_path / "p") == []
    before = row.read_text()
    assert before.splitlines()[1].endswith(",done,0,,0.5,")
    if damage == "of a run cut off":
        row.write_text(before.replace(",done,", ",running,"))
    elif damage == "zeros":
        row.write_bytes(bytes(len(before)))
    else:
        (row if damage == "gone" else units).unlink()
    assert run_texts(tmp_path / "p") == []
    assert row.read_text() == before
    assert units.is_file()


def test_a_changed_setting_redoes_its_stage_and_what_follows(tmp_path: Path) -> None:
    run_texts(tmp_path / "p")
    assert run_texts(tmp_path / "p", inputs={"cells": 1}) == [
        "cells",
        "metrics",
        "parts",
        "narrative",
        "report",
    ]


def test_another_slide_redoes_everything(tmp_path: Path) -> None:
    run_texts(tmp_path / "p")
    assert run_texts(tmp_path / "p", slide=FakeSlide("f2")) == list(NAMES)


def test_a_damaged_file_redoes_its_stage(tmp_path: Path) -> None:
    run_texts(tmp_path / "p")
    before = snapshot(tmp_path / "p")
    (tmp_path / "p" / "tissue" / "value.txt").write_text("short")
    assert run_texts(tmp_path / "p") == ["tissue"]
    assert snapshot(tmp_path / "p") == before


@pytest.mark.parametrize("damage", ["zeros", "gone", "no record"])
def test_what_is_not_what_was_written_is_made_again_with_a_warning(tmp_path: Path, damage: str) -> None:
    run_texts(tmp_path / "p")
    before = snapshot(tmp_path / "p")
    file = tmp_path / "p" / "cells" / ("stage.json" if damage == "no record" else "value.txt")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"\0" * file.stat().st_size)
    assert run_texts(tmp_path / "p") == ["cells"]
    assert snapshot(tmp_path / "p") == before
    (warning,) = told(tmp_path / "p")["stages"]["cells"]["warnings"]
    assert "the cells results saved before were damaged and are made again" in warning
    assert file.name in warning
    assert run_texts(tmp_path / "p") == []


def test_what_a_stage_said_is_what_it_said_or_it_is_made_again(tmp_path: Path) -> None:
    slide = FakeSlide(boxes=[(0, 0, 256, 256)])
    run_texts(tmp_path / "p", slide=slide)
    before, record = snapshot(tmp_path / "p"), tmp_path / "p" / "cells" / "stage.json"
    record.write_text(record.read_text().replace("256", "512"))
    assert run_texts(tmp_path / "p", slide=slide) == ["cells"]
    assert snapshot(tmp_path / "p") == before
    assert told(tmp_path / "p")["slide"]["broken_tiles"]["boxes_px"] == [[0, 0, 256, 256]]
    (warning,) = told(tmp_path / "p")["stages"]["cells"]["warnings"]
    assert "stage.json is not what was written" in warning


def test_a_stage_that_does_not_load_is_made_again(tmp_path: Path) -> None:
    run_texts(tmp_path / "p")
    before = snapshot(tmp_path / "p")
    computed: list[str] = []

    def fails_once(folder: Path) -> str:
        if not computed.count("qc"):
            raise ValueError("not one of my files")
        return TEXT.load(folder)

    def step(name: str, text: str) -> str:
        computed.append(name)
        return f"{text}{name} {'x' * 2000}\n"

    (tmp_path / "p" / "tissue" / "value.txt").unlink()
    with make_run(tmp_path / "p", wanted=("qc", "tissue")) as run:
        quality = run.stage("qc", lambda: step("qc", ""), type(TEXT)(TEXT.save, fails_once))
        run.stage("tissue", lambda: step("tissue", quality()), TEXT)
    assert computed == ["qc", "tissue"]
    assert snapshot(tmp_path / "p") == before
    (warning,) = told(tmp_path / "p")["stages"]["qc"]["warnings"]
    assert "could not be loaded" in warning


def test_a_stage_removed_while_the_run_is_under_way_is_one_line(tmp_path: Path) -> None:
    with make_run(tmp_path / "p") as run:
        quality = run.stage("qc", lambda: "q", TEXT)
        shutil.rmtree(tmp_path / "p" / "qc")
        with pytest.raises(OutputError, match=r"qc: .*was removed") as caught:
            run.stage("tissue", lambda: quality(), TEXT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "left", [b"", b"\0" * 500, b'{"state": "done", "sta', b'{"format": "histome profile 1"}']
)
def test_a_damaged_run_json_is_written_anew_from_the_stages(tmp_path: Path, left: bytes) -> None:
    run_texts(tmp_path / "p")
    before = told(tmp_path / "p")
    (tmp_path / "p" / "run.json").write_bytes(left)
    with pytest.raises(OutputError, match=r"run\.json is damaged"):
        load_profile(tmp_path / "p")
    assert run_texts(tmp_path / "p") == []
    after = told(tmp_path / "p")
    assert after["state"] == "done"
    for name in ("slide", "warnings", "versions"):
        assert after[name] == before[name]
    assert {name: stage["key"] for name, stage in after["stages"].items()} == {
        name: stage["key"] for name, stage in before["stages"].items()
    }


def test_every_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync, rename = os.fsync, Path.rename

    def noted(file: int) -> None:
        fsync(file)
        synced.add(os.fstat(file).st_ino)

    def checked(self: Path, target: Path) -> Path:
        assert {path.stat().st_ino for path in (self, *self.rglob("*"))} <= synced
        renamed.append(target.name)
        return rename(self, target)

    renamed: list[str] = []
    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", checked)
    run_texts(tmp_path / "p")
    assert renamed == list(NAMES)
    assert (tmp_path / "p").stat().st_ino in synced


def test_a_run_under_way_has_no_exit_code(tmp_path: Path) -> None:
    with make_run(tmp_path / "p", wanted=("qc",)) as run:
        run.stage("qc", lambda: "q", TEXT)
        assert (told(tmp_path / "p")["state"], told(tmp_path / "p")["exit_code"]) == ("running", None)
    assert told(tmp_path / "p")["exit_code"] == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (Interrupted(signal.SIGTERM), 143), (Interrupted(signal.SIGHUP), 129)],
)
def test_an_interrupted_run_says_so(tmp_path: Path, error: BaseException, code: int) -> None:
    def stop() -> str:
        raise error

    def interrupt() -> None:
        with make_run(tmp_path / "p") as run:
            run.stage("qc", lambda: "q", TEXT)
            run.stage("tissue", stop, TEXT)

    with pytest.raises(type(error)):
        interrupt()
    run_json = told(tmp_path / "p")
    assert (run_json["state"], run_json["exit_code"]) == ("interrupted", code)
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json"]


def test_a_run_interrupted_as_it_begins_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_texts(tmp_path / "p", wanted=("qc",))
    write = Run._write

    def interrupted(self: Run, state: str, error: BaseException | None = None) -> None:
        write(self, state, error)
        if state == "running":
            raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(Run, "_write", interrupted)
    with pytest.raises(Interrupted):
        run_texts(tmp_path / "p")
    assert (told(tmp_path / "p")["state"], told(tmp_path / "p")["exit_code"]) == ("interrupted", 143)
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json"]


def test_only_wanted_stages_run_and_seconds_are_kept(tmp_path: Path) -> None:
    with make_run(tmp_path / "p", wanted=("qc",)) as run:
        for name in NAMES:
            run.stage(name, lambda name=name: name, TEXT)
    assert sorted(told(tmp_path / "p")["stages"]) == ["qc"]
    seconds = told(tmp_path / "p")["stages"]["qc"]["seconds"]
    assert run_texts(tmp_path / "p") == list(NAMES[1:])
    assert told(tmp_path / "p")["stages"]["qc"]["seconds"] == seconds


def test_stages_get_what_was_saved_not_what_was_computed(tmp_path: Path) -> None:
    with make_run(tmp_path / "p") as run:
        load = run.stage("qc", lambda: "text", TEXT)
        (tmp_path / "p" / "qc" / "value.txt").write_text("from disk")
        assert load() == "from disk"


def test_a_failed_stage_keeps_the_stages_before_it(tmp_path: Path) -> None:
    def fail() -> None:
        with make_run(tmp_path / "p") as run:
            run.stage("qc", lambda: "q", TEXT)
            run.stage("tissue", lambda: str(1 / 0), TEXT)

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json"]
    assert told(tmp_path / "p")["state"] == "failed"
    assert "ZeroDivisionError" in told(tmp_path / "p")["error"]
    with pytest.raises(OutputError, match="no cells results"):
        _ = load_profile(tmp_path / "p").cells


def test_a_run_that_finished_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), make_run(tmp_path / "p") as run:
        run.stage("qc", lambda: str(1 / 0), TEXT)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_keeps_what_quality_control_saw_and_is_remembered(tmp_path: Path) -> None:
    def refuse() -> str:
        raise NoTissueError("fake.svs: no valid tissue", quality="all glass")

    with pytest.raises(NoTissueError), make_run(tmp_path / "p") as run:
        run.stage("qc", refuse, TEXT)
    assert (tmp_path / "p" / "qc" / "value.txt").read_text() == "all glass"
    assert told(tmp_path / "p")["state"] == "refused"
    assert told(tmp_path / "p")["exit_code"] == 3
    with pytest.raises(NoTissueError, match="no valid tissue"):
        run_texts(tmp_path / "p")
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json"]


def test_logged_warnings_are_told_once_and_in_order(tmp_path: Path) -> None:
    def warn() -> str:
        for line in ("b", "a", "b"):
            logging.getLogger("histome.fake").warning(line)
        return "q"

    with make_run(tmp_path / "p", wanted=("qc",)) as run:
        run.stage("qc", warn, TEXT)
    assert told(tmp_path / "p")["stages"]["qc"]["warnings"] == ["a", "b"]


def test_a_slide_that_changed_while_a_stage_read_it_is_not_kept(tmp_path: Path) -> None:
    slide = FakeSlide()

    def changed(fingerprint: str) -> None:
        assert fingerprint == "f"
        raise SlideError("fake.svs has changed")

    def run() -> None:
        with make_run(tmp_path / "p", slide=slide) as run:
            run.stage("qc", lambda: "q", TEXT)
            slide.check_unchanged = changed
            run.stage("tissue", lambda: "half white", TEXT)

    with pytest.raises(SlideError, match="has changed"):
        run()
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json"]
    assert (told(tmp_path / "p")["state"], told(tmp_path / "p")["exit_code"]) == ("failed", 1)


def test_broken_tiles_are_told_with_their_share(tmp_path: Path) -> None:
    boxes = [(0, 0, 256, 256), (256, 0, 512, 256)]
    with make_run(tmp_path / "p", slide=FakeSlide(boxes=boxes)) as run:
        run.stage("qc", lambda: run.tell(broken_share=0.01) or "q", TEXT)
        run.stage("tissue", lambda: run.tell(broken_share=0.0321) or "t", TEXT)
        assert run.broken_tiles("qc") == run.broken_tiles() == boxes
        assert run.broken_tiles("cells") == []
    found = told(tmp_path / "p")
    assert (found["slide"]["broken_tiles"]["count"], found["slide"]["broken_tiles"]["tissue_share"]) == (
        2,
        0.0321,
    )
    assert "broken_share" not in found


def test_short_memory_is_said_in_run_json(tmp_path: Path) -> None:
    def fail() -> None:
        with make_run(tmp_path / "p") as run:
            run.stage("qc", lambda: "q", TEXT)
            run.stage("tissue", lambda: str(bytearray(1 << 60)), TEXT)

    with pytest.raises(MemoryError):
        fail()
    assert told(tmp_path / "p")["error"].startswith("memory is short")


def test_a_folder_that_is_no_profile_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "p" / "cells").mkdir(parents=True)
    (tmp_path / "p" / "cells" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a profile"):
        run_texts(tmp_path / "p")
    assert (tmp_path / "p" / "cells" / "mine.txt").read_text() == "mine"


def run_with_a_row(path: Path) -> None:
    """Run all stages into a profile with a row; qc and cells each meet a broken tile and warn of it."""
    slide, metrics = FakeSlide(), pa.table({"name": ["A"], "value": [0.5], "unit": ["um"]})
    table = Files(
        lambda value, folder: pq.write_table(value, folder / METRICS_TABLE),
        lambda folder: pq.read_table(folder / METRICS_TABLE),
    )

    def step(name: str) -> Any:
        if name in ("qc", "cells"):
            slide.broken.boxes += ((len(name), 0, 256, 256),)
            logging.getLogger("histome.test").warning("%s met a broken tile", name)
        return metrics if name == "metrics" else name

    def lines(content: Any) -> dict[str, Any]:
        told = [line for stage in content["stages"].values() for line in stage["warnings"]]
        return {"versions": {}, "warnings": [{"code": line} for line in told]}

    with make_run(path, slide=slide, about=lines) as run:
        for name in NAMES:
            run.stage(name, partial(step, name), table if name == "metrics" else TEXT)


def test_killed_at_each_step_and_run_again_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves is what lies there before or after a file or folder gets its name."""
    path, states = tmp_path / "undisturbed", []
    named = {name: getattr(Path, name) for name in ("replace", "rename")}

    def stop(name: str, source: Path, target: Path) -> Path:
        for step in range(2):
            states.append(shutil.copytree(path, tmp_path / f"{len(states):03}"))
            source = source if step else named[name](source, target)
        return source

    with monkeypatch.context() as patched:
        for name in named:
            patched.setattr(Path, name, lambda *paths, name=name: stop(name, *paths))
        run_with_a_row(path)
    expected = snapshot(path)
    row = dict(zip(*csv.reader((path / SLIDE_ROW).read_text().splitlines()), strict=True))
    assert (row["state"], row["warnings"]) == ("done", "2")
    assert len(states) > 50
    for state in states:
        run_with_a_row(state)
        assert snapshot(state) == expected, state.name


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    run_texts(tmp_path / "undisturbed")
    expected = snapshot(tmp_path / "undisturbed")
    # The slow run takes about 0.3 s: the kills fall before, in and between its five stages.
    for number, delay in enumerate((0.0, 0.03, 0.07, 0.12, 0.2, 0.27)):
        path = tmp_path / f"killed{number}"
        with python(SLOW_RUN, path) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "started\n", child.communicate()
            time.sleep(delay)
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
        run_texts(path)
        assert snapshot(path) == expected


def test_a_second_process_is_refused_and_a_killed_one_is_not_in_the_way(tmp_path: Path) -> None:
    hold = """
import sys, time
from pathlib import Path
from helpers import fakes
with fakes.make_run(Path(sys.argv[1])) as run:
    run.stage("qc", lambda: "q", fakes.TEXT)
    print("held", flush=True)
    time.sleep(60)
"""
    with python(hold, tmp_path / "p") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n", child.communicate()
        with pytest.raises(OutputError, match=f"being written by process {child.pid} on") as caught:
            run_texts(tmp_path / "p")
        assert "\n" not in str(caught.value)
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    assert told(tmp_path / "p")["state"] == "running"
    assert run_texts(tmp_path / "p") == list(NAMES[1:])


def test_an_output_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match="file is a file; name a folder") as caught:
        run_texts(tmp_path / "file" / "p")
    assert "\n" not in str(caught.value)


def test_a_read_only_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # the tests may run as root, whom no mode keeps out
    with pytest.raises(OutputError, match="Permission denied"):
        run_texts(tmp_path / "p")


def test_a_full_disk_is_one_line_and_leaves_whole_stages_only(tmp_path: Path) -> None:
    limited = """
import resource, sys
from pathlib import Path
from helpers import fakes
from histome.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    fakes.run_texts(Path(sys.argv[1]))
except OutputError as error:
    print(error)
"""
    with python(limited, tmp_path / "p") as child:
        out, err = child.communicate()
    assert err == ""
    assert "cannot be written (File too large)" in out
    assert out.count("\n") == 1
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json", "tissue"]
    assert told(tmp_path / "p")["state"] == "failed"
    assert run_texts(tmp_path / "p") == ["cells", "metrics", "parts", "narrative", "report"]


def test_a_full_disk_in_the_first_stage_leaves_nothing(tmp_path: Path) -> None:
    def full(text: str, folder: Path) -> None:
        (folder / "half.txt").write_text(text)
        raise OSError(errno.ENOSPC, "No space left on device")

    files = type(TEXT)(full, TEXT.load)
    with pytest.raises(OutputError, match="No space left"), make_run(tmp_path / "p") as run:
        run.stage("qc", lambda: "q", files)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no profile here"):
        load_profile(tmp_path)
