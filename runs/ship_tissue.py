"""Make the shipped `tissue` model of a training run: ONNX, held-out scores, card, training log.

    python runs/ship_tissue.py --data ../shared/data --run runs/out/tissue

Nothing is tuned here. The scores are those of runs/evaluate_tissue.py, of the model of the recipe, which goes
into runs/recipes/tissue; the shipped one has weights that learned from all fields.
"""

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluate_tissue import RECIPE, ZOO, evaluate
from ship_nuclei import REFITTED
from train_tissue import FIRST, REFIT, SECOND

from histome.datasets.declared import declaration_of
from histome.datasets.tissue_fields import load_tissue_fields, sources_by_part, tissue_labels_of
from histome.training.checkpoint import load_average
from histome.training.tissue.ship import ship_tissue, trained_tissue
from histome.validation.maps.evidence import tissue_support

LIMITS = (
    "blood was learned from 24 fields that an antibody or a person marked; vessel is allowed by many labels, "
    "named by 40 endothelial nuclei: next to none in the map",
    "normal epithelium is direct in colon only; normal lung is one word for alveoli and all between them",
    "necrosis is direct in one osteosarcoma patient and 15 colon tiles; mucus is sometimes called necrosis",
    "carcinoma is direct in colon, lung, mouth and a lymph node; elsewhere it follows from nuclei of tumors",
    "never saw: liver, stomach, bladder, brain, skin, pancreas, bile duct, testis, frozen sections",
)

ORGANS = (
    *("adrenal gland", "bone", "breast", "colorectum", "esophagus", "kidney", "lung", "lymph node"),
    *("oral cavity", "prostate", "soft tissue"),
)


def about(data: Path) -> dict[str, Any]:
    """What the card says before anything is measured."""
    recipe, fields = asdict(SECOND), load_tissue_fields(data)
    named = ("steps", "decay_steps", "batch", "crop_px", "learning_rate", "seed", "restarts", "reach_px")
    parts = sources_by_part(fields)
    return {
        "name": "tissue",
        "version": "3",
        "description": "Seven tissue classes (multilabel) at 2 um/px from H&E at 1 um/px",
        "license": "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS",
        # On large slides 44 % more pixels than are used; windows fade over 128 of them.
        "window_px": 1536,
        "halo_px": 128,
        "cut_px": 256,
        "limits": LIMITS,
        "organs": ORGANS,
        "training_data": tuple(
            {"name": name, "license": declaration_of(name).license, "note": tissue_labels_of(name).note}
            for name in SECOND.shares
        ),
        "training": {name: recipe[name] for name in named}
        | {
            "started_from": f"a first network of {FIRST.steps} steps (training_log_first.csv); its first "
            "2,200 steps allowed OTHER for necrosis and debris and did not yet mirror single tiles",
            "encoder": "EfficientNet-lite0 with ImageNet weights (Apache-2.0)",
            "labels": tissue_support(f for f in fields if f.part == "train"),
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
    said = about(args.data)
    card = ship_tissue(
        net=trained_tissue(load_average(args.run / "second")),
        out=RECIPE,
        about=said,
        score=lambda: evaluate(args.data),
    )
    changes = {
        "steps": f"{SECOND.steps} and {REFIT.steps}",
        "labels": tissue_support(load_tissue_fields(args.data)),
        "refit": REFITTED.format(name="tissue"),
    }
    ship_tissue(
        net=trained_tissue(load_average(args.run / "refit")),
        out=ZOO,
        about=said | {"training": card.training | changes},
        score=lambda: card.scores,
    )
    shutil.copy(args.run / "first" / "log.csv", ZOO / "training_log_first.csv")
    shutil.copy(args.run / "second" / "log.csv", ZOO / "training_log.csv")
    shutil.copy(args.run / "refit" / "log.csv", ZOO / "training_log_refit.csv")
    for part, values in card.scores.items():
        for name, score in values.items():
            print(part, name, score, flush=True)


if __name__ == "__main__":
    main()
