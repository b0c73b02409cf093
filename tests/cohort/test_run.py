"""A cohort whose slides do everything that slides do: each ends alone, the rest is done, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.cohort_stub import STUB, children_of, draw_stubs, run_stubs, tables
from PIL import Image

from histome.cohort import Limits, read_status, supervise
from histome.cohort.child import Order, work
from histome.cohort.manifest import CohortSlide
from histome.cohort.remote import Cache
from histome.errors import HeldError, OutputError
from histome.store.lock import FolderLock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched through /proc")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What eight slides leave where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    status = run_stubs(draw_stubs(folder / "slides", *["ok"] * 8), folder / "out", workers=3)
    assert status.counts["done"] == 8
    return tables(folder / "out")


def first(count: int, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of the first slides."""
    names = {f"s{number:02}" for number in range(count)}
    return {path: data for path, data in files.items() if path.split("/")[0] in names}


def test_a_cohort_leaves_profiles_a_manifest_a_status_and_a_page(tmp_path: Path) -> None:
    slides = draw_stubs(tmp_path / "slides", "ok", "ok")
    seen: list[dict[str, int]] = []
    status = run_stubs(slides, tmp_path / "out", watch=lambda status: seen.append(status.counts))
    assert status.exit_codes == [0, 0]
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"s00", "s01", "manifest.csv", "status.json", "summary.html"}
    assert any(counts["running"] for counts in seen)
    found = json.loads((tmp_path / "out" / "status.json").read_text())
    assert (found["state"], found["counts"]["done"], found["slides"]["s00"]["tries"]) == ("done", 2, 1)
    assert found["slides"]["s00"]["warnings"] == ["A_CODE"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("s0*/**/*")}
    assert run_stubs(slides, tmp_path / "out").counts["done"] == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("s0*/**/*")} == before


FAULTS = {
    "segfault": "its process crashed in cells (SIGSEGV)",
    "exit": "its process ended in cells with code 7 and without a word",
    "bug": "its process ended in cells with code 1 and without a word",
    "hang": "ended in cells: it took more than 0.3 minutes; give it more with --minutes",
    "memory": "ended in cells: it took more than 0.4 GB of memory; give it more with --memory",
    "full": "cannot be written (File too large)",
}


