"""How fast nuclei are measured and how fast a network runs, each beside what is usually done.

    python benchmarks/bench_cells.py nuclei                us a nucleus for shape, stain and outline, against
                                                           skimage.measure.regionprops_table
    python benchmarks/bench_cells.py network [--model M]   Mpx per CPU-second of OpenVINO bf16 and f32, ONNX
                                                           Runtime, and PyTorch eager where it is installed;
                                                           how far each is from OpenVINO f32
    python benchmarks/bench_cells.py table [--cells N]     CPU-seconds and peak memory of a table

Timed in CPU-seconds, so over all threads. Ratios compare between machines, seconds do not.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from histome.cells.decode.sharpen import polygons
from histome.cells.decode.stardist import star_polygons
from histome.cells.filed import FoundNuclei, NucleiFile
from histome.cells.pixels import measure_stains
from histome.cells.shape import measure_shapes
from histome.cells.stored import stored_outlines
from histome.cells.table import cell_rows, write_cells
from histome.cells.windows import CellSearch, Nuclei
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.config import CellsConfig
from histome.errors import ModelError
from histome.models.card import Card, load_card
from histome.models.runtime import Backend, Network, Precision
from histome.slide import ClassMap, TileGrid
from histome.slide.stain import hematoxylin_eosin_od
from histome.tissue.zones import find_zones

WINDOW_PX, MPP = 1024, 0.5
ANGLES = 2 * np.pi * np.arange(32) / 32
PROPERTIES = (
    "centroid",
    "area",
    "perimeter",
    "axis_major_length",
    "axis_minor_length",
    "eccentricity",
    "solidity",
    "intensity_mean",
    "intensity_std",
)


def cpu_s(work: Callable[[], Any], *, rounds: int) -> float:
    """Least CPU-seconds of several rounds, after one that is not counted: compilation, caches."""
    work()
    times: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def crowded_window(rng: np.random.Generator):
    """A window of nuclei 24 px apart, each an 8-11 px star, as a network would give them."""
    side = WINDOW_PX // 2
    prob, dist = np.zeros((side, side), np.float32), np.ones((32, side, side), np.float32)
    rows, cols = (place.ravel() + 6 for place in np.mgrid[0 : side - 12 : 12, 0 : side - 12 : 12])
    prob[rows, cols] = 0.9
    wave = 1 + 0.2 * np.cos(2 * ANGLES[:, None] + rng.uniform(0, 6, len(rows)))
    dist[:, rows, cols] = rng.uniform(8, 11, len(rows)) * wave
    rgb = rng.integers(60, 250, (WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    stars = star_polygons(prob, dist, prob_threshold=0.5, nms_threshold=0.4)
    return rgb, stars.centers, stars.distances, stars.labels


def bench_nuclei() -> None:
    from skimage.measure import regionprops_table

    rgb, centers, distances, labels = crowded_window(np.random.default_rng(1))
    n = len(centers)

    def ours() -> None:
        outlines = polygons(centers, distances)
        measure_shapes(outlines * MPP)
        measure_stains(rgb, labels, n)
        stored_outlines(outlines.astype(np.float32), np.full(2, MPP))

    def usual() -> None:
        regionprops_table(labels, hematoxylin_eosin_od(rgb), properties=PROPERTIES)

    us, usual_us = (1e6 * cpu_s(work, rounds=3) / n for work in (ours, usual))
    print(f"{n} nuclei in a window of {WINDOW_PX} px: shape, stain, outline as WKB")
    print(f"  histome            {us:8.2f} us a nucleus")
    print(f"  regionprops_table  {usual_us:8.2f} us a nucleus ({usual_us / us:.0f} x), without outlines")


def torch_eager(card: Card) -> Callable[[np.ndarray], Any] | None:
    """The same network with random weights in PyTorch eager f32; None without PyTorch or its widths."""
    try:
        import torch

        from histome.training.networks import StardistExport, UNet
    except ImportError:
        return None
    if "widths" not in card.training or card.task != "stardist":
        return None
    torch.set_num_threads(1)
    heads = {"prob": 1, "dist": card.n_rays, "logits": len(card.classes)}
    module = StardistExport(UNet(card.training["widths"], heads)).eval()

    def run(image: np.ndarray) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(image))

    return run


def bench_network(model: str) -> None:
    card = load_card(model)
    image = smooth_noise(card.window_px)
    print(f"{card.name}: {card.window_px} px windows, {card.weights_path.stat().st_size / 1e6:.1f} MB")
    reference = Network(card, backend="openvino", precision="f32")(image)
    ways: tuple[tuple[Backend, Precision], ...] = (("openvino", "bf16"), ("openvino", "f32"), ("cpu", "auto"))
    for backend, precision in ways:
        try:
            network = Network(card, backend=backend, precision=precision)
        except ModelError as error:
            print(f"  {backend} {precision}: {error}")
            continue
        report(f"{backend} {network.precision}", lambda run=network: run(image), card)
        for name, values in network(image).items():
            error = np.abs(values - reference[name])
            print(f"      {name:14s} differs by {error.mean():.2g} on average, {error.max():.2g} at most")
    if (eager := torch_eager(card)) is not None:
        report("torch eager f32", lambda: eager(image), card)


def report(name: str, work: Callable[[], Any], card: Card) -> None:
    seconds = cpu_s(work, rounds=3)
    core = (card.core_px / card.window_px) ** 2
    speed = card.window_px**2 / 1e6 / seconds
    print(f"  {name:16s} {speed:6.2f} Mpx per CPU-second, {core * speed:.2f} of them used (the rest is halo)")


def smooth_noise(side: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(120, 256, (1, side // 8, side // 8, 3)).astype(np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def many_nuclei(n: int, rng: np.random.Generator) -> tuple[Nuclei, CellSearch]:
    """N nuclei 15 um apart on a square slide of 0.25 um/px, a tenth of it carcinoma."""
    across = int(np.ceil(np.sqrt(n)))
    places = np.stack(np.divmod(np.arange(n), across)[::-1], axis=1) * 60 + 30 + rng.uniform(-15, 15, (n, 2))
    radii = rng.uniform(12, 24, (n, 1)) * (1 + 0.2 * np.cos(2 * ANGLES + rng.uniform(0, 6, (n, 1))))
    outlines = places[:, None] + radii[..., None] * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    outlines = np.round(outlines * 8) / 8
    shapes = measure_shapes(outlines * 0.25)
    codes = np.full((across * 15 // 2 + 1,) * 2, TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    codes[: len(codes) // 10] = TISSUE_CLASSES.index("CARCINOMA") + 1
    tissue = ClassMap(codes, 2.0, TISSUE_CLASSES)
    card = Card(
        name="made", task="stardist", description="made", classes=CELL_CLASSES, mpp=MPP,
        window_px=1024, halo_px=64, stride=2, sha256="0" * 64,
    )  # fmt: skip
    nuclei = Nuclei(
        outlines.astype(np.float32),
        np.stack(shapes, axis=1),
        rng.uniform(0, 1, (n, 3)),
        rng.dirichlet(np.full(9, 0.3), n).astype(np.float32),
        rng.random(n, dtype=np.float32),
        rng.random(n, dtype=np.float32),
        tissue.at(shapes.x_um, shapes.y_um),
        np.zeros(n, np.int32),
        np.zeros(n, np.int32),
        np.zeros(n, np.bool_),
    )
    network: Any = SimpleNamespace(card=card)
    slide: Any = SimpleNamespace(id="drawn", mpp=SimpleNamespace(x=0.25, y=0.25))
    return nuclei, CellSearch(slide, tissue, network, TileGrid((1, 1), 896, 64))


def filed(nuclei: Nuclei) -> FoundNuclei:
    file = NucleiFile(np.full(2, 0.25))
    return FoundNuclei(file.take(nuclei), file, np.arange(len(nuclei.score)))


def bench_table(n: int) -> None:
    nuclei, search = many_nuclei(n, np.random.default_rng(2))
    zones = find_zones(search.tissue)
    cell_rows(filed(nuclei.select(np.arange(100))), search, zones, CellsConfig())  # compile
    started = time.process_time()
    cells = cell_rows(filed(nuclei), search, zones, CellsConfig())
    made = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.parquet"
        write_cells(cells, path)
        written = time.process_time()
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{n} cells with surroundings: {made - started:.2f} CPU-s; peak with the drawing {peak:.0f} MB")
    print(f"  Parquet: {written - made:.2f} CPU-s, {size / n:.0f} B each")


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("what", choices=("nuclei", "network", "table"))
    parser.add_argument("--model", default="nuclei", help="name of a shipped model, or a path to a card")
    parser.add_argument("--cells", type=int, default=200_000)
    given = parser.parse_args()
    runs = {
        "nuclei": bench_nuclei,
        "network": lambda: bench_network(given.model),
        "table": lambda: bench_table(given.cells),
    }
    runs[given.what]()


if __name__ == "__main__":
    main()
