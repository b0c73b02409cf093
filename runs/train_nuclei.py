"""Train the shipped `nuclei` model from the labeled fields, top to bottom; run again to resume.

    python runs/train_nuclei.py --data ../shared/data --out runs/out/nuclei

First a network with star-convex outlines alone. It labels the nuclei of glas (training/nuclei/pseudo.py), and
the second goes on from its weights with these, the mask and the offsets besides. The third goes on from the
second with three data sets more and without labels that a network made. Then `python runs/ship_nuclei.py`
chooses the thresholds on the tuning sources, scores the held-out ones and writes the ONNX file and its card.

The learning rate falls to 0 before each restart, so the third's log has a row of a settled network at steps
5,200, 12,000 and 20,000. The sources of pannuke_figures are organs: Testis tunes, Bile-duct is held out.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch

from histome.datasets.declared import declaration_of
from histome.datasets.fields import Field, load_fields
from histome.datasets.splits import Split, split_fields
from histome.training.checkpoint import load_average
from histome.training.nuclei.from_labels import read_recipe
from histome.training.nuclei.pseudo import pseudo_fields
from histome.training.nuclei.train import Recipe, make_network, train

MIX = {"consep": 0.38, "monuseg": 0.24, "tnbc": 0.12, "monusac": 0.10, "crchistophenotypes": 0.16}
FIRST = Recipe(steps=7000, restarts=(5200,), decay_steps=1800, mix=MIX, fine_outlines=False)
SECOND = Recipe()
# `histome train nuclei --from nuclei --recipe runs/nuclei.toml` trains on in the same way.
THIRD = read_recipe(Path(__file__).with_name("nuclei.toml"))


def load_split(data: Path, names: Iterable[str] = THIRD.mix) -> Split:
    """The labeled fields, by the sources of datasets/splits.py."""
    return split_fields(field for name in names for field in load_fields(data / name, name))


def pseudo_labeled(data: Path, out: Path) -> list[Field]:
    """The fields of glas labeled by the first network, less the patients that other models are scored on."""
    teacher = make_network(FIRST)
    teacher.load_state_dict(load_average(out / "first"))
    glas = declaration_of("glas")
    unused = {*glas.tuning, *glas.held_out}
    return list(pseudo_fields(teacher.eval(), data / "glas", "glas", unused))


def main() -> None:
    """Load, split, train, label glas, train on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/nuclei"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    split = load_split(args.data, MIX)
    first, second = args.out / "first", args.out / "second"
    train(FIRST, split.train, split.tuning, first, device=device)
    pseudo = pseudo_labeled(args.data, args.out)
    typed = sum(int((field.sets > 0).sum()) for field in pseudo)
    print(f"glas: {typed} typed nuclei in {len(pseudo)} fields", flush=True)
    train(SECOND, split.train + pseudo, split.tuning, second, device=device, start=first)
    split = load_split(args.data)
    train(THIRD, split.train, split.tuning, args.out, device=device, start=second, every=400)


if __name__ == "__main__":
    main()
