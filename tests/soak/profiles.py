"""Many profiles in one process: memory, file handles and threads have to stay flat.

    python tests/soak/profiles.py --n 200

Drawn slides, models of a few weights, all stages; by hand, not in CI. Ends with code 1 where memory at the
end is more than a tenth above that at the first row, or where file handles or threads grew.
"""

import argparse
import gc
import os
import shutil
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from soak.drawn import draw_case

from histome.config import Config, MetricsConfig
from histome.pipeline import profile

SLIDES = 4
FAMILIES = ("total-area", "qc-areas", "cells", "cells-per-class")
PAGE = os.sysconf("SC_PAGE_SIZE")


def measured() -> tuple[float, int, int]:
    """Return MB in memory, file handles and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE / 1e6, len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def main() -> int:
    """Profile, print a table, return 0 where nothing grew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--all-metrics", action="store_true", help="all families, not a few that are quick")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("out/soak"))
    given = parser.parse_args()
    cases = [draw_case(given.folder, size_px=(600, 500), seed=seed) for seed in range(1, SLIDES + 1)]
    config = Config.from_toml(given.folder / "settings.toml")
    if not given.all_metrics:
        config = config.model_copy(update={"metrics": MetricsConfig(families=FAMILIES)})
    rows, started = [], time.monotonic()
    print("profiles  memory MB  handles  threads  seconds", flush=True)
    for number in range(1, given.n + 1):
        slide = cases[number % SLIDES][1]
        shutil.rmtree(given.folder / "profiles", ignore_errors=True)
        profile(slide, given.folder / "profiles", config=config, workers=given.workers)
        if number % given.every == 0 or number == given.n:
            rows.append(measured())
            print("{:8}  {:9.1f}  {:7}  {:7}".format(number, *rows[-1]), end="")
            print(f"  {time.monotonic() - started:7.0f}", flush=True)
    first, last = rows[0], rows[-1]
    return int(last[0] > 1.1 * first[0] or last[1:] > first[1:])


if __name__ == "__main__":
    sys.exit(main())
