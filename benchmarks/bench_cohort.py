"""A cohort against its slides one by one: the same tables by processes and by Dask, and at what cost.

    python benchmarks/bench_cohort.py --data ../shared/data/tnbc --slides 200

Slides are cut from the fields of a data set in our layout (images.csv). All are profiled as a cohort by
processes, by a Dask LocalCluster of 4 workers, and by one that loses a worker every 20 s; before, between and
after these some or all alone, one by one, so that what else the machine does meets both. The files of every
profile must be the same but for run.json and the report's page, which hold times. The code must stay as it is
meanwhile: slide.csv says which one made it. What each way gave is printed as soon as it is there.

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
from histome.store.graph import code_hash, code_version

Words = tuple[object, ...]
SIDE_PX = 384
MODES = {"processes": ["--workers", 4], "dask": ["--cluster", "local:4"]}
MODES["dask-killed"] = MODES["dask"]


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
            busy = [worker for worker in workers if any(map(is_slide, children(worker)))]
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


def is_slide(process: int) -> bool:
    """Tell whether a process works on a slide: what else a worker begins is Python's own."""
    command = told(process, "cmdline")
    return bool(command) and b"multiprocessing" not in command


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
    """Print and return the files of the first folder's profiles that the second has not, or not the same."""
    found = [
        {
            path.relative_to(folder): path
            for path in folder.glob("cut*/**/*")
            if path.is_file() and path.name != "run.json" and path.parent.name != "report"
        }
        for folder in (one, other)
    ]
    names = sorted(found[0])
    same = (name in found[1] and found[0][name].read_bytes() == found[1][name].read_bytes() for name in names)
    wrong = [str(name) for name, fine in zip(names, same, strict=True) if not fine]
    slides = len({name.parts[0] for name in names})
    print(
        f"{one.name} and {other.name}: {len(names)} files of {slides} slides, differ:",
        *(wrong or ["nothing"]),
    )
    return wrong


def parts_of(manifest: Path, count: int, parts: int) -> list[list[Words]]:
    """Return the words for `count` slides, spread over the manifest, dealt into so many parts."""
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    chosen = [rows[number * len(rows) // count] for number in range(count)]
    words: list[Words] = [
        (manifest.parent / row["path"], "--mpp", row["mpp"], "--workers", 1) for row in chosen
    ]
    return [words[part::parts] for part in range(parts)]


def run_alone(out: Path, slides: list[Words], options: list[str]) -> list[float]:
    """Profile slides one by one; returns the CPU seconds of each."""
    took = np.array([histome("profile", *words, *options, "-o", out) for words in slides])
    wall_s, cpu = took.sum(0)
    print(f"{len(slides)} one by one: {wall_s:.0f} s of wall clock, {cpu / len(slides):.2f} s of CPU each")
    return list(took[:, 1])


def run_mode(name: str, given: argparse.Namespace, options: list[str]) -> tuple[float, float]:
    """Run all slides as a cohort; returns the CPU seconds of all and its own."""
    watch = Watch(given.kill_every if name == "dask-killed" else None)
    words = [*MODES[name], "--threads", 1, *options, "-o", given.folder / name]
    wall_s, cpu = histome(
        "cohort", "run", given.folder / "slides" / "manifest.csv", *words, during=watch.look
    )
    own = sum(watch.own.values())
    print(
        f"{name}: {wall_s:.0f} s of wall clock, {cpu:.0f} s of CPU, {own:.1f} s its own; "
        f"{watch.killed} workers killed"
    )
    return cpu, own


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
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    shutil.rmtree(given.folder, ignore_errors=True)
    manifest, modes = cut(given.data, given.folder / "slides", given.slides), given.modes.split(",")
    options, alone = ["--stages", given.stages], given.folder / "alone"
    parts = parts_of(manifest, given.alone or given.slides, len(modes) + 1)
    run_alone(given.folder / "warm-up", parts[0][:1], options)
    took, code, wrong = run_alone(alone, parts[0], options), code_version(), []
    for mode, part in zip(modes, parts[1:], strict=True):
        cpu, own = run_mode(mode, given, options)
        took += run_alone(alone, part, options)
        tell(np.array(took), mode, (cpu, own), given.slides)
        for before in (alone, *(given.folder / name for name in modes[: modes.index(mode)])):
            wrong += differ(before, given.folder / mode)
    code_hash.cache_clear()
    if code_version() != code:
        print("the code was changed meanwhile: slide.csv says so")
    return int(bool(wrong))


def tell(took: np.ndarray, mode: str, spent: tuple[float, float], slides: int) -> None:
    """Say what a way took beside the sum of its slides alone."""
    single, error, (cpu, own) = took.mean(), took.std() / np.sqrt(len(took)), spent
    more = cpu / slides / single - 1
    print(
        f"{len(took)} slides alone: {single:.2f} +- {error:.2f} s of CPU each\n"
        f"{mode}: {cpu:.0f} s of CPU, {100 * more:+.1f} +- {100 * (1 + more) * error / single:.1f} % "
        f"beside the slides alone; {own:.1f} s its own, {100 * own / (cpu - own):.1f} %"
    )


if __name__ == "__main__":
    sys.exit(main())
