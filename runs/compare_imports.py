"""Is an imported model the same, and how much faster? histome's importers against the packages themselves.

    python -m venv peers && peers/bin/pip install stardist tensorflow-cpu
    python runs/compare_imports.py stardist --python peers/bin/python --data ../shared/data

The package builds its network with random weights of a fixed seed and writes it as it does its models; it is
imported as docs/imported-models.md says. Then both get the same pixels, real fields, and what their networks
give is compared, in 32-bit floats. Random weights find no nuclei: so the package also draws the outputs that
its network would learn from labeled instances, noise is added, and both turn these into nuclei. Last both are
timed in turns on the same pixels and the same heads. runs/peers/of_KIND.py is the package's side of a kind.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from histome.classes import CELL_CLASSES
from histome.models.card import Card
from histome.models.importers import import_model
from histome.models.importers.classes import ForeignClasses
from histome.validation.matching import instance_scores, shared_pixels

PEERS = Path(__file__).parent / "peers"
# The fields whose instances are drawn; the first gives the pixels too.
FIELDS = ("consep/consep_train_1", "consep/consep_train_2", "consep/consep_train_3")


@dataclass(frozen=True)
class Kind:
    """What is compared of a kind: the packages by name, the classes of the model that is made."""

    packages: tuple[str, ...]
    classes: int


KINDS = {
    "stardist": Kind(("stardist", "csbdeep", "tensorflow-cpu"), 5),
    "cellvit": Kind(("cellvit", "torch"), 5),
    "instanseg": Kind(("instanseg-torch", "torch"), 1),
    "cellpose": Kind(("cellpose", "segment-anything", "torch"), 1),
    "hovernext": Kind(("timm", "segmentation-models-pytorch", "scikit-image", "torch"), 5),
    "hovernet": Kind(("tiatoolbox", "torch"), 5),
    "histoplus": Kind(("timm", "xformers", "cellvit", "torch"), 5),
}


class Side:
    """A process that does as it is told; see runs/peers/serve.py."""

    def __init__(self, python: str, script: str) -> None:
        command = [python, str(PEERS / script)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, name: str, folder: Path) -> dict[str, Any]:
        """Have a function done for a folder; its time, its memory and what it says."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{name} {folder}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def foreign(n: int) -> ForeignClasses:
    """Classes of a made model: the first of ours, each by itself."""
    return ForeignClasses(classes=tuple(f"type {k + 1}" for k in range(n)), cells=CELL_CLASSES[:n])


def lay_out(work: Path, data: Path, classes: int, rng: np.random.Generator) -> list[Path]:
    """Write a folder a field with its instances and a type of each; returns the folders."""
    folders = []
    for name in FIELDS:
        set_, image = name.split("/")
        folder = work / image
        folder.mkdir(parents=True, exist_ok=True)
        labels = np.array(Image.open(data / set_ / "instances" / f"{image}.png")).astype(np.int32)
        types = rng.integers(1, classes + 1, labels.max() + 1)
        types[0] = 0
        np.save(folder / "truth.npy", labels)
        np.save(folder / "types.npy", types)
        folders.append(folder)
    return folders


def pixels(data: Path, side: int) -> np.ndarray:
    """A real field, mirrored up to a side."""
    set_, image = FIELDS[0].split("/")
    path = next((data / set_ / "images").glob(f"{image}.*"))
    rgb = np.array(Image.open(path).convert("RGB"))
    rims = [(0, max(0, side - length)) for length in rgb.shape[:2]]
    return np.ascontiguousarray(np.pad(rgb, [*rims, (0, 0)], mode="symmetric")[:side, :side])


def differences(model: Path) -> dict[str, float]:
    """Largest difference of each output."""
    ours, theirs = np.load(model / "ours.npz"), np.load(model / "theirs.npz")
    return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in theirs}


def inside(labels: np.ndarray) -> np.ndarray:
    """A label map without the nuclei that touch the border of the image."""
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.where(np.isin(labels, touching), 0, labels)


def agreement(folder: Path, card: Card) -> dict[str, float]:
    """Nuclei of both, PQ of ours against theirs, and the share of matched ones that are of one type."""
    ours, theirs = np.load(folder / "ours.npz"), np.load(folder / "found.npz")
    mine, other = ours["labels"], theirs["labels"]
    scores = instance_scores(other, mine)
    shared = shared_pixels(other, mine)[1:, 1:]
    same = shared.argmax(1)
    union = shared.sum(1) + shared.sum(0)[same] - shared.max(1)
    matched = shared.max(1) > 0.5 * np.maximum(union, 1)
    types = ours["logits"].argmax(1)[same[matched]]
    named = [CELL_CLASSES.index(card.cell_classes[k - 1]) for k in theirs["types"][matched]]
    return {
        "theirs": int(other.max()),
        "ours": int(mine.max()),
        "pq": round(scores.pq, 4),
        "pq_inside": round(instance_scores(inside(other), inside(mine)).pq, 4),
        "type": round(float(np.mean(types == named)), 4),
    }


def in_turns(theirs: Side, ours: Side, name: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Both do the same, one after the other: seconds on the wall and of the processor, the best of each."""
    took = {"theirs": [], "ours": []}
    for _ in range(rounds):
        for who, side in (("theirs", theirs), ("ours", ours)):
            took[who].append(side(name, folder))
    ratios = [a["wall_s"] / b["wall_s"] for a, b in zip(took["theirs"], took["ours"], strict=True)]
    best = {
        f"{who}_{what}": round(min(each[what] for each in all_), 3)
        for who, all_ in took.items()
        for what in ("wall_s", "cpu_s")
    }
    peak = {f"{who}_peak_mb": round(all_[-1]["peak_mb"]) for who, all_ in took.items()}
    return best | peak | {"wall_ratios": [round(r, 2) for r in ratios]}


def compare(kind: str, python: str, data: Path, work: Path, *, rounds: int, large_px: int) -> dict[str, Any]:
    """All of it for one kind."""
    about, model = KINDS[kind], work / "model"
    model.mkdir(parents=True)
    theirs, ours = Side(python, f"of_{kind}.py"), Side(sys.executable, "ours.py")
    theirs("make", model)
    classes = foreign(about.classes)
    card = import_model(kind, model / "weights", model / "ours", classes=classes, license_="made")
    np.save(model / "image.npy", pixels(data, card.window_px))
    np.save(model / "large.npy", pixels(data, large_px))
    theirs("exact", model)
    ours("exact", model)
    found = {"differences": differences(model), "nuclei": {}}
    fields = lay_out(work, data, about.classes, np.random.default_rng(2))
    for folder in fields:
        theirs("draw", folder)
        theirs("decode", folder)
        ours("decode", folder)
        found["nuclei"][folder.name] = agreement(folder, card)
    found["decode"] = in_turns(theirs, ours, "decode", fields[0], rounds)
    if large_px:
        found["network"] = in_turns(theirs, ours, "network", model, rounds)
    return found | {"versions": versions(python, about.packages)}


def versions(python: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Of the packages, as they are installed there."""
    code = f"import importlib.metadata as m; print(*(m.version(p) for p in {packages!r}))"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return dict(zip(packages, told.stdout.split(), strict=True))


def main() -> None:
    """Compare a kind and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=tuple(KINDS))
    parser.add_argument("--python", required=True, help="of the environment that has the package")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/imports"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large-px", type=int, default=2560, help="timed on; 0: networks are not timed")
    args = parser.parse_args()
    work = (args.out / args.kind).resolve()
    found = compare(args.kind, args.python, args.data, work, rounds=args.rounds, large_px=args.large_px)
    (work / "found.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
