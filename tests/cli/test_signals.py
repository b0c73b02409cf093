"""Ctrl-C, a scheduler's end of time and a closed terminal: one line, the right code, all left in order."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.phantoms import small_phantom
from helpers.tiny_models import tiny_settings

from histome.cli.application import _signals_as_errors

pytestmark = pytest.mark.slow
pty = pytest.importorskip("pty", reason="Windows has other signals and terminals")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that searches cells for seconds, all but -o and its folder."""
    folder = tmp_path_factory.mktemp("signals")
    small_phantom(folder / "drawn.tif", size_px=(2400, 2000), tissue_share=0.8)
    given = ["--config", str(tiny_settings(folder, dark=True)), "--stages", "cells", "--workers", "2"]
    return [sys.executable, "-m", "histome", "profile", str(folder / "drawn.tif"), *given]


def heed_all() -> None:
    """Ignore no signal, as a run in a shell; tests under nohup would hand down what they ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(words: list[str], out: Path, *, ignored: int | None = None) -> subprocess.Popen[str]:
    """Start the command and wait until its cells are being searched."""

    def heed() -> None:
        heed_all()
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    child = subprocess.Popen(
        [*words, "-o", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )
    while not (out / "drawn" / "tissue").is_dir():
        assert child.poll() is None, child.communicate()
        time.sleep(0.005)
    return child


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")],
)
def test_a_signal_is_one_line_and_leaves_all_in_order(
    words: list[str], tmp_path: Path, number: int, code: int, name: str
) -> None:
    child = start(words, tmp_path)
    assert json.loads((tmp_path / "drawn" / "run.json").read_text())["exit_code"] is None
    child.send_signal(number)
    time.sleep(0.05)
    child.send_signal(number)  # shells and schedulers send it to the process and to its group
    out, err = child.communicate(timeout=60)
    line = f"interrupted by {name}; what is finished is kept, run the same line again to go on"
    *stages, last = err.splitlines()
    assert (child.returncode, out, last) == (code, "", f"histome: {line}")
    assert all(told.startswith("drawn.tif: ") for told in stages)  # no terminal, so a line a stage
    run = json.loads((tmp_path / "drawn" / "run.json").read_text())
    assert (run["state"], run["exit_code"], run["error"]) == ("interrupted", code, line)
    left = {entry.name for entry in (tmp_path / "drawn").iterdir() if not entry.name.startswith(".cells-")}
    assert left == {"qc", "tissue", "run.json"}


LET_GO = """
import os, sys, time
from histome.cli.application import _signals_as_errors
from histome.errors import Interrupted

class Slow:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        raise AssertionError("the signal did not come at once")

try:
    with _signals_as_errors():
        Slow()
        time.sleep(10)
except Interrupted as stop:
    print(stop)
    sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_something_is_let_go_of_is_not_lost(number: int) -> None:
    """Python drops what is raised there."""
    words = [sys.executable, "-c", LET_GO, str(int(number))]
    child = subprocess.run(words, capture_output=True, text=True, preexec_fn=heed_all, timeout=60)
    assert (child.returncode, child.stderr) == (128 + number, "")
    assert child.stdout.startswith("interrupted by ")


def test_what_else_is_dropped_is_told_as_ever() -> None:
    class Wrong:
        def __del__(self) -> None:
            raise RuntimeError("in vain")

    told: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda what: told.append(str(what.exc_value))
    try:
        with _signals_as_errors():
            Wrong()
    finally:
        sys.unraisablehook = before
    assert told == ["in vain"]


def close_terminal_of(words: list[str], out: Path) -> tuple[int, str]:
    """Return exit code and state of a run whose terminal is closed while its cells are being searched."""
    process, terminal = pty.fork()
    if process == 0:
        heed_all()
        os.execv(words[0], [*words, "-o", str(out)])
    while not (out / "drawn" / "tissue").is_dir():
        if select.select([terminal], [], [], 0.005)[0]:
            os.read(terminal, 4096)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code, json.loads((out / "drawn" / "run.json").read_text())["state"]


def test_a_closed_terminal_ends_a_run_in_order(words: list[str], tmp_path: Path) -> None:
    """With its bars on the screen: what is written to a terminal that is gone fails."""
    for attempt in range(5):
        code, state = close_terminal_of(words, tmp_path / str(attempt))
        if state != "done":  # on a busy machine it may have ended before
            break
    assert (code, state) == (129, "interrupted")


def test_a_run_under_nohup_goes_on(words: list[str], tmp_path: Path) -> None:
    child = start(words, tmp_path, ignored=signal.SIGHUP)
    child.send_signal(signal.SIGHUP)
    child.communicate(timeout=120)
    assert child.returncode == 0
    left = sorted(entry.name for entry in (tmp_path / "drawn").iterdir())
    assert left == ["cells", "qc", "run.json", "tissue"]
