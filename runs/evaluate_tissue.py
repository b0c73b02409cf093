"""Score the recipe of the `tissue` model and compare with what its card says.

    python runs/evaluate_tissue.py --data ../shared/data            # ends with 1 where a figure differs
    python runs/evaluate_tissue.py --data ../shared/data --write    # puts the figures into the card

The held-out sources are scored twice: the network alone on each field, and wsss4luad and glas again through
the code that profiles a slide (quality control, windows, network on the CPU runtime, exclusive map). The
tuning sources followed the training: their figures flatter. The weights are those in runs/recipes/tissue; the
shipped ones learned from all fields and have no scores of their own. All in 32-bit floats.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from evaluate_nuclei import DIGITS, differences

from histome.config import QcConfig, TissueConfig
from histome.datasets.fields import read_rows
from histome.datasets.tissue_fields import TissueField, load_tissue_fields
from histome.errors import NoTissueError
from histome.models.card import load_card, write_card
from histome.models.runtime import Network
from histome.qc import assess
from histome.slide import open_slide
from histome.tissue import segment_tissue
from histome.training.tissue.train import in_windows
from histome.validation.maps.evidence import count_field, tissue_evidence, tissue_support
from histome.validation.maps.tissue import score_tissue
from histome.validation.nuclei import rounded

RECIPE = Path(__file__).parent / "recipes/tissue"
ZOO = Path(__file__).parents[1] / "src/histome/models/zoo/tissue"


def evaluate(data: Path) -> dict:
    """All figures, as the card holds them."""
    network = Network(load_card(RECIPE), precision="f32", backend="openvino")
    fields = load_tissue_fields(data)
    parts = {part: [f for f in fields if f.part == part] for part in ("held-out", "tuning", "train")}
    draw = lambda: np.random.default_rng(0)  # noqa: E731
    alone = {part: score_tissue(in_windows(network), parts[part], draw()) for part in ("held-out", "tuning")}
    whole = [f for f in parts["held-out"] if f.data_set in ("wsss4luad", "glas")]
    kept = through_pipeline(data, network, whole)
    by_image = {f.image.tobytes(): kept[f.name] for f in whole}
    again = score_tissue(lambda image: by_image[image.tobytes()], whole, draw())
    counted = [count_field(f, in_windows(network)) for f in parts["held-out"]]
    behind = tissue_evidence(counted, tissue_support(parts["train"]))
    scores = {"held_out": alone["held-out"], "held_out_whole_pipeline": again, "tuning": alone["tuning"]}
    return scores | behind


def through_pipeline(data: Path, network: Network, fields: list[TissueField]) -> dict[str, np.ndarray]:
    """Probabilities of each field as a slide gives them: 0 where quality control found no valid tissue."""
    found = {}
    for f in fields:
        row = next(r for r in read_rows(data / f.data_set / "images.csv") if r["image"] == f.name)
        with open_slide(data / f.data_set / row["file"], mpp=float(row["mpp"])) as slide:
            try:
                tissue = segment_tissue(slide, assess(slide, QcConfig()), network, TissueConfig())
                planes = np.asarray(tissue.probabilities.array).astype(np.float32) / 255
                found[f.name] = planes * (tissue.map.array > 0)
            except NoTissueError:
                found[f.name] = np.zeros((7, *slide.shape_at(2.0)), np.float32)
    return found


def main() -> int:
    """Evaluate and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    card, scores = load_card(RECIPE), rounded(evaluate(args.data))
    if args.write:
        for folder in (RECIPE, ZOO):
            write_card(load_card(folder).model_copy(update={"scores": scores}), folder)
        return 0
    lines = differences(card.scores, scores)
    print("\n".join(lines) or f"every figure of the card came out again, to {DIGITS} digits")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
