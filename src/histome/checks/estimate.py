"""What a profile of a slide costs on this machine, guessed from a small picture of it."""

from typing import NamedTuple

import numpy as np

from histome.qc.colors import color_evidence, find_glass
from histome.qc.foreground import find_tissue
from histome.slide import Slide
from histome.threads import available_cpus

_THUMBNAIL_PX = 1024
# Seconds of one core: to start, per mm2 of scan, per mm2 of tissue shared by all cores, and not shared. From
# 1.6 mm2 of skin (9 s of a core; 16 by this) and 4 mm2 of colon on a scan of 203 mm2 (35; 37), 10,000 cells
# each, and two dense pieces of colon: 1.05 mm2 with 10,051 cells (13; 12), 1.53 mm2 with 15,182 (17; 16).
_START_S, _SCAN_S, _SHARED_S, _ALONE_S = 5.0, 0.02, 6.0, 1.0
# GB to start, per thread, per mm2 of scan (maps) and of tissue (cells); these took 0.73 and 1.19 GB.
_START_GB, _THREAD_GB, _SCAN_GB, _TISSUE_GB = 0.6, 0.15, 0.0015, 0.02


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
        minutes = f"{self.minutes:.0f} minutes" if self.minutes >= 1.5 else "a minute"
        many = "threads" if self.workers > 1 else "thread"
        return (
            f"about {minutes} and {self.memory_gb:.1f} GB with {self.workers} {many}, for "
            f"{self.tissue_mm2:.3g} mm2 of tissue"
        )


def estimate_cost(slide: Slide, workers: int | None = None) -> Cost:
    """Guess what a profile takes; the pixels of a picture without smaller copies are not read."""
    workers = workers or available_cpus()
    scan_mm2 = float(np.prod(slide.extent_um)) / 1e6
    tissue_mm2 = scan_mm2 if len(slide.reader.levels) == 1 else _tissue_mm2(slide)
    seconds = _START_S + _SCAN_S * scan_mm2 + tissue_mm2 * (_SHARED_S / workers + _ALONE_S)
    memory_gb = _START_GB + _THREAD_GB * workers + _SCAN_GB * scan_mm2 + _TISSUE_GB * tissue_mm2
    return Cost(round(tissue_mm2, 3), round(seconds / 60, 2), round(memory_gb, 2), workers)


def _tissue_mm2(slide: Slide) -> float:
    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    mpp = slide.extent_um[0] / thumbnail.shape[1]
    glass = find_glass(thumbnail)
    nothing = np.zeros(thumbnail.shape[:2], np.bool_)
    found = find_tissue(color_evidence(thumbnail, glass), nothing, mpp=mpp, glass_seen=glass.seen)
    return np.count_nonzero(found) * mpp**2 / 1e6
