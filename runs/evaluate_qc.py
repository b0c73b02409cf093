"""Score a model of quality beside the rules alone: drawn artifacts, real ones, clean tissue it refuses.

    python runs/evaluate_qc.py --data ../shared/data --model runs/out/qc/model [--overlays DIR]

Everything goes through the code that profiles a slide. Artifacts are drawn at 1 um/px on fields of sources
that training kept back, `CANVASES` a kind; `plain fold` is a straight band of 2.2 times the density, drawn by
other code than the network learned from. Real ones: pens and coverslips' edges with pixel masks, none of them
trained on. Clean: kept-back fields, and whole slides and sections that training never read.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from evaluate_quality import code, quality_of, shown
from numpy.typing import NDArray
from PIL import Image

from histome.datasets.fields import read_image
from histome.models.card import load_card
from histome.models.runtime import Network, Predictor
from histome.qc.learned import find_learned
from histome.qc.quality import MAP_MPP
from histome.slide import Slide, open_slide
from histome.slide.plain import array_slide
from histome.training.augment import similarity
from histome.training.quality.drawn import CODE, DRAWERS, Brush, curve, draw, glass_of, stroke
from histome.training.quality.fields import GLASS_SET, SECTION_SET, CleanField, load_clean_fields
from histome.validation.resampling import bootstrap, ratio

CANVASES, CANVAS_PX, CANVAS_MPP = 16, 768, 1.0
PLAIN = "plain fold"
PEN_MPP = 8.0
SLIDES = {
    "colon_section.tif": 0.5,
    "CMU-1-Small-Region.svs": None,
    "HE_example_0.5mpp.tif": 0.5,
    "A9K0_1.svs": None,
    "A9K0_2.svs": None,
    "A9K0_3.svs": None,
    "tcga_tile.png": 0.5,
}
Mask = NDArray[np.bool_]


class Verdict(NamedTuple):
    """Of a slide at 8 um/px: its tissue, what the rules do not measure, and rules and network together."""

    tissue: Mask
    rules: Mask
    both: Mask


class Counted(NamedTuple):
    """Pixels of one field or canvas: asked for, refused by the rules, refused by both."""

    of: str
    source: str
    asked: int
    rules: int
    both: int


def judge(slide: Slide, network: Predictor) -> Verdict:
    """What the rules and the network say of a slide."""
    quality = quality_of(slide).map
    tissue, valid = quality.array != code("NO_TISSUE"), quality.mask("VALID_TISSUE")
    learned = np.logical_or.reduce(list(find_learned(slide, valid, network, mpp=MAP_MPP).values()))
    return Verdict(tissue, ~valid, ~valid | learned)


def drawn(fields: Sequence[CleanField], network: Predictor, overlays: Path | None) -> Iterator[Counted]:
    """Drawn artifacts of each kind, on what the rules find valid before they are drawn."""
    for kind in (PLAIN, *DRAWERS):
        rng = np.random.default_rng(7)
        for k in range(CANVASES):
            field, image = canvas(fields, rng)
            clean = np.full(image.shape[:2], CODE["VALID_TISSUE"], np.uint8)
            marked, codes = (
                plain_fold(image, rng) if kind == PLAIN else draw(kind, image, clean, rng, mpp=1.0)
            )
            before = quality_of(array_slide(image, CANVAS_MPP)).map.mask("VALID_TISSUE")
            after = judge(array_slide(marked, CANVAS_MPP), network)
            bad = shown(~np.isin(codes, [0, CODE["VALID_TISSUE"]]), before.shape)
            asked = bad & before
            yield counted(kind, field.source, asked, after)
            beside = shown(codes == CODE["VALID_TISSUE"], asked.shape) & before
            # What a band of 48 um round an artifact says is neither.
            near = cv2.dilate((~beside).astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
            yield counted(f"beside {kind}", field.source, beside & ~near, after)
            if overlays and k < 6:
                overlay(overlays / f"drawn_{kind.replace(' ', '_')}_{k}.png", marked, after, asked)


def counted(of: str, source: str, asked: Mask, found: Verdict) -> Counted:
    """Pixels that are asked for and refused."""
    return Counted(of, source, int(asked.sum()), *(int((asked & each).sum()) for each in found[1:]))


def canvas(fields: Sequence[CleanField], rng: np.random.Generator) -> tuple[CleanField, NDArray[np.uint8]]:
    """A place of a field of a data set drawn evenly, mirrored where it ends."""
    names = sorted({field.data_set for field in fields})
    name = names[rng.integers(len(names))]
    group = [field for field in fields if field.data_set == name]
    field = group[rng.integers(len(group))]
    center = rng.uniform(0, np.array(field.image.shape[1::-1], np.float64))
    matrix = similarity(center, CANVAS_PX, rng, scale=(0.9, 1.1))
    options = {"borderMode": cv2.BORDER_REFLECT_101, "dsize": (CANVAS_PX, CANVAS_PX)}
    image = cv2.warpAffine(field.image, matrix, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, **options)
    return field, np.asarray(image, np.uint8)


def plain_fold(
    image: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A straight band, 40-120 um wide, of 2.2 times the density."""
    place = Brush(rng, CANVAS_MPP, glass_of(image))
    points = curve(image.shape, place, rng.uniform(300, 900) / CANVAS_MPP, bend=0.0)
    cover = stroke(image.shape, points, np.full(len(points), rng.uniform(20, 60) / CANVAS_MPP)) > 0.5
    light = image / place.glass
    folded = np.where(cover[..., None], place.glass * np.minimum(light, 1) ** 2.2, image)
    seen = cover & (-np.log10(np.maximum(light, 1e-2)).sum(axis=2) > 0.2)
    codes = np.where(cover, np.where(seen, CODE["TISSUE_ARTIFACT"], 0), CODE["VALID_TISSUE"])
    return np.clip(np.rint(folded), 0, 255).astype(np.uint8), codes.astype(np.uint8)


