"""Do types travel? Each organ in turn is left out of training, and its nuclei are scored.

    python runs/leave_organs_out.py --data ../shared/data --second runs/out/nuclei/second --left-out Testis

The five organs of pannuke_figures: from the second network of runs/train_nuclei.py, which never saw that data
set, on all that the third learned from but the organ. Colon (consep, crchistophenotypes) and the lung, kidney
and breast of monusac: from nothing, for the earlier networks learned from them. `--left-out none --seed K` is
the same recipe on the shipped split, to see how far a seed moves the scores. One threshold, nothing is tuned:
the scores of each run are of all fields of the organ that was left out.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from ablate_nuclei import found_by
from train_nuclei import THIRD

from histome.datasets.fields import Field, load_fields
from histome.datasets.splits import split_fields
from histome.training.nuclei.train import train
from histome.validation.nuclei import rounded, score_field, score_tables

# What is left out -> the data sets of which nothing is learned; of pannuke_figures one organ is left out.
WHOLE_SETS = {"colon": ("consep", "crchistophenotypes"), "monusac": ("monusac",)}
ORGANS = ("Adrenal_gland", "Bile-duct", "Breast", "Esophagus", "Testis")


def parts(fields: Sequence[Field], left_out: str) -> tuple[list[Field], list[Field], list[Field]]:
    """Fields to learn from, to follow the training on, and to score."""
    if left_out in WHOLE_SETS:
        away = [f for f in fields if f.data_set in WHOLE_SETS[left_out]]
        rest = split_fields(f for f in fields if f.data_set not in WHOLE_SETS[left_out])
        return rest.train, rest.tuning[:4], [f for f in away if f.sets.any()]
    if left_out == "none":
        split = split_fields(fields)
        return split.train, split.tuning[:4], split.held_out
    split = split_fields(fields, {"pannuke_figures": [left_out]})
    is_away = [f.data_set == "pannuke_figures" and f.source == left_out for f in fields]
    away = [f for f, out in zip(fields, is_away, strict=True) if out]
    return split.train, [f for f in split.tuning if f.source != left_out][:4], away


def main() -> None:
    """Train without one organ and score it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--second", type=Path, default=Path("runs/out/nuclei/second"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/organs"))
    parser.add_argument("--left-out", choices=("none", *ORGANS, *WHOLE_SETS), default="none")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    name = f"{args.left_out}_{args.seed}"
    fields = [f for data_set in THIRD.mix for f in load_fields(args.data / data_set, data_set)]
    learned, followed, scored = parts(fields, args.left_out)
    recipe = replace(THIRD, steps=args.steps, restarts=(), decay_steps=args.steps // 2, seed=args.seed)
    start = None if args.left_out in WHOLE_SETS else args.second
    net = train(recipe, learned, followed, args.out / name, start=start, every=args.steps)
    scores = score_tables([score_field(found_by(net, field), field) for field in scored])
    about = {"left_out": args.left_out, "seed": args.seed, "steps": args.steps}
    kept = about | {"scores": rounded(scores)}
    (args.out / f"{name}.json").write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
