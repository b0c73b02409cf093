"""The long curriculum and its ablations, top to bottom, on one thread; start it again to resume.

    python runs/ablate_curriculum.py --data ../shared/data --out runs/out/curriculum

The settings are runs/curriculum_long.toml. First the unlabeled pool: squares of a slide at six scales in the
layout of TCGA-UT, and tissue tiles of a known resolution. Then the curriculum at full length, then, at
`--steps` a stage, three seeds and one variant a row of `VARIANTS`. All are scored on the same human labels.
`ablations.md` has the tables, `hours.csv` the CPU hours of each.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from histome.datasets.fields import read_image, read_rows
from histome.slide import open_slide
from histome.training.uperhover.config import CurriculumConfig
from histome.training.uperhover.curriculum import StageResult, run_curriculum, table

_SIDE_PX, _TISSUE = 256, 210  # a square whose mean is darker holds tissue
_SCALES = {k: 0.5 + 0.1 * k for k in range(6)}
# Name -> what it changes; "all" is the full method at the reduced length.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "all, seed 2": {"training": {"seed": 2}},
    "all, seed 3": {"training": {"seed": 3}},
    "no HV branch": {"decoder": {"hv": False}},
    "one tap": {"encoder": {"taps": 1}},
    "two taps": {"encoder": {"taps": 2}},
    "no entropy filter": {"keep": 1.0},
    "the surest half": {"keep": 0.5},
    "two stages: all scales at once": {"skip": True},
    "0.25 um/px": {"training": {"mpp": 0.25}},
}


def make_pool(data: Path, pool: Path, squares: int) -> None:
    """Cut the slide at six scales and lay out the tiles whose resolution is known."""
    if (pool / "done").exists():
        return
    with open_slide(data / "slides/colon_section.tif", mpp=0.5) as slide:
        for scale, mpp in _SCALES.items():
            folder = pool / "tcga-ut/colon" / str(scale) / "colon_section"
            folder.mkdir(parents=True, exist_ok=True)
            for k, square in enumerate(_squares(slide, mpp, squares)):
                write_png(folder / f"{k:04d}.png", square)
    tiles = pool / "tiles"
    tiles.mkdir(parents=True, exist_ok=True)
    for row in read_rows(data / "tissue_tiles/images.csv"):
        if row["mpp"]:
            rgb = read_image(data / "tissue_tiles" / row["file"], float(row["mpp"]), 0.5)
            write_png(tiles / f"{row['image']}.png", rgb)
    (pool / "done").touch()


def _squares(slide: Any, mpp: float, n: int) -> Iterator[np.ndarray]:
    rng, side = np.random.default_rng(round(100 * mpp)), _SIDE_PX * mpp / 0.5
    found = 0
    while found < n:
        x, y = (float(rng.integers(0, int(size - side))) for size in slide.size_px)
        rgb = slide.read(x, y, size=(_SIDE_PX, _SIDE_PX), mpp=mpp)
        if rgb.mean() < _TISSUE:
            found += 1
            yield rgb


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Write pixels as a PNG."""
    Image.fromarray(rgb).save(path)


def changed(config: CurriculumConfig, change: Mapping[str, Any], steps: int) -> CurriculumConfig:
    """The settings of a variant at a reduced length."""
    stages = [stage.model_copy(update={"steps": steps}) for stage in config.stages]
    if "keep" in change:
        stages = [stages[0], *(s.model_copy(update={"keep": change["keep"]}) for s in stages[1:])]
    if change.get("skip"):
        stages = [stages[0], stages[-1]]
    parts = {name: getattr(config, name) for name in ("encoder", "decoder", "training")}
    parts = {name: part.model_copy(update=change.get(name, {})) for name, part in parts.items()}
    return config.model_copy(update={**parts, "stages": tuple(stages)})


def timed(config: CurriculumConfig, out: Path, hours: Path, name: str) -> list[StageResult]:
    """Run a curriculum and note the CPU hours of this call."""
    began = time.process_time()
    results = run_curriculum(config, out)
    with hours.open("a") as file:
        file.write(f"{name},{(time.process_time() - began) / 3600:.3f}\n")
    return results


def reuse_first_stage(change: Mapping[str, Any], base: Path, out: Path) -> None:
    """A variant that changes only later stages begins with the first stage of the full method."""
    later_only = change.keys() <= {"keep", "skip"}
    if change and later_only and not (out / "stage1").exists():
        shutil.copytree(base / "stage1", out / "copying", dirs_exist_ok=True)
        (out / "copying").rename(out / "stage1")


def row(name: str, results: list[StageResult]) -> str:
    """A line of the table: mean IoU of each stage, PQ, gain of the last stage over the best before."""
    cells = [_told(r.scores["pixels"]["miou"]) for r in results]
    cells += [""] * (3 - len(cells))
    last = results[-1]
    pq = "; ".join(f"{k} {_told(v['pq'])}" for k, v in last.scores.items() if "pq" in v)
    gain = "" if last.gain is None else f"{last.gain['value']:+.3f}, p {last.gain['p']:.3f}"
    return f"| {name} | " + " | ".join([*cells, pq, gain]) + " |"


def _told(e: Mapping[str, float]) -> str:
    return f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}] (n = {e['units']:.0f})"


def main() -> None:
    """Make the pool, run the curriculum and its variants, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/curriculum"))
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("curriculum_long.toml"))
    parser.add_argument("--steps", type=int, default=600, help="a stage of each variant; 0: none of them")
    parser.add_argument("--squares", type=int, default=60, help="of the slide, at each scale")
    args = parser.parse_args()
    torch.set_num_threads(1)
    make_pool(args.data, args.out / "pool", args.squares)
    config = CurriculumConfig.from_toml(args.config)
    lines = ["| variant | stage 1 | stage 2 | stage 3 | PQ of the last | last over best before |"]
    lines.append("|---|" + "---|" * 5)
    full = timed(config, args.out / "full", args.out / "hours.csv", "full")
    text = [table(full), "", *lines, row(f"full, {full[0].steps} steps", full)]
    (args.out / "ablations.md").write_text("\n".join(text) + "\n")
    for name, change in VARIANTS.items() if args.steps else ():
        folder = args.out / name.replace(" ", "_").replace(":", "").replace(",", "").replace("/", "_")
        reuse_first_stage(change, args.out / "all", folder)
        variant = changed(config, change, args.steps)
        text.append(row(f"{name}, {args.steps} steps", timed(variant, folder, args.out / "hours.csv", name)))
        (args.out / "ablations.md").write_text("\n".join(text) + "\n")
    print(json.dumps({"tables": str(args.out / "ablations.md")}))


if __name__ == "__main__":
    main()
