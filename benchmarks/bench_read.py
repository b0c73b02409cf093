"""Reading RGB windows: ours against OpenSlide, on one slide, in one run. The ratio is the result.

Usage: python benchmarks/bench_read.py [--slide SLIDE] [--window 1024] [--repeats 3]

Without a slide it draws a phantom (0.5 um/px, JPEG tiles of 256 px). The windows that hold tissue are read
in the order of the pipeline with its halo, by one thread, each time from a newly opened slide (no tile cached
by either reader; the file itself is). CPU seconds, best of the repeats, the readers in turn so that a busy
machine disturbs all.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from histome.phantom import draw_phantom
from histome.slide import Slide, TileGrid, open_slide

TARGET_RATIO = 4.0
HALO_PX = 64
MAX_WINDOWS = 60
Corner = tuple[int, int]
Read = Callable[[Corner], NDArray[np.uint8]]


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        path = options.slide or phantom(Path(folder))
        with open_slide(path) as slide:
            corners = tissue_corners(slide, options.window)
        check_equal(path, corners[:8], options.window)
        report(path, corners, options)


def ours(path: Path, window: int, mpp_factor: int = 1) -> Read:
    """Return a read by a freshly opened slide: no tile is in its cache yet."""
    slide = open_slide(path)
    size = (window // mpp_factor,) * 2
    return lambda corner: slide.read(*corner, size=size, mpp=mpp_factor * slide.mpp.x)


def openslide_to_rgb(path: Path, window: int) -> Read:
    slide = openslide.OpenSlide(path)
    return lambda corner: np.asarray(slide.read_region(corner, 0, (window, window)).convert("RGB"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def phantom(folder: Path) -> Path:
    path = folder / "phantom.tif"
    draw_phantom(path, size_px=(6144, 6144), rng=np.random.default_rng(1), tissue_share=0.5)
    return path


def tissue_corners(slide: Slide, window: int) -> list[Corner]:
    """Return corners of windows whose middle is not glass, inside the slide."""
    grid = TileGrid(slide.size_px, window - 2 * HALO_PX, HALO_PX)
    step = slide.mpp.x * 16
    overview = slide.read(0, 0, size=tuple(-(-side // 16) for side in slide.size_px), mpp=step)
    corners = []
    for tile in grid:
        part = overview[tile.core.y0 // 16 : tile.core.y1 // 16, tile.core.x0 // 16 : tile.core.x1 // 16]
        inside = tile.read.x1 <= slide.size_px[0] and tile.read.y1 <= slide.size_px[1]
        if inside and min(tile.read[:2]) >= 0 and part.size and part.mean() < 225:
            corners.append((tile.read.x0, tile.read.y0))
    return corners[:MAX_WINDOWS]


def check_equal(path: Path, corners: list[Corner], window: int) -> None:
    mine, reference = ours(path, window), openslide_to_rgb(path, window)
    for corner in corners:
        difference = np.abs(mine(corner).astype(int) - reference(corner)).max()
        if difference > 1:
            raise SystemExit(f"{path.name} at {corner}: pixels differ by {difference}")


def cpu_seconds(read: Read, corners: list[Corner]) -> float:
    start = time.process_time()
    for corner in corners:
        read(corner)
    return time.process_time() - start


def report(path: Path, corners: list[Corner], options: argparse.Namespace) -> None:
    readers: dict[str, Callable[[], Read]] = {
        "histome": lambda: ours(path, options.window),
        "OpenSlide to RGB": lambda: openslide_to_rgb(path, options.window),
        "histome, 2 x 2 averaged": lambda: ours(path, options.window, mpp_factor=2),
    }
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(options.repeats):
        for name, make in readers.items():
            times[name].append(cpu_seconds(make(), corners))
    megapixels = len(corners) * options.window**2 / 1e6
    print(f"{len(corners)} windows of {options.window} px, {megapixels:.0f} Mpx, best of {options.repeats}")
    for name, seconds in times.items():
        print(f"{name:24s} {megapixels / min(seconds):7.1f} Mpx (level 0) per CPU-second")
    ratio = min(times["OpenSlide to RGB"]) / min(times["histome"])
    print(f"ratio {ratio:.2f} (target {TARGET_RATIO:g}): {'reached' if ratio >= TARGET_RATIO else 'MISSED'}")


if __name__ == "__main__":
    main()
