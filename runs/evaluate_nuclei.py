"""Score the recipe of the `nuclei` model on its held-out sources and compare with what its card says.

    python runs/evaluate_nuclei.py --data ../shared/data            # ends with 1 where a figure differs
    python runs/evaluate_nuclei.py --data ../shared/data --write    # puts the figures into the card
    python runs/evaluate_nuclei.py --data ../shared/data --failures runs/out/failures

The weights are those in runs/recipes/nuclei, which never saw these sources; the shipped ones, of the same
recipe, learned from them too and have no scores of their own. All in 32-bit floats, so that the figures do
not depend on the processor, but for the table of precisions. Nothing is chosen here: thresholds, temperature
and logit adjustment come from the card.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from train_nuclei import load_split

from histome.cells import find_cells
from histome.config import CellsConfig
from histome.datasets.fields import Field, read_image, read_rows, resize_image
from histome.models.card import load_card, write_card
from histome.models.runtime import Network, Predictor
from histome.slide import open_slide
from histome.slide.plain import array_slide
from histome.validation.evidence import evidence
from histome.validation.nuclei import (
    FieldScore,
    f1_by_coverage,
    found_from_table,
    rounded,
    score_field,
    score_tables,
)
from histome.validation.scores import outline_scores
from histome.validation.staining import CONDITIONS, RESOLUTIONS_MPP, restain

# Figures that the tables of conditions and precisions show, one line a data set.
SHOWN = ("detection_f1", "pq", "aji", "macro_f1_matched")
DIGITS = 3
RECIPE = Path(__file__).parent / "recipes/nuclei"
ZOO = Path(__file__).parents[1] / "src/histome/models/zoo/nuclei"


def score_all(
    fields: Sequence[Field],
    data: Path,
    network: Predictor,
    change: Callable[[NDArray[np.uint8], float], tuple[NDArray[np.uint8], float]] | None = None,
) -> list[FieldScore]:
    """Score fields through the code that profiles a slide; `change` maps (pixels, um/px) to others."""
    return [score_field(found_from_table(*find_in_field(f, data, network, change)), f) for f in fields]


def find_in_field(field: Field, data: Path, network: Predictor, change=None) -> tuple[pa.Table, float]:
    """The cells of one field, through the code that profiles a slide, and um per pixel of their outlines."""
    root = data / field.data_set
    path = root / next(r["file"] for r in read_rows(root / "images.csv") if r["image"] == field.name)
    if change is None:
        slide = open_slide(path, mpp=field.label_mpp)
    else:
        slide = array_slide(*change(read_image(path, field.label_mpp, field.label_mpp), field.label_mpp))
    with slide:
        return find_cells(slide, None, network, CellsConfig()), slide.mpp.x


def short(scores: Sequence[FieldScore]) -> dict[str, dict[str, float]]:
    """The shown figures of each data set, without intervals."""
    return {
        name: {figure: table[figure]["value"] for figure in SHOWN if figure in table}
        for name, table in score_tables(scores).items()
    }


class StarConvex:
    """The network without its mask: star-convex outlines alone, on the same features."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.card = network.card

    def __call__(self, image: NDArray[np.uint8], /) -> dict[str, NDArray[np.float32]]:
        """Outputs less those that sharpen the outlines."""
        return {k: v for k, v in self._network(image).items() if k not in ("mask", "offset")}


def robustness(fields: Sequence[Field], data: Path, network: Network, as_scanned: dict) -> dict:
    """Scores under the stain conditions and resolutions, and the largest less the smallest of each."""
    tables = {"as_scanned": as_scanned}
    for name, condition in CONDITIONS.items():
        change = lambda image, mpp, c=condition: (restain(image, c), mpp)  # noqa: E731
        tables[name] = short(score_all(fields, data, network, change))
    stains = list(tables)
    resolutions = []
    for to_mpp in RESOLUTIONS_MPP:
        change = lambda image, mpp, to=to_mpp: (resize_image(image, mpp, to), to)  # noqa: E731
        resolutions.append(f"{to_mpp:g} um/px")
        tables[resolutions[-1]] = short(score_all(fields, data, network, change))
    return {
        "tables": tables,
        "spread_over_stains": spread([tables[name] for name in stains]),
        "spread_over_resolutions": spread([tables[name] for name in resolutions]),
    }


