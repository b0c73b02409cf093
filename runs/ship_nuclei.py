"""Make the shipped `nuclei` model of a training run: ONNX, thresholds, temperature, card.

    python runs/ship_nuclei.py --data ../shared/data --run runs/out/nuclei

The way of a user's own model (training/nuclei/ship.py), on the fields as their files have them. The scores
are those of runs/evaluate_nuclei.py: the held-out sources are only scored, once, through the same code that
profiles a slide (reading, windows, network on the CPU runtime, suppression, ownership). The model of the
recipe goes into runs/recipes/nuclei; the shipped one has its thresholds and temperature, and weights that
learned from all fields.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluate_nuclei import RECIPE, ZOO, evaluate, find_in_field
from train_nuclei import FIFTH, FIRST, FOURTH, PARTS, SECOND, THIRD, load_split, pseudo_labeled

from histome.datasets.declared import declaration_of
from histome.datasets.splits import Split
from histome.training.checkpoint import load_average
from histome.training.nuclei.ship import ship, ship_again, support_of, trained_network

LIMITS = (
    "never saw: brain, skin, lymph node, soft tissue, pancreas, cytology, frozen sections",
    "plasma cells and endothelial cells have a handful of labels; granulocytes and macrophages few",
    "scored on scans of 0.25 to 0.7 um/px; at 1 um/px it misses most nuclei (seen on lung)",
)
REFITTED = (
    "at last all labeled fields were learned from, those of tuning and held-out sources too: the scores are "
    "those of the same recipe without them (runs/recipes/{name}), these weights have none of their own"
)

# Of monuseg and monusac by the tissue source site in the TCGA code of each source that was trained on.
ORGANS = (
    *("adrenal gland", "bladder", "breast", "colorectum", "esophagus", "kidney", "lung", "prostate"),
    "stomach",
)
# The shipped weights learned from the sources that were kept back too.
ORGANS_KEPT_BACK = ("bile duct", "testis")

NOTES = {
    "pannuke_figures": "three organs; testis and adrenal tumors are learned as carcinoma",
    "puma_roi094": "one melanoma metastasis, learned as carcinoma",
    "glas": "pseudo-labels; their epithelium by the grade of the gland",
    "nct": "pseudo-labels; their epithelium by the word for the tile",
    "lc25000": "pseudo-labels; their epithelium by the word for the tile",
}
EARLIER = (FIRST, SECOND, THIRD, FOURTH)


def about(split: Split, names: Sequence[str]) -> dict[str, Any]:
    """What the card says before anything is measured."""
    recipe = FIFTH
    return {
        "name": "nuclei",
        "version": "5",
        "description": "Star-convex nuclei with nine cell types from H&E at 0.5 um/px",
        "license": "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS",
        "window_px": 1024,
        "halo_px": 64,
        "cut_px": 256,
        "training_data": tuple(
            {"name": name, "license": declaration_of(name).license, "note": NOTES.get(name, "")}
            for name in names
        ),
        "limits": (f"the weights of the scores never saw {' and '.join(ORGANS_KEPT_BACK)}", *LIMITS),
        "organs": ORGANS,
        "training": {
            "widths": list(recipe.widths),
            "steps": recipe.steps,
            "started_from": f"networks of {', '.join(str(part.steps) for part in EARLIER)} steps, each of "
            "which went on from the one before: training_log_first.csv, _second, _third, _fourth",
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
        FIFTH,
        net=trained_network(FIFTH, load_average(args.run / "fifth")),
        out=RECIPE,
        about=about(split, list(FIFTH.mix)),
        find=lambda field, network: find_in_field(field, args.data, network),
        score=lambda _: evaluate(args.data),
    )
    for name, table in card.scores["held_out"].items():
        print(name, table)
    learned = split.train + split.tuning + split.held_out
    pseudo = pseudo_labeled(args.data, ["glas", "tissue_tiles"], THIRD, args.run / "third", refit=True)
    changes = {"limits": LIMITS, "organs": sorted({*ORGANS, *ORGANS_KEPT_BACK})}
    refitted = card.training | {"labels": support_of(learned), "refit": REFITTED.format(name="nuclei")}
    ship_again(
        card,
        learned + pseudo,
        FIFTH,
        net=trained_network(FIFTH, load_average(args.run / "refit")),
        out=ZOO,
        changes=changes | {"training": refitted},
    )
    for part in PARTS:
        shutil.copy(args.run / part / "log.csv", ZOO / f"training_log_{part}.csv")


if __name__ == "__main__":
    main()