def test_a_fault_ends_its_slide_only_and_is_made_good(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    slides = draw_stubs(tmp_path / "slides", "ok", *FAULTS, "ok")
    limits = Limits(minutes=0.3, memory_gb=0.4)
    status = run_stubs(slides, tmp_path / "out", limits=limits, tries=1, workers=3)
    first, *bad, last = status.slides.values()
    assert (first.state, last.state) == ("done", "done")
    assert all(slide.state == "failed" and slide.exit_code == 1 for slide in bad)
    told = dict(zip(FAULTS, [slide.reason for slide in bad], strict=True))
    assert [fault for fault, reason in FAULTS.items() if reason not in told[fault]] == [], told
    logs = tmp_path / "out" / "logs"
    assert "ZeroDivisionError: a bug" in (logs / "s03.txt").read_text()
    assert "Segmentation fault" in (logs / "s01.txt").read_text()
    draw_stubs(tmp_path / "slides", *["ok"] * 8)
    assert run_stubs(slides, tmp_path / "out").counts["done"] == 8
    assert tables(tmp_path / "out") == undisturbed
    assert not logs.exists()


def test_a_crash_is_tried_again_and_a_refusal_is_not(tmp_path: Path) -> None:
    status = run_stubs(draw_stubs(tmp_path / "slides", "once", "refused qc"), tmp_path / "out")
    crashed, refused = status.slides.values()
    assert (crashed.state, crashed.tries, crashed.reason) == ("done", 2, "")
    assert (refused.state, refused.tries, refused.exit_code) == ("refused", 1, 3)
    assert refused.reason == "no tissue was drawn"


def test_an_order_is_given_however_late_this_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    communicate = subprocess.Popen.communicate
    begun: set[int] = set()

    def late(child: Any, given: str | None = None, timeout: float | None = None) -> Any:
        first = child.pid not in begun
        begun.add(child.pid)
        return communicate(child, given, -1.0 if first else timeout)  # over before anything is written

    monkeypatch.setattr(subprocess.Popen, "communicate", late)
    slides = draw_stubs(tmp_path / "slides", "ok")
    status = run_stubs(slides, tmp_path / "out", limits=Limits(minutes=0.4), tries=1)
    assert [(slide.state, slide.reason) for slide in status.slides.values()] == [("done", "")]


def test_a_slide_without_a_limit_of_memory_is_seldom_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks cost: 25 in 2.5 s were too many. What it held for a moment between them is told all the same."""
    held, looks = supervise._most_bytes, []
    monkeypatch.setattr(supervise, "_most_bytes", lambda child: looks.append(child) or held(child))
    code = "import time; input(); bytes(1) * 300_000_000; time.sleep(2.5); print('{\"exit_code\": 0}')"
    (slide,) = draw_stubs(tmp_path / "slides", "ok")
    order = Order(slide, str(tmp_path / "out"), {}, [], 1, Cache(tmp_path, 1.0))
    ended = supervise.run_order(order, Limits(), command=(sys.executable, "-c", code))
    assert (ended.exit_code, ended.reason) == (0, "")
    assert 0.3 < ended.memory_gb < 0.4
    assert 2 < len(looks) < 15


def test_a_slide_of_unknown_resolution_says_what_a_cohort_takes(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "field.png")
    slide = CohortSlide(str(tmp_path / "field.png"), "field")
    told = work(Order(slide, str(tmp_path / "out"), {}, ["qc"], 1, Cache(tmp_path, 1.0)))
    assert told["exit_code"] == 1
    assert "pass it with the column mpp of a manifest (a CSV with columns path and mpp)" in told["reason"]
    assert "--" not in told["reason"]


def test_memory_of_a_process_that_it_began_counts(tmp_path: Path) -> None:
    """A language model that writes the narrative has a process of its own."""
    inner = "held = bytes(1) * 300_000_000; print(flush=True); input()"
    code = (
        "import json, subprocess as s, sys, time; input(); "
        f"begun = s.Popen([sys.executable, '-c', {inner!r}], stdin=s.PIPE, stdout=s.PIPE); "
        "begun.stdout.readline(); time.sleep(20)"
    )
    (slide,) = draw_stubs(tmp_path / "slides", "ok")
    order = Order(slide, str(tmp_path / "out"), {}, [], 1, Cache(tmp_path, 1.0))
    limits = Limits(minutes=0.3, memory_gb=0.2)
    ended = supervise.run_order(order, limits, command=(sys.executable, "-c", code))
    assert "it took more than 0.2 GB of memory" in ended.reason
    assert ended.memory_gb > 0.2


def test_a_killed_process_is_begun_again(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    slides = draw_stubs(tmp_path / "slides", "ok", "slow", "ok")
    killed: list[int] = []

    def kill(status: Any) -> None:
        if not killed and status.slides["s01"].stage == "cells":
            for child in children_of(os.getpid()):
                if str(STUB[1]).encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    killed.append(child)
                    os.kill(child, signal.SIGKILL)

    status = run_stubs(slides, tmp_path / "out", watch=kill, tries=3)
    assert killed
    assert status.counts["done"] == 3
    assert status.slides["s01"].tries == 2
    assert tables(tmp_path / "out") == first(3, undisturbed)


def line(folder: Path, *options: str) -> list[str]:
    """Return the command line of a run of stubs."""
    where = [str(folder / "slides"), "-o", str(folder / "out")]
    return [*STUB, "cohort", "run", *where, *(options or ("--workers", "2"))]


def start(folder: Path, *words: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a run of stubs by the command line and wait until the first of them is in its cells."""
    draw_stubs(folder / "slides", *words)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    run = subprocess.Popen(line(folder, *options), **pipes)
    while not (folder / "out" / "s00" / "tissue").is_dir() or not (folder / "out" / "status.json").is_file():
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    return run


def all_gone(processes: list[int]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        time.sleep(0.05)
    return False


def descendants_of(process: int) -> list[int]:
    children = children_of(process)
    return children + [each for child in children for each in descendants_of(child)]


@pytest.mark.parametrize("options", [(), pytest.param(("--cluster", "local:2"), marks=pytest.mark.slow)])
def test_a_killed_parent_takes_its_slides_along_and_the_same_line_goes_on(
    options: tuple[str, ...], tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    if options:
        pytest.importorskip("distributed")
    run = start(tmp_path, "hang", "slow", "ok", options=options)
    begun = descendants_of(run.pid)
    run.kill()
    run.communicate()
    assert begun
    assert all_gone(begun)
    found = read_status(tmp_path / "out")
    assert (found["state"], found["counts"]["running"]) == ("interrupted", 0)
    slides = draw_stubs(tmp_path / "slides", "ok", "ok", "ok")
    assert run_stubs(slides, tmp_path / "out").counts["done"] == 3
    assert tables(tmp_path / "out") == first(3, undisturbed)


def test_sigterm_ends_all_in_order(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    run = start(tmp_path, "slow", "slow", "ok")
    children = children_of(run.pid)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 143
    assert err.splitlines()[-1].startswith("histome: interrupted by SIGTERM; what is finished is kept")
    assert all_gone(children)
    assert json.loads((tmp_path / "out" / "s00" / "run.json").read_text())["state"] == "interrupted"
    assert read_status(tmp_path / "out")["state"] == "interrupted"
    slides = draw_stubs(tmp_path / "slides", "ok", "ok", "ok")
    assert run_stubs(slides, tmp_path / "out").counts["done"] == 3
    assert tables(tmp_path / "out") == first(3, undisturbed)


def test_two_runs_at_once_do_not_hurt_each_other(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    first_run = start(tmp_path, "slow", "ok", "ok")
    second = subprocess.run(line(tmp_path), capture_output=True, text=True, check=False)
    first_run.communicate(timeout=300)
    assert (second.returncode, first_run.returncode) == (1, 0)
    assert f"being written by process {first_run.pid}" in second.stderr
    assert tables(tmp_path / "out") == first(3, undisturbed)


def test_of_two_runs_on_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    slides = draw_stubs(tmp_path / "slides", "ok")
    (tmp_path / "out").mkdir()
    with FolderLock(tmp_path / "out"), pytest.raises(HeldError, match="being written by process"):
        run_stubs(slides, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_a_clock_that_jumps_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = time.time(), iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now + (-1) ** next(calls) * 86_400)
    status = run_stubs(draw_stubs(tmp_path / "slides", "slow"), tmp_path / "out", limits=Limits(minutes=1))
    assert status.slides["s00"].state == "done"
    assert 1 < status.slides["s00"].seconds < 60


def test_a_full_disk_ends_the_run_in_one_line(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """With a disk of its own, where the system lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=56k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        slides = draw_stubs(tmp_path / "slides", "ok", "ok", "ok")
        try:
            ended = run_stubs(slides, disk / "out", tries=1).slides.values()
            said = [slide.reason for slide in ended]
        except OutputError as refusal:  # it was full as status.json was written
            said = [str(refusal)]
        assert any("cannot be written (No space left on device)" in line for line in said)
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        assert run_stubs(slides, disk / "out").counts["done"] == 3
        assert tables(disk / "out") == first(3, undisturbed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
