"""The long curriculum and its ablations, top to bottom, on one thread; start it again to resume.

    python runs/ablate_curriculum.py --data ../shared/data --out runs/out/curriculum
    python runs/ablate_curriculum.py --tables   # write what is done into docs/curriculum.md

The settings are runs/curriculum_long.toml. First the unlabeled pool: squares of a slide at six scales in the
layout of TCGA-UT, and tissue tiles of a known resolution. Then, at `--steps` a stage, three seeds and one
variant a row of `VARIANTS`, and the curriculum at full length. All are scored on the same human labels. What
a variant came to is kept in runs/curriculum, and what is there is not done again.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from histome.datasets.fields import read_image, read_rows
from histome.errors import DataError
from histome.slide import open_slide
from histome.training.uperhover.config import CurriculumConfig
from histome.training.uperhover.curriculum import StageResult, best_stage, run_curriculum, table
from histome.training.uperhover.network import PIXEL_CLASSES
from histome.training.uperhover.result import read_maps
from histome.training.uperhover.scores import paired_gain, pixel_figures

HERE = Path(__file__).parent
KEPT = HERE / "curriculum"
_MARK, _END = "<!-- ablations -->\n", "<!-- end -->"
_HEADS = ("steps a stage", "n sources", "stage 1, mean IoU", "stage 2", "stage 3", "stage 2 less stage 1")
_HEADS += ("last stage less best before", "PQ of the best stage, n fields or sources", "CPU-hours")
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
    "maps of strides 2 to 16": {"decoder": {"strides": (2, 4, 8, 16)}},
    "encoder trained too": {"encoder": {"frozen": False}, "training": {"learning_rate": 3e-4}},
    "a plain transformer from random weights": {
        "encoder": {"name": "plain", "frozen": False},
        "decoder": {"strides": (2, 4, 8, 16)},
    },
}
NAMES = (*VARIANTS, "full")


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
    """The settings of a variant at a reduced length, scored at one scale."""
    stages = [stage.model_copy(update={"steps": steps}) for stage in config.stages]
    if "keep" in change:
        stages = [stages[0], *(s.model_copy(update={"keep": change["keep"]}) for s in stages[1:])]
    if change.get("skip"):
        stages = [stages[0], stages[-1]]
    parts = {name: getattr(config, name) for name in ("encoder", "decoder", "training")}
    parts = {name: part.model_copy(update=change.get(name, {})) for name, part in parts.items()}
    parts["training"] = parts["training"].model_copy(update={"scored_mpps": ()})
    return config.model_copy(update={**parts, "stages": tuple(stages)})


def run_one(name: str, config: CurriculumConfig, out: Path) -> None:
    """Run a curriculum and keep its results and its CPU hours, those of calls before this one too."""
    began, hours = time.process_time(), out / "hours.csv"
    folder = out / key(name)
    if reuses(name):
        reuse_first_stage(out / key("all"), folder)
    try:
        results = run_curriculum(config, folder)
    except DataError:  # a stage saw no nucleus: what was before it stands, and the row says no more
        done = [folder / f"stage{k}/result.json" for k in range(1, len(config.stages) + 1)]
        results = [StageResult(**json.loads(path.read_text())) for path in done if path.exists()]
    finally:
        with hours.open("a") as file:
            file.write(f"{key(name)},{(time.process_time() - began) / 3600:.4f}\n")
    spent = [row.split(",") for row in hours.read_text().splitlines()]
    about = {"name": name, "cpu_hours": sum(float(h) for of, h in spent if of == key(name))}
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{key(name)}.json"
    counts = [pixels_by_source(folder / f"stage{r.stage}") for r in results]
    stages = [asdict(r) for r in results]
    path.write_text(json.dumps(about | {"stages": stages, "pixels_by_source": counts}, indent=1) + "\n")


def pixels_by_source(folder: Path) -> dict[str, list[int]]:
    """Of each source its (classes, classes) counts, row by row: what intervals and p are made of."""
    maps = read_maps(folder)
    sums: dict[str, Any] = {}
    for source, pixels in zip(maps["sources"].tolist(), maps["pixels"], strict=True):
        sums[source] = sums.get(source, 0) + pixels
    return {source: pixels.ravel().tolist() for source, pixels in sums.items()}


def reuses(name: str) -> bool:
    """Whether a variant begins with the first stage of the full method, whose hours are counted there."""
    return bool(VARIANTS.get(name)) and not VARIANTS[name].keys() - {"keep", "skip"}


def key(name: str) -> str:
    """A name as that of a file."""
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in name).split())


def tables() -> str:
    """What is kept: the full curriculum by stage, and a row of each variant."""
    done = {
        name: json.loads(path.read_text()) for name in NAMES if (path := KEPT / f"{key(name)}.json").exists()
    }
    lines = [f"| variant | {' | '.join(_HEADS)} |", "|---|" + "---|" * len(_HEADS)]
    lines += [row(each) for each in done.values()]
    full = stages_of(done["full"]) if "full" in done else []
    return "\n".join([*([table(full), ""] if full else []), *lines])


def reuse_first_stage(base: Path, out: Path) -> None:
    """A variant that changes only later stages begins with the first stage of the full method."""
    if (base / "stage1/result.json").exists() and not (out / "stage1").exists():
        shutil.copytree(base / "stage1", out / "copying", dirs_exist_ok=True)
        (out / "copying").rename(out / "stage1")


def stages_of(kept: Mapping[str, Any]) -> list[StageResult]:
    """The results that are kept; of counts by source, where they are, the pixel figures and gains anew."""
    stages = [StageResult(**stage) for stage in kept["stages"]]
    if "pixels_by_source" not in kept:
        return [replace(r, gain=r.gain and {**r.gain, "p": None}) for r in stages]
    found: list[StageResult] = []
    by_stage = [
        [np.array(n).reshape(len(PIXEL_CLASSES), -1) for n in each.values()]
        for each in kept["pixels_by_source"]
    ]
    sources = list(kept["pixels_by_source"][0])
    for result, pixels in zip(stages, by_stage, strict=True):
        figures = pixel_figures(pixels, sources, np.random.default_rng(0))
        scores = result.scores | {"pixels": {name: e.as_dict() for name, e in figures.items()}}
        gain = result.gain
        if gain:
            before = by_stage[best_stage(found).stage - 1]
            gain = paired_gain(before, pixels, sources, np.random.default_rng(0))
        found.append(replace(result, scores=scores, gain=gain))
    return found


def row(kept: Mapping[str, Any]) -> str:
    """A line of the table: mean IoU of each stage, the gain of the last, PQ by data set, CPU hours."""
    stages = stages_of(kept)
    cells = [_told(r.scores["pixels"]["miou"]) for r in stages] + [""] * (3 - len(stages))
    gains = [r.gain and _told(r.gain) + _p(r.gain["p"]) for r in stages[1:]]
    best = best_stage(stages)
    pq = "; ".join(
        f"{name} {_told(e['pq'])}, n {e['pq']['units']}" for name, e in best.scores.items() if "pq" in e
    )
    first, last = (gains[0] or "", gains[-1] or "") if gains else ("no nucleus to learn from", "")
    n = str(stages[0].scores["pixels"]["miou"]["units"])
    hours = f"{kept['cpu_hours']:.2f}" + (" and stage 1 of all" if reuses(kept["name"]) else "")
    told = [f"{stages[0].steps:,}", n, *cells, first, last, f"stage {best.stage}: {pq}", hours]
    return f"| {kept['name']} | " + " | ".join(told) + " |"


def _p(value: float | None) -> str:
    return "" if value is None else f", p {value:.3f}"


def _told(e: Mapping[str, float]) -> str:
    return f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]"


def main() -> None:
    """Make the pool, run what is not kept yet, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/curriculum"))
    parser.add_argument("--config", type=Path, default=HERE / "curriculum_long.toml")
    parser.add_argument("--steps", type=int, default=600, help="a stage of each variant")
    parser.add_argument("--squares", type=int, default=60, help="of the slide, at each scale")
    parser.add_argument("--only", nargs="*", default=[], choices=NAMES, metavar="VARIANT")
    parser.add_argument("--tables", action="store_true")
    args = parser.parse_args()
    if args.tables:
        page = HERE.parent / "docs/curriculum.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(_MARK)
        page.write_text(f"{before}{_MARK}\n{tables()}\n\n{rest[rest.index(_END) :]}", encoding="utf-8")
        return
    torch.set_num_threads(1)
    make_pool(args.data, args.out / "pool", args.squares)
    config = CurriculumConfig.from_toml(args.config)
    for name in args.only or NAMES:
        if not (KEPT / f"{key(name)}.json").exists():
            run_one(
                name, changed(config, VARIANTS[name], args.steps) if name in VARIANTS else config, args.out
            )


if __name__ == "__main__":
    main()
