"""Before a cohort starts: how many at once, and how many hours, guessed from a few of its slides."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from histome.cohort.estimate import Areas, cost_of, look_at_some
from histome.cohort.manifest import CohortSlide
from histome.cohort.remote import is_address
from histome.store.profile import read_run
from histome.threads import available_cpus

_MOST_LOOKED_AT, _WITHIN_S = 12, 60.0
# Of a slide nobody could look at: a resection on a scan of 400 mm2.
_UNKNOWN = Areas(400.0, 120.0)
_MEMORY_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Ahead(NamedTuple):
    """What is to come: a guess, right to a factor of two.

    Attributes
    ----------
    slides : int
        That have no finished profile yet.
    looked_at : int
        From which the rest is guessed; 0 where none could be.
    hours : float
        Until all are done, with `workers` slides at once.
    memory_gb : float
        Of the slide that needs most, of those looked at.
    workers : int
        Slides that can be worked on at once.
    areas : tuple of Areas
        Of those looked at; of a large slide where none could be.
    """

    slides: int
    looked_at: int
    hours: float
    memory_gb: float
    workers: int
    areas: tuple[Areas, ...]

    def with_workers(self, workers: int, threads: int) -> "Ahead":
        """Return the guess for so many slides at once, with so many threads each."""
        minutes = sum(cost_of(area, threads).minutes for area in self.areas) / len(self.areas)
        hours = minutes * self.slides / min(workers, max(1, self.slides)) / 60
        return self._replace(hours=round(hours, 3), workers=workers)

    def line(self) -> str:
        """Return it in words."""
        if not self.slides:
            return "every slide has a profile; what still holds is not made again"
        at_once = min(self.workers, self.slides)
        if not self.looked_at:
            return f"{self.slides} slides, {at_once} at once; none could be looked at to guess how long"
        time = f"{self.hours:.1f} hours" if self.hours >= 1 else f"{max(2, round(60 * self.hours))} minutes"
        return (
            f"{self.slides} slides, {at_once} at once: about {time}, {self.memory_gb:.1f} GB each "
            f"at most (guessed from {self.looked_at} of them, right to a factor of two)"
        )


def look_ahead(
    slides: Sequence[CohortSlide], out: Path, *, slots: int | None = None, threads: int | None = None
) -> Ahead:
    """Guess what a run of these slides takes.

    `slots` are the slides at once and `threads` those of each; by default as many slides as CPUs and memory
    allow share the CPUs.
    """
    included = [slide for slide in slides if not slide.exclude]
    new = [slide for slide in included if not _is_done(slide, out)]
    files = [slide for slide in new if not is_address(slide.path)]
    step = max(1, math.ceil(len(files) / _MOST_LOOKED_AT))
    found = look_at_some([(slide.path, slide.mpp) for slide in files[::step]], _WITHIN_S) if files else []
    areas = tuple(found) or (_UNKNOWN,)
    memory_gb = max(cost_of(area, 1).memory_gb for area in areas)
    # Of all that are in: of one that is done the settings may have changed.
    workers = slots or _at_once(memory_gb, len(included))
    guess = Ahead(len(new), len(found), 0.0, round(memory_gb, 2), workers, areas)
    return guess.with_workers(workers, threads or max(1, available_cpus() // workers))


def _is_done(slide: CohortSlide, out: Path) -> bool:
    return read_run(out / slide.slide).get("state") in ("done", "refused")


def _at_once(memory_gb: float, slides: int) -> int:
    """Return how many slides of this need CPUs and memory take at once: a thread each is the most thrifty."""
    by_memory = available_memory_gb() / memory_gb
    return max(1, min(available_cpus(), int(by_memory), slides or 1))


def available_memory_gb() -> float:
    """Return the memory that this process may still use; 8 GB where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        free = 8_000_000_000
    for path in _MEMORY_FILES:
        try:
            free = min(free, int(path.read_text()))
        except (OSError, ValueError):  # no such cgroup, or "max"
            continue
    return free / 1e9
