"""What a profile with an imported model costs, on CMU-1-Small-Region and on a section of colon.

    python runs/profile_imports.py stardist hovernet --python peers/bin/python --data ../shared/data

The package builds its network with random weights of a fixed seed; its last layer is fitted to the labels of
one field (runs/peers/fitting.py), or nothing would be found; the package writes it as it does its models.
Then the commands of docs/imported-models.md: `histome models import`, and `histome profile` with all stages.
Seconds are the processor's, of two threads; memory is the most that the process had. What an interrupted run
has found is not done again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from compare_imports import KINDS, Side, lay_out, pixels, versions

from histome.store.profile import Profile

# A square millimeter of mucosa, px of 0.5 um: x, y, side.
SQUARE_PX = (9450, 4980, 2000)
SLIDES = {"CMU-1": "CMU-1-Small-Region.svs", "colon": "colon_section.tif"}
WHOLE = ("CMU-1",)
THREADS = 2


def make(kind: str, python: str, data: Path, work: Path) -> None:
    """Have the package write a model that finds something, its file or folder `model/weights`."""
    model = work / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    theirs = Side(python, f"of_{kind}.py")
    theirs("make", model)
    field = lay_out(work, data, KINDS[kind].classes, np.random.default_rng(2))[0]
    np.save(field / "image.npy", pixels(data, len(np.load(field / "truth.npy"))))
    theirs("draw", field)
    theirs("fit", field)


def costs(*command: str | Path) -> dict[str, Any]:
    """Run a command of histome; its exit code, the processor's seconds, the most memory."""
    process = subprocess.Popen([sys.executable, "-m", "histome", *map(str, command)])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime
    return {"exit": process.returncode, "cpu_s": round(seconds), "peak_gb": round(used.ru_maxrss / 1e6, 1)}


def square(path: Path, side_px: int) -> Path:
    """Write a region around the middle of the square millimeter."""
    x, y, side = SQUARE_PX
    near, far = (side - side_px) // 2, (side + side_px) // 2
    corners = [[x + a, y + b] for a, b in ((near, near), (far, near), (far, far), (near, far), (near, near))]
    shape = {"type": "Polygon", "coordinates": [corners]}
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shape}))
    return path


def profiled(model: Path, slide: str, data: Path, work: Path, *, side_px: int) -> dict[str, Any]:
    """Profile a slide, or a square of the section, with a model."""
    file = data / "slides" / SLIDES[slide]
    regions = [] if slide in WHOLE else ["--roi", square(work / "roi.geojson", side_px)]
    found = costs(
        "profile", file, "--cells-model", model, "-o", work / "out", "--workers", str(THREADS), *regions
    )
    if found["exit"]:
        return found
    profile = work / "out" / file.stem
    cells = len(Profile(profile).cells)
    return found | {"cells": cells, "report": (profile / "report" / "index.html").is_file()}


def study(
    kind: str, python: str, data: Path, work: Path, *, slides: list[str], side_px: int
) -> dict[str, Any]:
    """All of it for one kind; what an interrupted run has found is not done again."""
    told, ours, weights = work / "found.json", work / kind, work / "model" / "weights"
    found = json.loads(told.read_text()) if told.exists() else {}

    def keep(name: str, result: Any) -> None:
        found[name] = result
        told.write_text(json.dumps(found, indent=1))

    if "versions" not in found:
        make(kind, python, data, work)
        keep("versions", versions(python, KINDS[kind].packages))
    if "import" not in found:
        classes = "pannuke" if KINDS[kind].classes > 1 else "nucleus"
        options = ("-o", ours, "--classes", classes, "--license", "made")
        keep("import", costs("models", "import", kind, weights, *options))
    for slide in slides:
        if slide not in found:
            keep(slide, profiled(ours, slide, data, work, side_px=side_px))
    return found


def main() -> None:
    """Import and profile each kind, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", choices=tuple(KINDS))
    parser.add_argument("--python", required=True, help="of the environment that has the packages")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/profiles"))
    parser.add_argument("--slides", nargs="+", choices=tuple(SLIDES), default=list(SLIDES))
    parser.add_argument("--side-px", type=int, default=SQUARE_PX[2], help="of the square of colon, 0.5 um/px")
    args = parser.parse_args()
    for kind in args.kinds:
        work = (args.out / kind).resolve()
        work.mkdir(parents=True, exist_ok=True)
        found = study(kind, args.python, args.data, work, slides=args.slides, side_px=args.side_px)
        print(kind, json.dumps(found))


if __name__ == "__main__":
    main()
