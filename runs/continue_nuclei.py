"""Train the shipped `nuclei` model on, with the second delivery of labels; run again to resume.

    python runs/continue_nuclei.py --data ../shared/data --out runs/out/nuclei3
    python runs/continue_nuclei.py --out runs/out/nuclei3 --keep     # on the way: the average so far, in half

Begins with the weights of the shipped model, or with those kept beside this script where the run's folder is
gone. The learning rate falls to 0 before each restart, so the log has a row of a settled network at steps
5,200, 12,000 and 20,000. The split is that of the data sets' declarations: of pannuke_figures, Testis tunes
and Bile-duct is held out. The log so far is nuclei3_log.csv beside this script.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from histome.datasets.fields import Field, load_fields
from histome.datasets.splits import split_fields
from histome.models.card import load_card
from histome.training.checkpoint import CHECKPOINT, load_average, write_average
from histome.training.nuclei.from_onnx import network_of
from histome.training.nuclei.train import Recipe, make_network, train

KEPT = Path(__file__).with_name("nuclei3.safetensors")
MIX = {
    "consep": 0.32,
    "monuseg": 0.17,
    "tnbc": 0.10,
    "monusac": 0.08,
    "crchistophenotypes": 0.06,
    "pannuke_figures": 0.20,
    "nucls15": 0.04,
    "puma_roi094": 0.03,
}
RECIPE = Recipe(steps=20_000, restarts=(5200, 12_000), decay_steps=2200, learning_rate=1e-3, seed=3, mix=MIX)


def keep(out: Path) -> None:
    """Write the averaged network of the run in half precision, and the log, beside this script."""
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in load_average(out).items()
    }
    save_file({name: value.contiguous() for name, value in weights.items()}, KEPT)
    shutil.copy(out / "log.csv", KEPT.with_name("nuclei3_log.csv"))


def begin(start: Path, fields: list[Field]) -> None:
    """Write the network that the run begins with."""
    if KEPT.exists():
        net = make_network(RECIPE)
        net.load_state_dict({name: value.float() for name, value in load_file(KEPT).items()})
    else:
        images = [field.image for field in fields[:: max(1, len(fields) // 64)]]
        net = network_of(load_card("nuclei"), RECIPE, images)
    write_average(net, start)


def main() -> None:
    """Load, split, take up the weights, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/nuclei3"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    if args.keep:
        keep(args.out)
        return
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    split = split_fields(field for name in MIX for field in load_fields(args.data / name, name))
    print({part: len(fields) for part, fields in vars(split).items()}, flush=True)
    if not (args.out / "start" / CHECKPOINT).exists():
        begin(args.out / "start", split.train)
    start = args.out / "start"
    train(RECIPE, split.train, split.tuning, args.out, device=device, start=start, every=400)


if __name__ == "__main__":
    main()
