"""A cohort against its slides one by one: the same tables by processes and by Dask, and at what cost.

    python benchmarks/bench_cohort.py --data ../shared/data/tnbc --slides 200

Slides are cut from the fields of a data set in our layout (images.csv). Each is profiled alone, then all as
a cohort by processes, by a Dask LocalCluster of 4 workers, and by one that loses a worker every 20 s.
The files of every profile must be the same but for run.json, which holds times.
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

SIDE_PX, KILL_EVERY_S = 384, 20.0


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
    """Run a command line; returns its seconds of wall clock and of CPU, children and all."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "histome", *map(str, words), "--quiet"], stderr=subprocess.DEVNULL
    )
    during(child.pid)
    if child.wait() not in (0, 3):
        raise SystemExit(f"histome {words} ended with {child.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def kill_workers(cohort: int) -> None:
    """Kill a worker of a running cohort's LocalCluster every 20 s until it ends."""
    killed, due = 0, time.monotonic() + KILL_EVERY_S
    while os.waitid(os.P_PID, cohort, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.5)
        busy = [worker for worker in children(cohort) if children(worker)]
        if time.monotonic() >= due and busy:
            os.kill(busy[killed % len(busy)], signal.SIGKILL)
            killed, due = killed + 1, time.monotonic() + KILL_EVERY_S
    print(f"killed {killed} workers")


def children(process: int) -> list[int]:
    """Return the processes that a process has begun."""
    try:
        threads = Path(f"/proc/{process}/task").iterdir()
        return [int(word) for thread in threads for word in (thread / "children").read_text().split()]
    except OSError:
        return []


def differ(one: Path, other: Path) -> list[str]:
    """Return the files of profiles that are not the same in two folders."""
    found = [
        {
            path.relative_to(folder): path
            for path in folder.glob("cut*/**/*")
            if path.is_file() and path.name != "run.json"
        }
        for folder in (one, other)
    ]
    names = sorted({*found[0], *found[1]})
    same = (
        name in found[0] and name in found[1] and found[0][name].read_bytes() == found[1][name].read_bytes()
        for name in names
    )
    print(f"{one.name} and {other.name}: {len(names)} files compared")
    return [str(name) for name, fine in zip(names, same, strict=True) if not fine]


def main() -> int:
    """Cut, run, compare, print; returns 0 where all tables are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--stages", default="report")
    parser.add_argument("--folder", type=Path, default=Path("out/bench-cohort"))
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    manifest, single = cut(given.data, given.folder / "slides", given.slides), given.folder / "single"
    options = ["--stages", given.stages]
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    warm_up = manifest.parent / rows[0]["path"]
    histome("profile", warm_up, "--mpp", rows[0]["mpp"], "-o", given.folder / "warm-up", *options)
    alone = ["--workers", 1, *options, "-o", single]
    took = [histome("profile", manifest.parent / row["path"], "--mpp", row["mpp"], *alone) for row in rows]
    wall_s, cpu_s = map(sum, zip(*took, strict=True))
    print(f"{len(rows)} slides one by one: {wall_s:.0f} s of wall clock, {cpu_s:.0f} s of CPU", flush=True)
    wrong = []
    modes = {
        "processes": (["--workers", 1], lambda _: None),
        "dask": (["--cluster", "local:4"], lambda _: None),
        "dask-killed": (["--cluster", "local:4", "--tries", 5], kill_workers),
    }
    for name, (words, during) in modes.items():
        out = given.folder / name
        words = [*words, "--threads", 1, *options]
        wall, cpu = histome("cohort", "run", manifest, "-o", out, *words, during=during)
        print(
            f"{name}: {wall:.0f} s of wall clock, {cpu:.0f} s of CPU, {100 * (cpu / cpu_s - 1):+.1f} % of CPU"
        )
        wrong += [f"{name}: {path}" for path in differ(single, out)]
    print("differ:", *(wrong or ["nothing"]), sep="\n  ")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
