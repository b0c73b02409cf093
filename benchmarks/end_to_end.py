"""What a slide costs, stage by stage: CPU-seconds, CPU-seconds a mm2 and peak memory, beside the floor.

    python benchmarks/end_to_end.py SLIDE [--crop X Y SIDE] [--copies N] [--cores 2] [--mpp 0.5]
    python benchmarks/end_to_end.py --plot docs/images

`--crop` takes a square of the slide, level-0 px; `--copies` lays it side by side: one slide, so many times as
large. The floor is what no arrangement of the same work goes under: every pixel of tissue decoded once, and
each network on tissue alone at the speed measured here. Each run is a process of its own, held to its cores;
its figures are added to FOLDER/runs.json, which `--plot` draws. Ratios compare between machines, seconds do
not. Peak memory is of the whole process while the stage ran; Linux only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

import histome
from histome.models.registry import find_model
from histome.models.runtime import Network
from histome.slide import Slide

TILE_PX, LEVELS = 256, 4
KEPT = "runs.json"


def lay_out(slide: Slide, path: Path, corner: tuple[int, int], side: int, copies: int) -> None:
    """Write a square of a slide, side by side, as a tiled JPEG pyramid of the same um/px."""
    if copies > 1 and side % (TILE_PX << (LEVELS - 1)):
        raise SystemExit(f"copies need a SIDE of whole tiles on each level: {TILE_PX << (LEVELS - 1)} px")

    def tiles(level: int) -> Iterator[np.ndarray]:
        step, edge = 2**level, side >> level
        for y in range(0, edge, TILE_PX):
            for x in (x for _ in range(copies) for x in range(0, edge, TILE_PX)):
                place = corner[0] + x * step, corner[1] + y * step
                yield slide.read(*place, size=(TILE_PX, TILE_PX), mpp=slide.mpp.x * step)

    options: dict[str, Any] = {
        "tile": (TILE_PX, TILE_PX), "compression": "jpeg", "compressionargs": {"level": 85},
        "photometric": "rgb", "dtype": np.uint8, "resolutionunit": "CENTIMETER",
    }  # fmt: skip
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(LEVELS):
            options |= {"shape": (side >> level, copies * side >> level, 3), "subfiletype": int(level > 0)}
            per_cm = 1e4 / slide.mpp.x / 2**level
            file.write(tiles(level), resolution=(per_cm, per_cm), **options)


def memory_mb(name: str) -> float:
    """VmRSS or VmHWM of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def profile(slide: Path, out: Path, mpp: float | None) -> dict[str, Any]:
    """Profile a slide in this process; CPU-seconds, wall clock and peak memory of each stage."""
    stages: dict[str, dict[str, float]] = {}
    began: list[float] = []

    def told(stage: str, done: float, total: float) -> None:
        if total == 0:
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
            began[:] = time.process_time(), time.perf_counter()
        elif stage not in stages and done == total == 1.0:
            cpu_s, wall_s = time.process_time() - began[0], time.perf_counter() - began[1]
            stages[stage] = {"cpu_s": cpu_s, "wall_s": wall_s, "peak_mb": memory_mb("VmHWM")}

    made = histome.profile(slide, out, mpp=mpp, progress=told)
    mm2 = made.quality.map.area_um2("VALID_TISSUE") / 1e6
    return {"mm2": mm2, "cells": len(made.cells), "stages": stages}


def network_speed(name: str) -> float:
    """Mpx per CPU-second of a shipped network: the best of three windows."""
    card = find_model(name)
    network, image = Network(card), np.full((1, card.window_px, card.window_px, 3), 200, np.uint8)
    seconds = []
    for _ in range(4):
        started = time.process_time()
        network(image)
        seconds.append(time.process_time() - started)
    return card.window_px**2 / 1e6 / min(seconds[1:])