def clean(
    fields: Sequence[CleanField], data: Path, network: Predictor, overlays: Path | None
) -> Iterator[Counted]:
    """Tissue of kept-back fields and of whole slides."""
    shown_of: dict[str, int] = {}
    for field in fields:
        found = judge(array_slide(field.image, CANVAS_MPP), network)
        yield counted(field.data_set, field.source, found.tissue, found)
        shown_of[field.data_set] = shown_of.get(field.data_set, 0) + 1
        if overlays and shown_of[field.data_set] <= 2:
            overlay(overlays / f"clean_{field.data_set}_{shown_of[field.data_set]}.png", field.image, found)
    for name, mpp in SLIDES.items():
        with open_slide(data / "slides" / name, mpp=mpp) as slide:
            found = judge(slide, network)
            yield counted(name, name, found.tissue, found)
            if overlays:
                width = found.tissue.shape[1] * 2
                overlay(
                    overlays / f"slide_{name}.png",
                    slide.thumbnail(max(width, found.tissue.shape[0] * 2)),
                    found,
                )


def sections(
    fields: Sequence[CleanField], mpp: float, network: Predictor, overlays: Path | None
) -> Iterator[Counted]:
    """Whole sections as small pictures: too coarse for the rule of focus."""
    for field in fields:
        found = judge(array_slide(field.image, mpp), network)
        yield counted(field.name, field.name, found.tissue, found)
        if overlays:
            overlay(overlays / f"section_{field.name}.png", field.image, found)


def real(data: Path, network: Predictor, overlays: Path | None) -> Iterator[Counted]:
    """Pens and coverslips' edges, within tissue or not: what is asked for is not to be measured."""
    for name in ("pen/pen_red", "pen/pen_green", "pen/pen_black", "edge/he_edge", "edge/ihc_edge"):
        truth = np.asarray(Image.open(data / f"quality/{name}_mask.png").convert("L")) > 127
        image = read_image(data / f"quality/{name}.png", PEN_MPP, PEN_MPP)
        found = judge(array_slide(image, PEN_MPP), network)
        asked = shown(truth, found.tissue.shape)
        yield counted(name, name, asked, found)
        if overlays:
            overlay(overlays / f"real_{name.replace('/', '_')}.png", image, found, asked)


def dust(fields: Sequence[CleanField], network: Predictor) -> Iterator[Counted]:
    """Empty glass with real dust: none of it is to be measured."""
    for field in fields:
        found = judge(array_slide(field.image, CANVAS_MPP), network)
        yield counted(GLASS_SET, field.name, np.ones_like(found.tissue), found)


def overlay(path: Path, image: NDArray[np.uint8], found: Verdict, asked: Mask | None = None) -> None:
    """The image beside itself: blue what the rules refuse, red what the network does besides; green asked."""
    size = image.shape[1::-1]
    marked = image.copy()
    for mask, color in ((found.rules & found.tissue, (0, 0, 255)), (found.both & ~found.rules, (255, 0, 0))):
        wide = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        marked[wide] = (0.5 * marked[wide] + 0.5 * np.array(color)).astype(np.uint8)
    if asked is not None:
        wide = cv2.resize(asked.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        marked[cv2.morphologyEx(wide, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0] = (0, 160, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack([image, marked])).save(path)


def table(counts: Sequence[Counted]) -> dict[str, dict[str, Any]]:
    """Share refused of each kind or data set, by the rules and by both, over sources."""
    tables = {}
    for name in dict.fromkeys(each.of for each in counts):
        mine = [each for each in counts if each.of == name]
        groups = [each.source for each in mine]
        rows: dict[str, Any] = {"fields": len(mine), "pixels": sum(each.asked for each in mine)}
        for column in ("rules", "both"):
            parts = np.array([[getattr(each, column), each.asked] for each in mine], float)
            rows[column] = bootstrap(parts, groups, ratio, rng=np.random.default_rng(0)).as_dict()
        tables[name] = rows
    return tables


def score(data: Path, network: Predictor, overlays: Path | None = None) -> dict[str, Any]:
    """All tables, as the card keeps them."""
    kept = [field for field in load_clean_fields(data, CANVAS_MPP) if field.part == "held-out"]
    tissue = [field for field in kept if field.data_set not in (GLASS_SET, SECTION_SET)]
    glass = [field for field in kept if field.data_set == GLASS_SET]
    small = [
        field
        for field in load_clean_fields(data)
        if field.part == "held-out" and field.data_set == SECTION_SET
    ]
    return {
        "drawn": table(list(drawn(tissue, network, overlays))),
        "clean": table([*clean(tissue, data, network, overlays), *sections(small, 4.0, network, overlays)]),
        "real": table([*real(data, network, overlays), *dust(glass, network)]),
    }


def show(tables: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print the tables."""
    for title, rows in tables.items():
        print(f"\n{title}: share refused | by the rules | with the network | fields | sources")
        for name, row in rows.items():
            shares = [
                f"{row[column]['value']:.4f} [{row[column]['low']:.4f}, {row[column]['high']:.4f}]"
                for column in ("rules", "both")
            ]
            print(f"| {name} | {shares[0]} | {shares[1]} | {row['fields']} | {row['both']['units']} |")


def main() -> None:
    """Score a model and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, default=Path("runs/out/qc/model"))
    parser.add_argument("--overlays", type=Path)
    args = parser.parse_args()
    show(score(args.data, Network(load_card(args.model)), args.overlays))


if __name__ == "__main__":
    main()
