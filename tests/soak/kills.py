"""Profiles killed at random moments and run again: same bytes, no stale lock, nothing partial.

    python tests/soak/kills.py --kills 200
    python tests/soak/kills.py --kills 200 --slide slide.svs

Each profile is killed some times (SIGKILL, now and then SIGTERM), wherever that falls, and then left to end;
what it left is compared with an undisturbed run. Runs are forked from one process that has the libraries
loaded, so that kills fall into work and not into imports. A drawn slide with models of a few weights, or the
slide given with the shipped models; by hand, not in CI.
"""

import argparse
import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from helpers.fakes import snapshot
from soak.drawn import draw_case

from histome.cli import main as histome
from histome.models.runtime import import_openvino

LOADED = (
    "histome.cells.find",
    "histome.tissue",
    "histome.qc",
    "histome.metrics",
    "zarr",
    "numba",
)
LIMIT_S = 900


def run(words: list[str], out: Path) -> int:
    """Start a command line in a process of its own and return its id; its stderr goes beside `out`."""
    child = os.fork()
    if child == 0:
        _be(words, out)
    return child


def _be(words: list[str], out: Path) -> NoReturn:
    os.setsid()
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(f"{out}.stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        histome([*words, "-o", str(out)])
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def ended(child: int, *, within_s: float) -> int | None:
    """Return the exit code of a child, negative for a signal; None where it does not end in time."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def where(profile: Path) -> str:
    """Return what a run under way is at: the first stage that is not there, with the parts that it has."""
    if not (profile / ".lock").exists():
        return "before or after"
    stage = next((name for name in ("qc", "tissue", "cells") if not (profile / name).exists()), "later")
    return f"{stage} with parts" if list(profile.glob(f".{stage}-*/0*")) else stage


def run_json(profile: Path) -> bytes:
    """Return run.json as it stands; empty where there is none."""
    path = profile / "run.json"
    return path.read_bytes() if path.exists() else b""


def faults(profile: Path, expected: dict[str, bytes]) -> list[str]:
    """Return what is wrong with a profile that was left to end."""
    hidden = [path.relative_to(profile).as_posix() for path in profile.rglob(".*")]
    found = {name: data for name, data in snapshot(profile).items() if not name.startswith("report/")}
    differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    state = json.loads((profile / "run.json").read_text())["state"]
    return [f"left {name}" for name in hidden] + differ + ([] if state == "done" else [f"state {state}"])


def after_sigterm(child: int, code: int | None, profile: Path, *, before: bytes) -> list[str]:
    """Return what is wrong with what a run left that was asked to end; `before` is run.json as it began.

    One that had not begun yet leaves what the kill before it left.
    """
    told = Path(f"{profile.parent}.stderr").read_text()
    lock = (profile / ".lock").read_text() if (profile / ".lock").exists() else None
    if code == 0:
        return []
    wrong = [] if code == 128 + signal.SIGTERM else [f"SIGTERM: code {code}"]
    *stages, last = told.splitlines() or [""]
    fine = last.startswith("histome: interrupted by SIGTERM") and all(": " in line for line in stages)
    wrong += [] if fine and "Traceback" not in told else [f"SIGTERM: said {told!r}"]
    if (after := run_json(profile)) != before:
        state = json.loads(after or "{}").get("state", "interrupted")  # removed where nothing was finished
        wrong += [] if state in ("interrupted", "done") else [f"SIGTERM: state {state}"]
    return wrong + (["SIGTERM: left its lock"] if lock and f"process {child} " in lock else [])


def main() -> int:
    """Kill, run again, compare, print the counts; returns 0 where all was as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--each", type=int, default=4, help="kills of one profile before it is left to end")
    parser.add_argument("--slide", type=Path, help="a slide of yours, with the shipped models")
    parser.add_argument("--stages", default="cells")
    parser.add_argument("--minutes", type=float, default=600, help="begin no profile after this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("out/soak"))
    given = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    import_openvino()
    words = ["profile", str(given.slide)] if given.slide else draw_case(given.folder)
    words += ["--stages", given.stages, "--workers", "2"]
    return soak(words, given)


def soak(words: list[str], given: argparse.Namespace) -> int:
    """Do what `main` says."""
    rng, begun = np.random.default_rng(given.seed), time.monotonic()
    stem, out = Path(words[1]).stem, given.folder / "undisturbed"
    takes_s = []
    for _ in range(2):  # the first compiles and fills caches
        shutil.rmtree(out, ignore_errors=True)
        started = time.monotonic()
        if ended(run(words, out), within_s=LIMIT_S) != 0:
            raise SystemExit(f"the undisturbed run failed: {Path(f'{out}.stderr').read_text()}")
        takes_s.append(time.monotonic() - started)
    expected = {name: data for name, data in snapshot(out / stem).items() if not name.startswith("report/")}
    print(f"undisturbed: {takes_s[-1]:.1f} s, {len(expected)} files", flush=True)
    hits: Counter[str] = Counter()
    wrong: list[str] = []
    sent = profiles = 0
    while sent < given.kills and time.monotonic() - begun < 60 * given.minutes:
        out = given.folder / "killed"
        shutil.rmtree(out, ignore_errors=True)
        for _ in range(min(given.each, given.kills - sent)):
            number = signal.SIGTERM if rng.random() < 0.2 else signal.SIGKILL
            before, child = run_json(out / stem), run(words, out)
            code = ended(child, within_s=rng.uniform(0, 1.05 * takes_s[-1]))
            if code is not None:  # it has ended: there is nothing to kill any more
                hits["too late, no kill"] += 1
                break
            hits[f"{number.name} in {where(out / stem)}"] += 1
            sent += 1
            os.kill(child, number)
            code = ended(child, within_s=LIMIT_S)
            if number == signal.SIGTERM:
                wrong += after_sigterm(child, code, out / stem, before=before)
        if ended(run(words, out), within_s=LIMIT_S) != 0:
            wrong.append(f"the last run failed: {Path(f'{out}.stderr').read_text()}")
        else:
            wrong += faults(out / stem, expected)
        profiles += 1
        print(f"{sent} kills, {profiles} profiles, wrong: {wrong or 'nothing'}", flush=True)
    for place, count in sorted(hits.items()):
        print(f"{count:5}  {place}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
