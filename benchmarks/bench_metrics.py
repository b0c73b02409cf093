"""How fast the metrics are, how their cost grows, and how they compare with the usual libraries.

    python benchmarks/bench_metrics.py slide --data FOLDER   all metrics of one whole slide, by family, with
        [--copies N ...] [--fold F] [--alone]                and without intervals, or --alone without any;
                                                             the folder holds hgsc_nuclei_wsi.parquet and
                                                             hgsc_tissue_wsi.parquet. Of N slides side by
                                                             side, and of F times as many cells on each
    python benchmarks/bench_metrics.py growth [--most N]     CPU-seconds of 10,000 to 4,000,000 cells, and the
                                                             slope of the log-log fit
    python benchmarks/bench_metrics.py peers [--cells N]     neighbor counts, nearest neighbors, contacts and
                                                             enrichment beside scipy, and squidpy where it is

Random cells at 3,000 per mm2. Seconds are CPU-seconds unless they say wall; ratios compare between machines,
seconds do not.
"""

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.spatial import Delaunay, cKDTree

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.geometry.grid import neighbor_counts
from histome.geometry.kdtree import build_tree, nearest_rows
from histome.interop.formats import read_foreign_cells, read_tissue
from histome.metrics.catalogue import FAMILIES, measured_together
from histome.metrics.families.patterns.contacts import contact_counts
from histome.metrics.families.patterns.enrichment import enrichment
from histome.metrics.maps import make_tissue_maps
from histome.metrics.measuring import measure
from histome.metrics.specimen import Specimen, cells_as_arrays, counted_specimen
from histome.metrics.uncertainty import intervals_of, resampling_of
from histome.slide import ClassMap
from histome.threads import available_cpus
from histome.tissue import Tissue
from histome.tissue.zones import ZONE_CLASSES

T = TypeVar("T")

