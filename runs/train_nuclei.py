"""Train the shipped `nuclei` model from the labeled fields, top to bottom; run again to resume.

    python runs/train_nuclei.py --data ../shared/data --out runs/out/nuclei

First a network with star-convex outlines alone. It labels the nuclei of glas (training/nuclei/pseudo.py), and
the second goes on from its weights with these, the mask and the offsets besides. The third goes on from the
second with three data sets more and without labels that a network made; it forgot what benign glands look
like. So the fourth, short, goes on with glas and tiles of colon and lung, their nuclei found by the third and
their epithelium called what people said of the gland or the tile; the fifth goes on with fewer of these.
Last, the fifth part is done once more with all labeled fields, those of the tuning and the held-out sources
too: these weights are shipped, the scores are those of the fifth. `python runs/ship_nuclei.py` chooses the
thresholds on the tuning sources, scores the held-out ones and writes the ONNX files and their cards.

The learning rate falls to 0 before each restart, so the third's log has a row of a settled network at steps
5,200, 12,000 and 20,000. The sources of pannuke_figures are organs: Testis tunes, Bile-duct is held out.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from histome.datasets.fields import Field, load_fields
from histome.datasets.splits import Split, split_fields
from histome.datasets.tissue_fields import load_tissue_fields
from histome.training.checkpoint import load_average
from histome.training.nuclei.from_labels import read_recipe
from histome.training.nuclei.pseudo import pseudo_fields
from histome.training.nuclei.train import Recipe, make_network, train

MIX = {"consep": 0.38, "monuseg": 0.24, "tnbc": 0.12, "monusac": 0.10, "crchistophenotypes": 0.16}
FIRST = Recipe(steps=7000, restarts=(5200,), decay_steps=1800, mix=MIX, fine_outlines=False)
SECOND = Recipe()
# `histome train nuclei --from nuclei --recipe runs/nuclei.toml` trains on in the same way.
THIRD = read_recipe(Path(__file__).with_name("nuclei.toml"))
FOURTH = replace(
    THIRD,
    steps=1600,
    restarts=(),
    decay_steps=700,
    learning_rate=5e-4,
    seed=4,
    mix={name: 0.78 * share for name, share in THIRD.mix.items()}
    | {"glas": 0.12, "nct": 0.05, "lc25000": 0.05},
)
FIFTH = replace(
    FOURTH,
    steps=4000,
    decay_steps=2000,
    learning_rate=8e-4,
    seed=5,
    mix={name: 0.85 * share for name, share in THIRD.mix.items()}
    | {"glas": 0.08, "nct": 0.04, "lc25000": 0.03},
)
PARTS = ("first", "second", "third", "fourth", "fifth", "refit")


def load_split(data: Path, names: Iterable[str] = THIRD.mix) -> Split:
    """The labeled fields, by the sources of datasets/splits.py."""
    return split_fields(field for name in names for field in load_fields(data / name, name))


def pseudo_labeled(
    data: Path, folders: Iterable[str], teacher: Recipe, weights: Path, *, refit: bool = False
) -> list[Field]:
    """The fields of folders labeled by a network, less the sources that other models are scored on.

    With `refit` those too.
    """
    net = make_network(teacher)
    net.load_state_dict(load_average(weights))
    fields = []
    for folder in folders:
        kept = {f.source for f in load_tissue_fields(data, (folder,)) if f.part != "train"}
        fields += pseudo_fields(net.eval(), data / folder, () if refit else kept)
    typed = sum(int((field.sets > 0).sum()) for field in fields)
    print(f"{', '.join(folders)}: {typed} typed nuclei in {len(fields)} fields", flush=True)
    return fields


def main() -> None:
    """Load, split, train, label glas, train on; at last on all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/nuclei"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    split = load_split(args.data, MIX)
    first, second, third, fourth, fifth, refit = (args.out / name for name in PARTS)
    train(FIRST, split.train, split.tuning, first, device=device)
    pseudo = pseudo_labeled(args.data, ["glas"], FIRST, first)
    train(SECOND, split.train + pseudo, split.tuning, second, device=device, start=first)
    split = load_split(args.data)
    train(THIRD, split.train, split.tuning, third, device=device, start=second, every=400)
    pseudo = pseudo_labeled(args.data, ["glas", "tissue_tiles"], THIRD, third)
    train(FOURTH, split.train + pseudo, split.tuning, fourth, device=device, start=third, every=400)
    train(FIFTH, split.train + pseudo, split.tuning, fifth, device=device, start=fourth, every=1000)
    pseudo = pseudo_labeled(args.data, ["glas", "tissue_tiles"], THIRD, third, refit=True)
    fields = split.train + split.tuning + split.held_out + pseudo
    train(FIFTH, fields, split.tuning, refit, device=device, start=fourth, every=1000)


if __name__ == "__main__":
    main()
