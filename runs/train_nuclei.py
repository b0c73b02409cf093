"""Train the shipped `nuclei` model from the labelled fields, top to bottom; run again to resume.

    python runs/train_nuclei.py --data ../shared/data --out runs/out/nuclei

Then `python runs/ship_nuclei.py` chooses the thresholds on the tuning sources, scores the held-out ones and
writes the ONNX file and its card.
"""

import argparse
from pathlib import Path

import torch

from histome.training.datasets import load_fields
from histome.training.splits import split_fields
from histome.training.train import Recipe, train

DATA_SETS = ("consep", "monuseg", "tnbc", "monusac", "crchistophenotypes")


def main() -> None:
    """Load, split, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/nuclei"))
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    split = split_fields(field for name in DATA_SETS for field in load_fields(args.data / name, name))
    print({part: len(fields) for part, fields in vars(split).items()}, flush=True)
    train(Recipe(steps=args.steps), split.train, split.tuning, args.out, device=device)


if __name__ == "__main__":
    main()
