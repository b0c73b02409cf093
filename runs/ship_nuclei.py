"""Make the shipped `nuclei` model of a training run: ONNX, thresholds, temperature, card.

    python runs/ship_nuclei.py --data ../shared/data --run runs/out/nuclei

The way of a user's own model (training/nuclei/ship.py), on the fields as their files have them. The scores
are those of runs/evaluate_nuclei.py: the held-out sources are only scored, once, through the same code that
profiles a slide (reading, windows, network on the CPU runtime, suppression, ownership).
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluate_nuclei import ZOO, evaluate, find_in_field
from train_nuclei import FIRST, FOURTH, SECOND, THIRD, load_split, pseudo_labeled

from histome.datasets.declared import declaration_of
from histome.datasets.splits import Split
from histome.training.checkpoint import load_average
from histome.training.nuclei.ship import ship, support_of, trained_network

LIMITS = (
    "never saw: brain, skin, lymph node, soft tissue, pancreas, bile duct, cytology, frozen sections",
    "plasma cells and endothelial cells have a handful of labels; granulocytes and macrophages few",
    "scored on scans of 0.25 to 0.7 um/px; at 1 um/px it misses most nuclei (seen on lung)",
)

# Of monuseg and monusac by the tissue source site in the TCGA code of each source that was trained on.
ORGANS = (
    *("adrenal gland", "bladder", "breast", "colorectum", "esophagus", "kidney", "lung", "prostate"),
    "stomach",
)

NOTES = {
    "pannuke_figures": "three organs; testis and adrenal tumors are learned as carcinoma",
    "puma_roi094": "one melanoma metastasis, learned as carcinoma",
    "glas": "pseudo-labels; their epithelium by the grade of the gland",
    "nct": "pseudo-labels; their epithelium by the word for the tile",
    "lc25000": "pseudo-labels; their epithelium by the word for the tile",
}


def about(split: Split, names: Sequence[str]) -> dict[str, Any]:
    """What the card says before anything is measured."""
    recipe = FOURTH
    return {
        "name": "nuclei",
        "version": "4",
        "description": "Star-convex nuclei with nine cell types from H&E at 0.5 um/px",
        "license": "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS",
        "window_px": 1024,
        "halo_px": 64,
        "cut_px": 256,
        "training_data": tuple(
            {"name": name, "license": declaration_of(name).license, "note": NOTES.get(name, "")}
            for name in names
        ),
        "limits": LIMITS,
        "organs": ORGANS,
        "training": {
            "widths": list(recipe.widths),
            "steps": recipe.steps,
            "started_from": f"a third network of {THIRD.steps} steps, which went on from a second of "
            f"{SECOND.steps} and a first of {FIRST.steps}: training_log_third.csv, _second, _first",
            "batch": recipe.batch,
            "seed": recipe.seed,
            "labels": support_of(split.train),
        },
    }


def main() -> None:
    """Ship, and print the held-out scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/nuclei"))
    args = parser.parse_args()
    pseudo = pseudo_labeled(args.data, ["glas", "tissue_tiles"], THIRD, args.run / "third")
    split = replace(load_split(args.data), pseudo=pseudo)
    card = ship(
        split,
        FOURTH,
        net=trained_network(FOURTH, load_average(args.run)),
        out=ZOO,
        about=about(split, list(FOURTH.mix)),
        find=lambda field, network: find_in_field(field, args.data, network),
        score=lambda _: evaluate(args.data),
    )
    for earlier in ("first", "second", "third"):
        shutil.copy(args.run / earlier / "log.csv", ZOO / f"training_log_{earlier}.csv")
    shutil.copy(args.run / "log.csv", ZOO / "training_log.csv")
    for name, table in card.scores["held_out"].items():
        print(name, table)


if __name__ == "__main__":
    main()
