"""What a slide costs, stage by stage: CPU-seconds, CPU-seconds a mm2 and peak memory, beside the floor.

    python benchmarks/end_to_end.py SLIDE [--crop X Y SIDE] [--copies N] [--cores 2] [--mpp 0.5]
    python benchmarks/end_to_end.py SLIDE --series [--rounds 3]   from one field to ten copies of the slide
    python benchmarks/end_to_end.py --table                       medians of all that was measured
    python benchmarks/end_to_end.py --plot docs/images

`--crop` takes a square of the slide, level-0 px; `--copies` lays it, or the whole slide, side by side: one
slide, so many times as large. `--series` measures, on one core and on two, squares of 1,024, 2,048 and 4,096
px at `--crop` (or in the middle), the slide, and its copies; what FOLDER/runs.json has is not measured again,
so that it goes on where it was stopped. The floor is what no arrangement of the same work goes under: every
pixel of tissue decoded once, and each network on tissue alone at the speed measured here. Each run is a
process of its own, held to its cores. Ratios compare between machines, seconds do not. Peak memory is of the
whole process while the stage ran; Linux only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import tifffile

import histome
from histome.models.registry import find_model
from histome.models.runtime import Network
from histome.slide import Slide

TILE_PX, LEVELS = 256, 4
KEPT = "runs.json"
# Of the series: fields, then copies of the whole slide.
SIDES_PX, COPIES = (1024, 2048, 4096), (1, 2, 5, 10)


class Row(NamedTuple):
    """A square of a slide (side 0: all of it), so many times side by side, on some cores."""

    side: int
    copies: int
    cores: int

    def name(self, slide: Path, corner: Sequence[int]) -> str:
        """The file that holds it."""
        if self.side == 0:
            return slide.name if self.copies == 1 else f"{slide.stem}x{self.copies}.tif"
        return f"{slide.stem}-{corner[0]}-{corner[1]}-{self.side}x{self.copies}.tif"


def lay_out(slide: Slide, path: Path, corner: Sequence[int], side: int, copies: int) -> None:
    """Write a square of a slide, or (side 0) all of it, side by side: a tiled JPEG pyramid of its um/px."""
    whole = TILE_PX << (LEVELS - 1)
    if copies > 1 and side % whole:
        raise SystemExit(f"copies need a SIDE of whole tiles on each level: {whole} px")
    width, height = (side, side) if side else (-(-edge // whole) * whole for edge in slide.size_px)

    def tiles(level: int) -> Iterator[np.ndarray]:
        step = 2**level
        for y in range(0, height >> level, TILE_PX):
            places = [(corner[0] + x * step, corner[1] + y * step) for x in range(0, width >> level, TILE_PX)]
            row = [slide.read(*place, size=(TILE_PX, TILE_PX), mpp=slide.mpp.x * step) for place in places]
            for _ in range(copies):
                yield from row

    options: dict[str, Any] = {
        "tile": (TILE_PX, TILE_PX), "compression": "jpeg", "compressionargs": {"level": 85},
        "photometric": "rgb", "dtype": np.uint8, "resolutionunit": "CENTIMETER",
    }  # fmt: skip
    part = path.with_suffix(".part")
    with tifffile.TiffWriter(part, bigtiff=True) as file:
        for level in range(LEVELS):
            shape = (height >> level, copies * width >> level, 3)
            options |= {"shape": shape, "subfiletype": int(level > 0)}
            per_cm = 1e4 / slide.mpp.x / 2**level
            file.write(tiles(level), resolution=(per_cm, per_cm), **options)
    part.rename(path)


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


def ensure(source: Path, folder: Path, row: Row, given: argparse.Namespace) -> Path:
    """The slide of a row, written where it is not there yet."""
    if row.side == 0 and row.copies == 1:
        return source
    with histome.open_slide(source, mpp=given.mpp) as slide:
        corner = given.crop[:2] if given.crop else [(edge - row.side) // 2 for edge in slide.size_px]
        path = folder / row.name(source, corner)
        if not path.exists():
            lay_out(slide, path, corner if row.side else (0, 0), row.side, row.copies)
    return path


def wanted_rows(most: int) -> list[Row]:
    """Rows of the series, the cheap ones first; copies up to `most`."""
    sizes = [(side, 1) for side in SIDES_PX] + [(0, copies) for copies in COPIES if copies <= most]
    return [Row(side, copies, cores) for side, copies in sizes for cores in (2, 1)]


def runs_missing(runs: Sequence[dict[str, Any]], slide: str, cores: int, rounds: int) -> int:
    """How many runs of a slide on some cores are still to do."""
    return max(0, rounds - sum(run["slide"] == slide and run["cores"] == cores for run in runs))


def run_series(given: argparse.Namespace) -> None:
    """Measure what is missing, row by row; each run is kept as soon as it is done."""
    rows = wanted_rows(given.most)
    if not read_runs(given.folder):  # not kept: it compiles what all others load
        first = ensure(given.slide, given.folder, rows[0], given)
        measure(first, given.folder, given.mpp, rows[0].cores)
    for row in rows:
        slide = ensure(given.slide, given.folder, row, given)
        for _ in range(runs_missing(read_runs(given.folder), slide.name, row.cores, given.rounds)):
            run = measure(slide, given.folder, given.mpp, row.cores)
            keep_run(given.folder, run)
            cpu_s = sum(cost["cpu_s"] for cost in run["stages"].values())
            print(f"{slide.name}, {row.cores} core(s): {run['mm2']:.2f} mm2, {cpu_s:.1f} CPU-s", flush=True)


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """All runs that were kept, in order."""
    path = folder / KEPT
    return json.loads(path.read_text()) if path.exists() else []


def keep_run(folder: Path, run: dict[str, Any]) -> None:
    """Add a run to those that were kept; a kill leaves the file as it was."""
    part = folder / f"{KEPT}.part"
    part.write_text(json.dumps([*read_runs(folder), run], indent=1) + "\n")
    part.rename(folder / KEPT)


def show(run: dict[str, Any]) -> None:
    """Print one run as the table that docs/performance.md holds."""
    mm2, stages, least = run["mm2"], run["stages"], run["floor"]
    print(f"{run['slide']}: {mm2:.2f} mm2 of valid tissue, {run['cells']:,} cells, {run['cores']} core(s)\n")
    print("| stage | CPU-s | CPU-s a mm2 | s | peak MB | floor, CPU-s |\n|---|---|---|---|---|---|")
    whole = {key: spent(run, key) for key in ("cpu_s", "wall_s", "peak_mb")}
    for name, cost in {**stages, "all": whole}.items():
        lowest = f"{least[f'{name}_s']:.2f}" if f"{name}_s" in least else ""
        cpu_s, wall_s, peak_mb = cost["cpu_s"], cost["wall_s"], cost["peak_mb"]
        print(f"| {name} | {cpu_s:.2f} | {cpu_s / mm2:.2f} | {wall_s:.1f} | {peak_mb:.0f} | {lowest} |")
    speeds = ", ".join(f"{key.split('_')[0]} {least[key]:.1f}" for key in least if key.endswith("mpx_s"))
    print(f"\nMpx per CPU-second: {speeds}")


def grouped(runs: Sequence[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Runs of the same slide on the same number of cores, by mm2."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: (run["mm2"], run["cores"])):
        found.setdefault((run["slide"], run["cores"]), []).append(run)
    return found


def spent(run: dict[str, Any], key: str) -> float:
    """What all stages of a run took (`cpu_s`, `wall_s`), or the most that one did (`peak_mb`)."""
    costs = [cost[key] for cost in run["stages"].values()]
    return max(costs) if key == "peak_mb" else sum(costs)


def print_table(runs: Sequence[dict[str, Any]]) -> None:
    """Print medians, one line for each slide and number of cores; CPU-seconds by stage."""
    stages = list(runs[0]["stages"]) if runs else []
    head = ["mm2", "cells", "cores", "n", *stages, "all, CPU-s", "a mm2", "s", "mm2 a minute", "peak MB"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for (_, cores), group in grouped(runs).items():
        middle = {key: median(spent(run, key) for run in group) for key in ("cpu_s", "wall_s", "peak_mb")}
        of_stages = [f"{median(run['stages'][name]['cpu_s'] for run in group):.2f}" for name in stages]
        mm2, cells = group[0]["mm2"], group[0]["cells"]
        line = [f"{mm2:.2f}", f"{cells:,}", cores, len(group), *of_stages, f"{middle['cpu_s']:.1f}"]
        line += [f"{middle['cpu_s'] / mm2:.2f}", f"{middle['wall_s']:.0f}"]
        line += [f"{60 * mm2 / middle['wall_s']:.1f}", f"{middle['peak_mb']:.0f}"]
        print(f"| {' | '.join(map(str, line))} |")


def plot(runs: Sequence[dict[str, Any]], images: Path) -> None:
    """Draw seconds against mm2 and memory against cells: medians, and every run as a point."""
    import matplotlib.pyplot as plt

    axes_of = (
        ("mm2", "mm2 of valid tissue", "cpu_s", "CPU-seconds"),
        ("cells", "cells", "peak_mb", "peak memory, MiB"),
    )
    for across, x_label, key, y_label in axes_of:
        figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
        for cores, color in ((1, "C0"), (2, "C1")):
            groups = [group for (_, on), group in grouped(runs).items() if on == cores]
            middles = [(group[0][across], median(spent(run, key) for run in group)) for group in groups]
            if middles:
                axes.plot(*zip(*sorted(middles), strict=True), "-", color=color, label=f"{cores} core(s)")
            points = [(run[across], spent(run, key)) for group in groups for run in group]
            axes.plot([x for x, _ in points], [y for _, y in points], "o", color=color, markersize=3)
        axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, None), ylim=(0, None))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.legend(frameon=False)
        figure.savefig(images / f"performance-{across}.svg", metadata={"Date": None})
        plt.close(figure)


def parsed() -> argparse.Namespace:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--crop", type=int, nargs=3, metavar=("X", "Y", "SIDE"))
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--folder", type=Path, default=Path("out/end-to-end"))
    parser.add_argument("--series", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=max(COPIES), help="copies of the slide in the series")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FOLDER")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.slide is None and not (given.table or given.plot):
        parser.error("give a SLIDE, --table or --plot")
    return given


def main() -> None:
    given = parsed()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.one:
        one(given.slide, given.folder, given.mpp)
    elif given.series:
        run_series(given)
    elif given.slide:
        row = Row(given.crop[2] if given.crop else 0, given.copies, given.cores)
        slide = ensure(given.slide, given.folder, row, given)
        run = measure(slide, given.folder, given.mpp, given.cores)
        show(run)
        keep_run(given.folder, run)
    if given.table:
        print_table(read_runs(given.folder))
    if given.plot:
        plot(read_runs(given.folder), given.plot)


if __name__ == "__main__":
    main()