PER_MM2 = 3000
SIZES = (10_000, 31_623, 100_000, 316_228, 1_000_000, 4_000_000)
CELLS = {
    "neoplastic": "carcinoma_cell",
    "connective": "fibroblast",
    "inflammatory": "lymphocyte",
    "macrophage_cell": "macrophage",
    "macrophage_nucleus": "macrophage",
    "dead": "other",
}
TISSUE = {
    "stroma": "STROMA",
    "tumor": "CARCINOMA",
    "omental_fat": "OTHER",
    "hemorragia": "BLOOD",
    "necrosis": "NECROSIS",
    "serum": "OTHER",
}


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """CPU-seconds and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def random_slide(n: int, rng: np.random.Generator) -> tuple[ClassMap, pa.Table]:
    """Cells at random over patches of 200 um of all tissues."""
    side_px = int(np.sqrt(n / PER_MM2) * 500)
    patches = rng.integers(1, 8, (side_px // 100 + 1,) * 2).astype(np.uint8)
    array = np.kron(patches, np.ones((100, 100), np.uint8))[:side_px, :side_px]
    x, y = rng.uniform(0, side_px * 2.0, (2, n))
    classes = pa.DictionaryArray.from_arrays(rng.integers(0, 9, n).astype(np.int8), list(CELL_CLASSES))
    columns = {
        name: rng.gamma(4, 8, n) for name in ("area_um2", "perimeter_um", "roundness", "hematoxylin_od_mean")
    }
    cells = pa.table({"x_um": x, "y_um": y, "class": classes} | columns)
    return ClassMap(array, 2.0, TISSUE_CLASSES), cells


def warm_up() -> None:
    """Load the compiled functions: compiling happens once an installation."""
    tissue, cells = random_slide(3000, np.random.default_rng(0))
    measure(Tissue.of(tissue), cells)


def folded(cells: pa.Table, fold: float) -> pa.Table:
    """`fold` times as many cells on the same tissue: copies moved by some 10 um, of the last one a part."""
    rng, copies = np.random.default_rng(3), []
    for k in range(int(np.ceil(fold))):
        part = cells.slice(0) if fold >= k + 1 else cells.filter(pa.array(rng.random(len(cells)) < fold - k))
        for axis in ("x_um", "y_um"):
            moved = part[axis].to_numpy() + (rng.normal(0, 7, len(part)) if k else 0)
            part = part.set_column(part.column_names.index(axis), axis, pa.array(moved))
        copies.append(part)
    return pa.concat_tables(copies)


def side_by_side(tissue: ClassMap, cells: pa.Table, copies: int) -> tuple[ClassMap, pa.Table]:
    """Copies of a slide in a row, 100 um apart."""
    height, width = tissue.array.shape
    gap = round(100 / tissue.mpp)
    array = np.zeros((height, copies * (width + gap) - gap), np.uint8)
    moved = []
    for k in range(copies):
        first = k * (width + gap)
        array[:, first : first + width] = tissue.array
        x = pa.array(cells["x_um"].to_numpy() + first * tissue.mpp)
        moved.append(cells.set_column(cells.column_names.index("x_um"), "x_um", x))
    return ClassMap(array, tissue.mpp, tissue.classes, tissue.origin_px), pa.concat_tables(moved)


def bench_slide(data: Path, workers: int, copies: list[int], fold: float, *, alone: bool) -> None:
    """Each number of copies is made in one process and measured in another, whose peak memory is its own."""
    sizes, seconds = [], []
    for number in copies:
        with tempfile.TemporaryDirectory() as folder:
            given = ["--data", str(data), "--copies", str(number), "--fold", str(fold), "--folder", folder]
            given += ["--workers", str(workers), *(["--alone"] if alone else [])]
            for step in ("prepare", "measure"):
                command = [sys.executable, __file__, step, *given]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                print(done.stdout, end="", flush=True)
        cells, cpu = done.stdout.splitlines()[-1].split()[:2]
        sizes.append(int(cells))
        seconds.append(float(cpu))
    if len(sizes) > 1:
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        print(f"slope of the log-log fit {slope:.3f}; n log n has {n_log_n(sizes):.3f}")


def n_log_n(sizes: list[int]) -> float:
    """Slope of n log n over the same sizes."""
    return float(np.polyfit(np.log(sizes), np.log(np.array(sizes) * np.log(sizes)), 1)[0])


def prepare(data: Path, workers: int, copies: int, fold: float, folder: Path) -> None:
    cells = folded(read_foreign_cells(data / "hgsc_nuclei_wsi.parquet", CELLS, mpp=0.5), fold)
    given = read_tissue(data / "hgsc_tissue_wsi.parquet", TISSUE, mpp=0.5).map
    tissue_map, cells = side_by_side(given, cells, copies)
    tissue = Tissue.of(tissue_map, workers=workers)
    pq.write_table(cells, folder / "cells.parquet", compression="zstd")
    pq.write_table(tissue.regions, folder / "regions.parquet", compression="zstd")
    maps = {"tissue": tissue_map.array, "zones": tissue.zones.array, "origin": tissue_map.origin_px}
    np.savez_compressed(folder / "maps.npz", **maps)


def bench_prepared(workers: int, folder: Path, *, alone: bool) -> None:
    """What `measure` does, by family, intervals apart, or none at all; the last line is for the caller."""
    warm_up()
    print(f"memory {memory_gb('VmRSS'):.2f} GB before anything is read")
    with np.load(folder / "maps.npz") as maps:
        tissue, zones = maps["tissue"], maps["zones"]
        origin = tuple(maps["origin"].tolist())
    tissue_map = ClassMap(tissue, 2.0, TISSUE_CLASSES, origin)
    cells, regions = (pq.read_table(folder / f"{name}.parquet") for name in ("cells", "regions"))
    maps = make_tissue_maps(
        tissue_map, regions=regions, zones=ClassMap(zones, 2.0, ZONE_CLASSES, origin), workers=workers
    )
    print(
        f"memory {memory_gb('VmRSS'):.2f} GB with the slide read: {len(cells):,} cells, "
        f"{len(regions):,} regions, map {tissue.shape}"
    )
    plain, bootstrap = Cost(), Cost()
    specimen = plain.of(lambda: counted_specimen(maps, cells_as_arrays(cells, tissue_map)))
    resampling = bootstrap.of(lambda: resampling_of(specimen, MetricsConfig()))
    for families in measured_together(FAMILIES):
        for family in families:
            before = plain.cpu, bootstrap.cpu
            plain.of(lambda family=family: family.compute(specimen))
            if not alone:  # what intervals leave in the heap counts as held
                bootstrap.of(lambda family=family: intervals_of(specimen, family, resampling))
            cpu, more = plain.cpu - before[0], bootstrap.cpu - before[1]
            if cpu + more >= 0.2:
                print(
                    f"  {family.id:<24}{cpu:7.2f} + {more:5.2f} s CPU, peaks so far {plain.peak_gb:.2f}, "
                    f"{bootstrap.peak_gb:.2f} GB",
                    flush=True,
                )
        specimen.forget()
    print(
        f"without intervals {plain.cpu:.1f} s CPU, {plain.wall:.1f} s wall on {workers} threads, "
        f"peak {plain.peak_gb:.2f} GB"
    )
    if not alone:
        print(
            f"intervals of 1,000 draws {bootstrap.cpu:.1f} s CPU, {bootstrap.wall:.1f} s wall, "
            f"peak {bootstrap.peak_gb:.2f} GB: {1 + bootstrap.cpu / plain.cpu:.2f} times the seconds without"
        )
    print(f"{len(cells)} {plain.cpu:.2f} CPU-s, {1e6 * plain.cpu / len(cells):.1f} us a cell")


@dataclass
class Cost:
    """What calls took together, and the most memory that the process held during one."""

    cpu: float = 0.0
    wall: float = 0.0
    peak_gb: float = 0.0

    def of(self, work: Callable[[], T]) -> T:
        """Return what a call gives and add its cost."""
        found: list[T] = []
        reset_peak()
        cpu, wall = timed(lambda: found.append(work()))
        self.cpu, self.wall = self.cpu + cpu, self.wall + wall
        self.peak_gb = max(self.peak_gb, memory_gb("VmHWM"))
        return found[0]


def memory_gb(which: str) -> float:
    """VmRSS, what is held now, or VmHWM, the most since `reset_peak`; Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e9


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def bench_growth(most: int, workers: int) -> None:
    """Each size in a process of its own, so that its peak memory is its own."""
    sizes, seconds = [n for n in SIZES if n <= most], []
    for n in sizes:
        command = [sys.executable, __file__, "once", "--cells", str(n), "--workers", str(workers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cpu, wall, memory = map(float, done.stdout.split())
        seconds.append(cpu)
        cost = f"{cpu:8.2f} s CPU {wall:8.2f} s wall {memory:6.2f} GB"
        print(f"{n:>9,} cells {cost} {1e6 * cpu / n:7.1f} us a cell", flush=True)
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"slope of the log-log fit {slope:.3f}")


def bench_once(n: int, workers: int) -> None:
    tissue, cells = random_slide(n, np.random.default_rng(1))
    warm_up()
    cpu, wall = timed(lambda: measure(Tissue.of(tissue), cells, workers=workers))
    print(cpu, wall, peak_gb())


def scipy_counts(x: np.ndarray, y: np.ndarray, label: np.ndarray) -> None:
    """Neighbors of each class within 20 and 40 um of each cell, as one would with a k-d tree."""
    tree = cKDTree(np.column_stack([x, y]))
    for radius in (20, 40):
        pairs = tree.query_pairs(radius, output_type="ndarray")
        counts = np.zeros((len(x), 9), np.int64)
        np.add.at(counts, (pairs[:, 0], label[pairs[:, 1]]), 1)
        np.add.at(counts, (pairs[:, 1], label[pairs[:, 0]]), 1)


def scipy_ball(x: np.ndarray, y: np.ndarray, label: np.ndarray) -> None:
    """The same by query_ball_point, the usual way."""
    points = np.column_stack([x, y])
    tree = cKDTree(points)
    for radius in (20, 40):
        for i, near in enumerate(tree.query_ball_point(points, radius)):
            np.bincount(label[near], minlength=9)[label[i]] -= 1


def bench_peers(n: int) -> None:
    warm_up()
    rng = np.random.default_rng(2)
    side = np.sqrt(n / PER_MM2) * 1000
    x, y = rng.uniform(0, side, (2, n))
    label = rng.integers(0, 9, n)
    points = np.column_stack([x, y])
    px = int(side / 2) + 1
    tissue = ClassMap(np.full((px, px), 4, np.uint8), 2.0, TISSUE_CLASSES)
    cells = pa.table({"x_um": x, "y_um": y, "class": np.array(CELL_CLASSES)[label].tolist()})
    specimen = Specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))
    print(f"{n:,} cells, one thread, CPU-seconds")
    ours = timed(lambda: neighbor_counts(x, y, label))[0]
    compare(
        "neighbor counts, 20 and 40 um, 9 classes",
        ours,
        "scipy query_ball_point",
        lambda: scipy_ball(x, y, label),
    )
    compare("", ours, "scipy query_pairs", lambda: scipy_counts(x, y, label))
    ours = timed(lambda: nearest_rows(build_tree(x, y), x, y, 6))[0]
    compare("six nearest neighbors", ours, "scipy cKDTree", lambda: cKDTree(points).query(points, k=7))
    ours = timed(lambda: contact_counts(x, y, label))[0]
    compare("Delaunay contacts", ours, "scipy Delaunay", lambda: Delaunay(points))
    if importlib.util.find_spec("squidpy"):
        bench_squidpy(specimen, points, label)
    else:
        print("squidpy is not installed here: no comparison with it")