def spread(tables: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Largest less smallest of each figure."""
    return {
        name: {figure: round(np.ptp([t[name][figure] for t in tables]).item(), 4) for figure in figures}
        for name, figures in tables[0].items()
    }


def evaluate(data: Path) -> dict:
    """All figures, as the card holds them."""
    split = load_split(data)
    network = Network(load_card(RECIPE), precision="f32", backend="openvino")
    held_out, tuning = (score_all(part, data, network) for part in (split.held_out, split.tuning))
    typed = ("consep", "monusac", "crchistophenotypes", "pannuke_figures")
    outlined = [field for field in split.held_out if field.shapes]
    plain = short([score for score in held_out if score.outlines is not None])
    lower = Network(load_card(RECIPE), precision="bf16", backend="openvino")
    return {
        "held_out": score_tables(held_out),
        **evidence(held_out, load_card(RECIPE).training["labels"]),
        "tuning": score_tables(tuning),
        "coverage": {name: f1_by_coverage([s for s in held_out if s.data_set == name]) for name in typed},
        "robustness": robustness(outlined, data, network, plain),
        "precision": {"f32": short(held_out), "bf16": short(score_all(split.held_out, data, lower))},
        "decoding": {
            "mask_and_votes": plain,
            "star_convex": short(score_all(outlined, data, StarConvex(network))),
        },
        "interval": "95 % percentile bootstrap over sources (fields when < 5)",
        "note": "thresholds, temperature and logit adjustment were chosen on the tuning sources: "
        "those figures flatter",
    }


def differences(said: object, found: object, path: str = "scores") -> list[str]:
    """Where two tables of figures differ in the digits that are promised."""
    if isinstance(said, dict) and isinstance(found, dict):
        keys = dict.fromkeys([*said, *found])
        return [line for k in keys for line in differences(said.get(k), found.get(k), f"{path}.{k}")]
    if isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        pairs = enumerate(zip(said, found, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    if isinstance(said, int | float) and isinstance(found, int | float):
        same = abs(said - found) <= 0.5 * 10**-DIGITS or (np.isnan(said) and np.isnan(found))
    else:
        same = said == found
    return [] if same else [f"{path}: card {said}, now {found}"]


def draw_failures(data: Path, out: Path, worst: int = 8) -> None:
    """Draw the held-out fields with the lowest PQ: truth green, found red, both at 0.25 um/px."""
    split = load_split(data)
    network = Network(load_card(RECIPE), precision="f32", backend="openvino")
    fields = [field for field in split.held_out if field.shapes]
    found = [found_from_table(*find_in_field(f, data, network)) for f in fields]
    pairs = zip(found, fields, strict=True)
    quality = [outline_scores(field.labels, cells, field.label_mpp).pq for cells, field in pairs]
    out.mkdir(parents=True, exist_ok=True)
    for place, k in enumerate(np.argsort(quality)[:worst], start=1):
        field = fields[k]
        picture = cv2.resize(field.image, field.labels.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for outline in found[k].outlines_um / field.label_mpp:
            cv2.polylines(picture, [np.round(outline).astype(np.int32)], True, (230, 30, 30), 1, cv2.LINE_AA)
        for label in range(1, field.labels.max() + 1):
            lines, _ = cv2.findContours(
                (field.labels == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(picture, lines, -1, (0, 170, 0), 1)
        Image.fromarray(picture).save(out / f"{place}_{field.data_set}_{field.name}_pq{quality[k]:.2f}.png")
    print(f"{out}: the {min(worst, len(fields))} fields with the lowest PQ of {len(fields)}")


def main() -> int:
    """Evaluate; write, compare or draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--failures", type=Path)
    args = parser.parse_args()
    if args.failures:
        draw_failures(args.data, args.failures)
        return 0
    card = load_card(RECIPE)
    scores = rounded(evaluate(args.data))
    if args.write:
        for folder in (RECIPE, ZOO):
            write_card(load_card(folder).model_copy(update={"scores": scores}), folder)
        return 0
    lines = differences(card.scores, scores)
    print("\n".join(lines) or f"every figure of the card came out again, to {DIGITS} digits")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
