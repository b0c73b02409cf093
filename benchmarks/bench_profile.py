"""How fast a slide is profiled, with how much memory, and how soon a finished profile is recognized.

    python benchmarks/bench_profile.py speed     mm2 per minute on one and two cores, share of each stage
    python benchmarks/bench_profile.py memory    peak memory of 100,000 x 100,000 px, 5 % of it tissue
    python benchmarks/bench_profile.py again     wall time of a run that finds everything done

Each run is a process of its own, held to its cores; the slides are phantoms, drawn into --folder and kept
there. Ratios compare between machines, seconds do not.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histome.phantom import draw_phantom


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds of wall clock and of all its cores, peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(slide: Path, out: Path, cores: int) -> Cost:
    command = [sys.executable, "-m", "histome", "profile", str(slide), "-o", str(out)]
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    started = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, allowed)
    )
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def phantom(folder: Path, side_px: int, mpp: float, tissue_share: float) -> Path:
    path = folder / f"phantom-{side_px}px-{mpp:g}um-{100 * tissue_share:g}pc.tif"
    if not path.exists():
        started = time.perf_counter()
        partial = path.with_suffix(".part.tif")
        rng = np.random.default_rng(1)
        draw_phantom(partial, size_px=(side_px, side_px), mpp=mpp, rng=rng, tissue_share=tissue_share)
        partial.rename(path)
        print(
            f"drew {path.name} ({path.stat().st_size / 1e6:.0f} MB) in {time.perf_counter() - started:.0f} s"
        )
    return path


def report(slide: Path, out: Path, cost: Cost, cores: int) -> None:
    told = json.loads((out / slide.stem / "run.json").read_text())
    valid_mm2 = valid_area_mm2(out / slide.stem)
    seconds = {name: stage["seconds"] for name, stage in told["stages"].items()}
    busy = sum(seconds.values())
    print(
        f"{cores} core(s): {cost.wall_s:.1f} s wall, {cost.cpu_s:.1f} CPU-s, {cost.peak_mb:.0f} MB peak; "
        f"{valid_mm2:.2f} mm2 of valid tissue, {60 * valid_mm2 / cost.wall_s:.1f} mm2/min, "
        f"{told['cells']['count']:,} cells"
    )
    for name, spent in seconds.items():
        print(f"    {name:<8}{spent:8.1f} s  {100 * spent / busy:5.1f} %")
    print(f"    {'start':<8}{cost.wall_s - busy:8.1f} s  (Python and libraries)")


def valid_area_mm2(profile: Path) -> float:
    import histome

    return histome.load_profile(profile).quality.map.area_um2("VALID_TISSUE") / 1e6


def speed(folder: Path, side_px: int, mpp: float) -> None:
    slide = phantom(folder, side_px, mpp, 0.6)
    for cores in (1, 2):
        out = folder / f"speed-{cores}"
        run(slide, out, cores)  # once for the disk cache and compiled code
        shutil.rmtree(out)
        report(slide, out, run(slide, out, cores), cores)


def memory(folder: Path, side_px: int, mpp: float) -> None:
    slide = phantom(folder, side_px, mpp, 0.05)
    out = folder / f"memory-{side_px}-{mpp:g}"
    cost = run(slide, out, 2)
    print(f"{side_px} x {side_px} px at {mpp:g} um/px:")
    report(slide, out, cost, 2)


def again(folder: Path, side_px: int, mpp: float) -> None:
    slide = phantom(folder, side_px, mpp, 0.6)
    run(slide, folder / "again", 2)
    walls = [run(slide, folder / "again", 2).wall_s for _ in range(5)]
    print(f"a finished profile: {min(walls):.2f} s wall (best of 5; median {np.median(walls):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "memory", "again"])
    parser.add_argument("--folder", type=Path, default=Path("out/bench"))
    parser.add_argument("--side-px", type=int, help="side of the slide; 8192, for memory 100,000")
    parser.add_argument("--mpp", type=float, default=0.5)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    side_px = given.side_px or (100_000 if given.what == "memory" else 8192)
    {"speed": speed, "memory": memory, "again": again}[given.what](given.folder, side_px, given.mpp)


if __name__ == "__main__":
    main()