def bench_squidpy(specimen: Specimen, points: np.ndarray, label: np.ndarray) -> None:
    import anndata
    import pandas
    import squidpy

    data = anndata.AnnData(np.zeros((len(label), 1), np.float32), obsm={"spatial": points})
    data.obs["class"] = pandas.Categorical(np.array(CELL_CLASSES)[label])

    def graph() -> None:
        squidpy.gr.spatial_neighbors(data, coord_type="generic", radius=40.0)

    def z() -> None:
        graph()
        squidpy.gr.nhood_enrichment(
            data, cluster_key="class", n_perms=1000, n_jobs=1, show_progress_bar=False
        )

    ours = timed(lambda: neighbor_counts(specimen.cells.x_um, specimen.cells.y_um, specimen.cells.label))[0]
    compare("neighbor counts", ours, "squidpy radius graph alone", graph)
    ours = timed(lambda: enrichment(specimen))[0]
    compare("enrichment z", ours, "squidpy, 1,000 permutations", z)


def compare(what: str, ours: float, peer: str, work: Callable[[], Any]) -> None:
    theirs = timed(work)[0]
    print(f"{what:<42} {ours:7.2f}   {peer:<28} {theirs:8.2f}   {theirs / ours:6.1f} times ours", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("slide", "growth", "peers", "once", "prepare", "measure"))
    parser.add_argument("--data", type=Path, help="folder of hgsc_cells")
    parser.add_argument("--copies", type=int, nargs="+", default=[1])
    parser.add_argument("--fold", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="of one slide, between two processes")
    parser.add_argument("--alone", action="store_true", help="without intervals")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--workers", type=int, default=available_cpus())
    given = parser.parse_args()
    # Threads of libraries would blur CPU-seconds.
    os.environ["OMP_NUM_THREADS"] = "1"
    if given.what == "slide":
        if given.data is None:
            parser.error("slide needs --data")
        bench_slide(given.data, given.workers, given.copies, given.fold, alone=given.alone)
    elif given.what == "prepare":
        prepare(given.data, given.workers, given.copies[0], given.fold, given.folder)
    elif given.what == "measure":
        bench_prepared(given.workers, given.folder, alone=given.alone)
    elif given.what == "growth":
        bench_growth(given.most, given.workers)
    elif given.what == "once":
        bench_once(given.cells, given.workers)
    else:
        bench_peers(given.cells)


if __name__ == "__main__":
    main()