def floor(slide: Path, mpp: float | None, mm2: float) -> dict[str, float]:
    """CPU-seconds for the tissue alone: each pixel decoded once, each network at its measured speed."""
    with histome.open_slide(slide, mpp=mpp) as opened:
        started = time.process_time()
        side = min(2048, *opened.size_px)
        opened.read(*(int(edge - side) // 2 for edge in opened.size_px), size=(side, side))
        decode = side**2 / 1e6 / (time.process_time() - started)
        px_mm2 = 1 / (opened.mpp.x * opened.mpp.y)
    tissue, nuclei = network_speed("tissue"), network_speed("nuclei")
    return {
        "decode_mpx_s": decode, "tissue_mpx_s": tissue, "nuclei_mpx_s": nuclei,
        "tissue_s": mm2 / tissue, "cells_s": mm2 * px_mm2 / decode + 4 * mm2 / nuclei,
    }  # fmt: skip


def measure(slide: Path, folder: Path, mpp: float | None, cores: int) -> dict[str, Any]:
    """Run this script on a slide in a process of its own, held to its cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    command = [sys.executable, __file__, str(slide), "--one", "--folder", str(folder)]
    command += [] if mpp is None else ["--mpp", str(mpp)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]) | {"slide": slide.name, "cores": cores}


def one(slide: Path, folder: Path, mpp: float | None) -> None:
    out = folder / "profile"
    shutil.rmtree(out, ignore_errors=True)
    run = profile(slide, out, mpp)
    print(json.dumps(run | {"floor": floor(slide, mpp, run["mm2"])}))


def show(run: dict[str, Any]) -> None:
    """Print one run as the table that docs/performance.md holds."""
    mm2, stages, least = run["mm2"], run["stages"], run["floor"]
    print(f"{run['slide']}: {mm2:.2f} mm2 of valid tissue, {run['cells']:,} cells, {run['cores']} core(s)\n")
    print("| stage | CPU-s | CPU-s a mm2 | s | peak MB | floor, CPU-s |\n|---|---|---|---|---|---|")
    whole = {key: sum(cost[key] for cost in stages.values()) for key in ("cpu_s", "wall_s")}
    whole["peak_mb"] = max(cost["peak_mb"] for cost in stages.values())
    for name, cost in {**stages, "all": whole}.items():
        lowest = f"{least[f'{name}_s']:.2f}" if f"{name}_s" in least else ""
        cpu_s, wall_s, peak_mb = cost["cpu_s"], cost["wall_s"], cost["peak_mb"]
        print(f"| {name} | {cpu_s:.2f} | {cpu_s / mm2:.2f} | {wall_s:.1f} | {peak_mb:.0f} | {lowest} |")
    speeds = ", ".join(f"{key.split('_')[0]} {least[key]:.1f}" for key in least if key.endswith("mpx_s"))
    print(f"\nMpx per CPU-second: {speeds}")


def plot(folder: Path, images: Path) -> None:
    """Draw seconds against mm2 and memory against cells of all runs that were kept."""
    import matplotlib.pyplot as plt

    runs = json.loads((folder / KEPT).read_text())
    costs = [(run, list(run["stages"].values())) for run in runs]
    drawn = (
        ("mm2", "mm2 of valid tissue", "CPU-seconds", [sum(c["cpu_s"] for c in all_) for _, all_ in costs]),
        ("cells", "cells", "peak memory, MB", [max(c["peak_mb"] for c in all_) for _, all_ in costs]),
    )
    for key, across, up, values in drawn:
        figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
        axes.plot([run[key] for run in runs], values, "o")
        axes.set(xlabel=across, ylabel=up, xlim=(0, None), ylim=(0, None))
        figure.savefig(images / f"performance-{key}.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--crop", type=int, nargs=3, metavar=("X", "Y", "SIDE"))
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--folder", type=Path, default=Path("out/end-to-end"))
    parser.add_argument("--plot", type=Path, metavar="FOLDER")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.plot:
        plot(given.folder, given.plot)
    elif given.one:
        one(given.slide, given.folder, given.mpp)
    else:
        slide = given.slide
        if given.crop:
            x, y, side = given.crop
            slide = given.folder / f"{slide.stem}-{x}-{y}-{side}x{given.copies}.tif"
            if not slide.exists():
                with histome.open_slide(given.slide, mpp=given.mpp) as source:
                    lay_out(source, slide, (x, y), side, given.copies)
        run = measure(slide, given.folder, given.mpp, given.cores)
        show(run)
        kept = given.folder / KEPT
        before = json.loads(kept.read_text()) if kept.exists() else []
        kept.write_text(json.dumps([*before, run], indent=1) + "\n")


if __name__ == "__main__":
    main()
