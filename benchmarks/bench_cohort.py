"""A cohort against its slides one by one: the same tables by processes and by Dask, and at what cost.

    python benchmarks/bench_cohort.py --data ../shared/data/tnbc --slides 200

Slides are cut from the fields of a data set in our layout (images.csv). Some or all are profiled alone, one
after the other; then all as a cohort by processes, by a Dask LocalCluster of 4 workers, and by one that
loses a worker every 20 s. The files of every profile must be the same but for run.json, which holds times.

CPU seconds are what is compared: wall clock says what else the machine does. `own` are those of the cohort's
process and of Dask's; the rest is the slides'.
"""

import argparse
import csv
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from histome.datasets.fields import read_rows

SIDE_PX = 384
MODES = {"processes": ["--workers", 4], "dask": ["--cluster", "local:4"]}
MODES["dask-killed"] = [*MODES["dask"], "--tries", 5]


def cut(data: Path, folder: Path, count: int) -> Path:
    """Cut slides from the fields, corner by corner, and return their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (row, x, y) in zip(range(count), places(data), strict=False):
        path = folder / f"cut{number:04}.png"
        with Image.open(data / row["file"]) as field:
            field.convert("RGB").crop((x, y, x + SIDE_PX, y + SIDE_PX)).save(path)
        rows.append([path.name, row["mpp"], row.get("source", "")])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "mpp", "patient"], *rows])
    return folder / "manifest.csv"


def places(data: Path) -> Iterator[tuple[dict[str, str], int, int]]:
    """Corners of as many different cuts as one asks for: all fields once, then again elsewhere."""
    rows, rng = read_rows(data / "images.csv"), np.random.default_rng(1)
    while True:
        for row in rows:
            with Image.open(data / row["file"]) as field:
                x, y = (int(rng.integers(0, side - SIDE_PX + 1)) for side in field.size)
            yield row, x, y


def histome(*words: object, during: Callable[[int], None] = lambda _: None) -> tuple[float, float]:
    """Run a command line; returns its seconds of wall clock and of CPU, children and all.

    It has a session of its own, as each slide of a cohort has: by some systems sessions share the CPUs.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "histome", *map(str, words), "--quiet"]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    during(child.pid)
    if child.wait() not in (0, 3):
        raise SystemExit(f"histome {words} ended with {child.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


class Watch:
    """Looks at a running cohort twice a second: its own CPU seconds; kills a worker every so often."""

    def __init__(self, kill_every_s: float | None) -> None:
        self.own: dict[int, float] = {}
        self.killed = 0
        self._every_s = kill_every_s

    def look(self, cohort: int) -> None:
        """Look until it ends."""
        due = time.monotonic() + (self._every_s or 0)
        while os.waitid(os.P_PID, cohort, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            workers = [child for child in children(cohort) if b"spawn_main" in told(child, "cmdline")]
            self.own |= {process: cpu_s(process) for process in (cohort, *workers)}
            busy = [worker for worker in workers if children(worker)]
            if self._every_s and time.monotonic() >= due and busy:
                os.kill(busy[self.killed % len(busy)], signal.SIGKILL)
                self.killed, due = self.killed + 1, time.monotonic() + self._every_s
            time.sleep(0.5)


def told(process: int, name: str) -> bytes:
    """Return what the system says of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def cpu_s(process: int) -> float:
    """Return the CPU seconds of a process without its children."""
    words = told(process, "stat").rpartition(b")")[2].split()
    return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """Return the processes that a process has begun."""
    try:
        threads = Path(f"/proc/{process}/task").iterdir()
        return [int(word) for thread in threads for word in (thread / "children").read_text().split()]
    except OSError:
        return []


def differ(one: Path, other: Path) -> list[str]:
    """Return the files of the first folder's profiles that the second has not, or not the same."""
    found = [
        {
            path.relative_to(folder): path
            for path in folder.glob("cut*/**/*")
            if path.is_file() and path.name != "run.json"
        }
        for folder in (one, other)
    ]
    names = sorted(found[0])
    same = (name in found[1] and found[0][name].read_bytes() == found[1][name].read_bytes() for name in names)
    print(
        f"{one.name} and {other.name}: {len(names)} files of {len({name.parts[0] for name in names})} slides"
    )
    return [str(name) for name, fine in zip(names, same, strict=True) if not fine]


def run_alone(folder: Path, count: int, options: list[str]) -> tuple[Path, float]:
    """Profile `count` of the slides one by one; returns their folder and the CPU seconds of one."""
    with (folder / "slides" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows = rows[:: max(1, len(rows) // count)][:count]
    slides = [
        (folder / "slides" / row["path"], "--mpp", row["mpp"], "--workers", 1, *options) for row in rows
    ]
    histome("profile", *slides[0], "-o", folder / "warm-up")
    took = np.array([histome("profile", *words, "-o", folder / "alone") for words in slides])
    (wall_s, cpu), spread = took.sum(0), took[:, 1].std() / np.sqrt(len(took))
    print(
        f"{len(rows)} one by one: {wall_s:.0f} s of wall clock, {cpu:.0f} s of CPU, "
        f"{cpu / len(rows):.2f} +- {spread:.2f} a slide",
        flush=True,
    )
    return folder / "alone", cpu / len(rows)


def run_mode(name: str, given: argparse.Namespace, options: list[str], single_s: float) -> Path:
    """Run all slides as a cohort and say what it took; returns its folder."""
    out, watch = given.folder / name, Watch(given.kill_every if name == "dask-killed" else None)
    words = [*MODES[name], "--threads", 1, *options, "-o", out]
    wall_s, cpu = histome(
        "cohort", "run", given.folder / "slides" / "manifest.csv", *words, during=watch.look
    )
    own_s, more = sum(watch.own.values()), cpu / given.slides / single_s - 1
    print(
        f"{name}: {wall_s:.0f} s of wall clock, {cpu:.0f} s of CPU, {100 * more:+.1f} % of CPU; "
        f"{own_s:.1f} s its own, {100 * own_s / (cpu - own_s):.1f} %; {watch.killed} workers killed",
        flush=True,
    )
    return out


def main() -> int:
    """Cut, run, compare, print; returns 0 where all tables are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--alone", type=int, help="how many of them one by one; by default all")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--stages", default="report")
    parser.add_argument("--folder", type=Path, default=Path("out/bench-cohort"))
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    cut(given.data, given.folder / "slides", given.slides)
    options = ["--stages", given.stages]
    alone, single_s = run_alone(given.folder, given.alone or given.slides, options)
    outs = [run_mode(name, given, options, single_s) for name in given.modes.split(",")]
    wrong = [f"{out.name}: {path}" for out in outs for path in differ(alone, out)]
    wrong += [f"{out.name}: {path}" for out in outs[1:] for path in differ(outs[0], out)]
    print("differ:", *(wrong or ["nothing"]), sep="\n  ")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
