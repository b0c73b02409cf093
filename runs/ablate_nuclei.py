"""What do pseudo-labels and partial labels buy? The first network goes on with each choice of data.

    python runs/ablate_nuclei.py --run runs/out/nuclei --variant all --seed 1

Every variant starts from the same weights (the first network, which never saw glas), with the same recipe and
seed but for its data, and is scored on the held-out sources at one threshold: it was run after the shipped
model was fixed, and nothing is chosen by it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from train_nuclei import FIRST, MIX, SECOND, load_split, pseudo_labeled

from histome.datasets.fields import IMAGE_MPP, Field
from histome.geometry.polygons import centroids
from histome.training.nuclei.pseudo import star_nuclei
from histome.training.nuclei.train import train
from histome.validation.nuclei import score_field, score_tables
from histome.validation.scores import Found

# Data sets that each variant leaves out: glas has pseudo-labels, the others partial ones.
VARIANTS = {
    "all": (),
    "no pseudo-labels": ("glas",),
    "no partial labels": ("glas", "monusac", "crchistophenotypes"),
}


def found_by(net: torch.nn.Module, field: Field) -> Found:
    """Star-convex nuclei of one field."""
    nuclei = star_nuclei(net, field.image)
    outlines_um, p = nuclei.outlines * IMAGE_MPP, nuclei.probabilities.astype(np.float32)
    return Found(centroids(outlines_um), outlines_um, p, np.zeros(len(p), bool))


def table(net: torch.nn.Module, fields: Sequence[Field]) -> None:
    """Print detection and type figures of each data set."""
    scores = [score_field(found_by(net, field), field) for field in fields]
    for name, figures in score_tables(scores).items():
        shown = [f for f in ("detection_f1", "macro_f1_matched", "f_c_epithelial") if f in figures]
        shown += [f for f in figures if f.startswith("malignant")]
        print(
            name, {f: (figures[f]["value"], figures[f]["low"], figures[f]["high"]) for f in shown}, flush=True
        )


def main() -> None:
    """Train one variant and score it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/nuclei"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/ablation"))
    parser.add_argument("--variant", choices=VARIANTS, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    split, dropped = load_split(args.data, MIX), VARIANTS[args.variant]
    fields = [*split.train, *pseudo_labeled(args.data, ["glas"], FIRST, args.run / "first")]
    recipe = replace(SECOND, steps=args.steps, restarts=(), decay_steps=args.steps // 2, seed=args.seed)
    folder = args.out / f"{args.variant.replace(' ', '-')}_{args.seed}"
    kept = [field for field in fields if field.data_set not in dropped]
    net = train(recipe, kept, split.tuning, folder, start=args.run / "first")
    print(args.variant, "seed", args.seed)
    table(net, split.held_out)


if __name__ == "__main__":
    main()
