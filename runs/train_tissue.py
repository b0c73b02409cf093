"""Train the shipped `tissue` model from the labeled fields, top to bottom; run again to resume.

    python runs/train_tissue.py --data ../shared/data --out runs/out/tissue

Writes a checkpoint and log.csv into the output folder; `python runs/ship_tissue.py` then scores the held-out
fields and writes the ONNX file and its card.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from histome.datasets.tissue_fields import load_tissue_fields
from histome.training.tissue.recipe import TissueRecipe
from histome.training.tissue.train import predict_tissue, train_tissue
from histome.validation.tissue import score_tissue

FOLLOWED = (
    "wsss4luad_iou_tumor",
    "wsss4luad_iou_stroma",
    "wsss4luad_iou_mean",
    "glas_gland_dice",
    "glas_grade_accuracy",
)


def main() -> None:
    """Load, split, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/tissue"))
    parser.add_argument("--steps", type=int, default=TissueRecipe.steps)
    parser.add_argument("--decay-steps", type=int, default=TissueRecipe.decay_steps)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    fields = load_tissue_fields(args.data)
    print(Counter((f.data_set, f.part) for f in fields), flush=True)
    tuning = [f for f in fields if f.part == "tuning"]

    def follow(network: torch.nn.Module) -> dict[str, float]:
        scores = score_tissue(lambda image: predict_tissue(network, image), tuning, np.random.default_rng(0))
        return {name: scores[name]["value"] for name in FOLLOWED}

    recipe = TissueRecipe(steps=args.steps, decay_steps=args.decay_steps)
    train_tissue(recipe, [f for f in fields if f.part == "train"], args.out, follow=follow)


if __name__ == "__main__":
    main()
