"""What a profile of a slide costs on this machine, guessed from a small picture of it.

`python -m histome.cohort.estimate` looks at slides in a process of its own: one that crashes it ends no more.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from histome.errors import HistomeError
from histome.threads import available_cpus

if TYPE_CHECKING:
    from histome.slide import Slide

_THUMBNAIL_PX = 1024
# Seconds of one core: to start, per mm2 of scan, per mm2 of tissue shared by all cores, and not shared. From
# 1.6 mm2 of skin (9 s of a core; 11 by this), 2.4 of dense colon (13; 13), a section of 41 mm2 on a scan of
# 101 (77 s of two cores; 89) and ten of them (about 1,000; 849).
_START_S, _SCAN_S, _SHARED_S, _ALONE_S = 5.0, 0.02, 3.0, 0.5
# GB to start, per thread (its network), per mm2 of scan (maps) and of tissue. From 2.4 mm2 of colon on one
# thread (0.87 GB; 1.15 by this), 4.2 on two (1.2; 1.5), a section of 41 mm2 (1.6 to 1.9; 1.6) and ten of them
# (2.1; 2.3).
_START_GB, _THREAD_GB, _SCAN_GB, _TISSUE_GB = 0.8, 0.35, 0.0005, 0.0005


class Cost(NamedTuple):
    """A guess, right to a factor of two on a machine that does nothing else.

    Attributes
    ----------
    tissue_mm2 : float
        Stained tissue; of a picture without smaller copies all of it, so the guess is the most.
    minutes, memory_gb : float
        Of a whole profile with `workers` threads.
    workers : int
        Threads that it would have.
    """

    tissue_mm2: float
    minutes: float
    memory_gb: float
    workers: int

    def line(self) -> str:
        """Return it in words."""
        seconds = f"{10 * max(1, round(6 * self.minutes))} seconds"
        time = f"{self.minutes:.0f} minutes" if self.minutes >= 2 else seconds
        many = "threads" if self.workers > 1 else "thread"
        return (
            f"about {time} and {self.memory_gb:.1f} GB with {self.workers} {many}, for "
            f"{self.tissue_mm2:.3g} mm2 of tissue"
        )


def estimate_cost(slide: "Slide", workers: int | None = None) -> Cost:
    """Guess what a profile takes; the pixels of a picture without smaller copies are not read."""
    return cost_of(look_at(slide), workers or available_cpus())


class Areas(NamedTuple):
    """What the cost of a slide is guessed from: mm2 of scan and of tissue."""

    scan_mm2: float
    tissue_mm2: float


def look_at(slide: "Slide") -> Areas:
    """Return a slide's areas; of a picture without smaller copies all counts as tissue."""
    scan_mm2 = slide.extent_um[0] * slide.extent_um[1] / 1e6
    return Areas(scan_mm2, scan_mm2 if len(slide.reader.levels) == 1 else _tissue_mm2(slide))


def cost_of(areas: Areas, workers: int) -> Cost:
    """Return what a profile of these areas costs with so many threads."""
    scan_mm2, tissue_mm2 = areas
    seconds = _START_S + _SCAN_S * scan_mm2 + tissue_mm2 * (_SHARED_S / workers + _ALONE_S)
    memory_gb = _START_GB + _THREAD_GB * workers + _SCAN_GB * scan_mm2 + _TISSUE_GB * tissue_mm2
    return Cost(round(tissue_mm2, 3), round(seconds / 60, 2), round(memory_gb, 2), workers)


def _tissue_mm2(slide: "Slide") -> float:
    import numpy as np

    from histome.qc.colors import color_evidence, find_glass
    from histome.qc.foreground import find_tissue

    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    mpp = slide.extent_um[0] / thumbnail.shape[1]
    glass = find_glass(thumbnail)
    nothing = np.zeros(thumbnail.shape[:2], np.bool_)
    found = find_tissue(color_evidence(thumbnail, glass), nothing, mpp=mpp, glass_seen=glass.seen)
    return np.count_nonzero(found) * mpp**2 / 1e6


def look_at_some(slides: Sequence[tuple[str, float | None]], within_s: float) -> list[Areas]:
    """Return the areas of those slides (path, mpp) that can be looked at in this time."""
    command = [sys.executable, "-m", "histome.cohort.estimate"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    try:
        lines = subprocess.run(command, input=json.dumps(slides), timeout=within_s, **options).stdout
    except subprocess.TimeoutExpired as late:
        lines = (late.stdout or b"").decode()
    return [Areas(*json.loads(line)) for line in lines.splitlines() if line.endswith("]")]


def main() -> None:
    """Print the areas of the slides that stdin names, a line each; leave out what cannot be read."""
    from histome.slide import open_slide

    for path, mpp in json.loads(sys.stdin.readline()):
        try:
            with open_slide(Path(path), mpp=mpp, allow_estimated_mpp=True) as slide:
                print(json.dumps(look_at(slide)), flush=True)
        except (HistomeError, OSError, ValueError):
            continue


if __name__ == "__main__":
    main()
