"""Encoder x um/px x stain normalization: what the linear probe still tells, one table.

    python runs/compare_shown.py color-histogram imagenet-efficientnet-lite0 --out runs/out/shown

Of the task "tissue type" of runs/encoder_tasks.toml, whose tiles come from two collections: balanced accuracy
in folds by group with its interval, and robustness index.
"""

import argparse
from pathlib import Path

from histome.embedding.compare import Comparison, compare_encoders
from histome.embedding.tasks import read_tasks

MPPS, STAINS = (0.5, 1.0), ("none", "macenko", "reinhard")


def main() -> None:
    """Compare under each way of showing the tiles, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoders", nargs="+", help="NAME or NAME=WEIGHTS")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--task", default="tissue type")
    parser.add_argument("--out", type=Path, default=Path("runs/out/shown"))
    args = parser.parse_args()
    tasks = [
        task.model_copy(update={"stain": False})
        for task in read_tasks(Path(__file__).parent / "encoder_tasks.toml")
        if task.name == args.task
    ]
    pairs = [(text.partition("=")[0], Path(text.partition("=")[2] or ".")) for text in args.encoders]
    encoders = [(name, None if path == Path() else path) for name, path in pairs]
    print("| encoder | um/px | stain | linear probe | RI |\n|---|---|---|---|---|", flush=True)
    for mpp in MPPS:
        for stain in STAINS:
            asked = Comparison(encoders, tasks, args.data, stain=stain, cost=False, at_mpp=mpp)
            for one in compare_encoders(asked, args.out):
                linear, robust = one.tasks[0].scores["linear"], one.tasks[0].robustness
                ri = "-" if robust is None or robust.ri is None else f"{robust.ri:.3f}"
                interval = f"{linear.value:.3f} [{linear.low:.3f}, {linear.high:.3f}]"
                print(f"| {one.encoder} | {mpp} | {stain} | {interval} | {ri} |", flush=True)


if __name__ == "__main__":
    main()
