"""Run the small curriculum of docs/curriculum.md, top to bottom; start it again to resume.

    python runs/train_curriculum.py --out runs/out/curriculum

The same as `histome train curriculum -c runs/curriculum.toml -o runs/out/curriculum`, on one thread.
"""

import argparse
from pathlib import Path

import torch

from histome.training.uperhover.config import CurriculumConfig
from histome.training.uperhover.curriculum import run_curriculum, table


def main() -> None:
    """Read the settings, run the stages, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("curriculum.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/curriculum"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = run_curriculum(CurriculumConfig.from_toml(args.config), args.out)
    for result in results:
        print(result.verdict())
    print(table(results))


if __name__ == "__main__":
    main()
