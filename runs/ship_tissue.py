"""Make the shipped `tissue` model of a training run: ONNX, held-out scores, card, training log.

    python runs/ship_tissue.py --data ../shared/data --run runs/out/tissue

Nothing is tuned here. The scores are those of runs/evaluate_tissue.py.
"""

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluate_tissue import ZOO, evaluate

from histome.datasets.declared import declaration_of
from histome.datasets.tissue_fields import load_tissue_fields, sources_by_part, tissue_labels_of
from histome.training.checkpoint import load_average
from histome.training.tissue.recipe import SHARES, TissueRecipe
from histome.training.tissue.ship import ship_tissue

LIMITS = (
    "blood is indirect: red cells found by color in 6 colon and 140 lung tiles that a person chose; next to "
    "none in the map, and red cells in bulk are mostly called NECROSIS (seen on a field of consep)",
    "vessel is indirect: allowed by many labels, named by 40 endothelial nuclei; next to none in the map",
    "normal epithelium is direct in colon only; normal lung is one word for alveoli and all between them",
    "necrosis is direct in one osteosarcoma patient and 15 colon tiles; mucus is sometimes called necrosis",
    "carcinoma is direct in colon and lung; elsewhere it follows from untyped nuclei of tumors",
    "never saw: liver, stomach, bladder, brain, skin, lymph node, pancreas, soft tissue, frozen sections",
)

ORGANS = ("bone", "breast", "colorectum", "kidney", "lung", "prostate")


def about(data: Path) -> dict[str, Any]:
    """What the card says before anything is measured."""
    recipe = asdict(TissueRecipe())
    named = ("steps", "decay_steps", "batch", "crop_px", "learning_rate", "seed", "restarts")
    parts = sources_by_part(load_tissue_fields(data))
    return {
        "name": "tissue",
        "description": "Seven tissue classes (multilabel) at 2 um/px from H&E at 1 um/px",
        "license": "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS",
        "window_px": 1024,
        "halo_px": 64,
        "limits": LIMITS,
        "organs": ORGANS,
        "training_data": tuple(
            {"name": name, "license": declaration_of(name).license, "note": tissue_labels_of(name).note}
            for name in SHARES
        ),
        "training": {name: recipe[name] for name in named}
        | {
            # The recipe moved on during the run: a new one is made as the code has it.
            "note": "the first 2,200 steps allowed OTHER for necrosis and debris and did not yet mirror "
            "single tiles; blood weighs three times since step 2,700; a new run has all from the start",
            "encoder": "EfficientNet-lite0 with ImageNet weights (Apache-2.0)",
            "tuning_sources": parts["tuning"],
            "held_out_sources": parts["held-out"],
        },
    }


def main() -> None:
    """Ship, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/tissue"))
    args = parser.parse_args()
    card = ship_tissue(
        weights=load_average(args.run), out=ZOO, about=about(args.data), score=lambda: evaluate(args.data)
    )
    shutil.copy(args.run / "log.csv", ZOO / "training_log.csv")
    for part, values in card.scores.items():
        for name, score in values.items():
            print(part, name, score, flush=True)


if __name__ == "__main__":
    main()
