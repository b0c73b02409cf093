"""Does the nuclei model know what it does not know? Prints the two tables of docs/models.md.

    python runs/evaluate_familiarity.py --data ../shared/data --model nuclei
    python runs/evaluate_familiarity.py --data ../shared/data --model FOLDER --part tuning --fit

Nothing is chosen here: the limit is the card's. `--fit` writes what is familiar into the card of a model
that was shipped without it, from training and tuning fields alone, as training/nuclei/ship.py does.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from train_nuclei import load_split

from histome.cells import find_cells
from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP, Field, read_image, read_rows
from histome.datasets.labelsets import EPITHELIAL, LEUKOCYTES
from histome.models.card import load_card, write_card
from histome.models.runtime import Network
from histome.slide import open_slide
from histome.slide.plain import array_slide
from histome.training.nuclei.familiarity import fit_familiarity
from histome.validation.confidence import coverage_curve
from histome.validation.matching import match_centers
from histome.validation.nuclei import group_of_sets
from histome.validation.scores import merged_probabilities
from histome.validation.staining import CONDITIONS, brown_for_eosin, restain

Image = NDArray[np.uint8]
# What the labels of all data sets tell apart.
GROUPS = {
    "epithelial": EPITHELIAL,
    "immune": LEUKOCYTES,
    "stromal": ("fibroblast", "endothelial_cell", "other"),
}
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
CHANGES: dict[str, Callable[[Image], Image]] = {
    "as scanned": lambda image: image,
    "both stains x 0.7": lambda image: restain(image, CONDITIONS["low_intensity"]),
    "both stains x 1.35": lambda image: restain(image, CONDITIONS["high_intensity"]),
    "DAB for eosin": brown_for_eosin,
    "red and blue exchanged": lambda image: np.ascontiguousarray(image[..., ::-1]),
}
# Folder, um/px (assumed where it is not known), what it shows, the most fields.
UNLABELED = (
    ("dsb2018_purple", 0.5, "mixed, brain among them; purple", 40),
    ("osteosarcoma", 1.0, "bone, sarcoma", 10),
    ("ocdc10", 0.5, "oral cavity", 10),
    ("camelyon32", 1.0, "lymph node", 10),
)


class Looked(NamedTuple):
    """What was said of the cells of one field: the table, and of the matched ones true and given group."""

    cells: pa.Table
    true: NDArray[np.int64]
    guess: NDArray[np.int64]
    rows: NDArray[np.int64]


def look(image: Image, network: Network, field: Field | None = None) -> Looked:
    """Find the cells of an image, and match them with the labels of its field."""
    cells = find_cells(array_slide(image, IMAGE_MPP, name="field"), None, network)
    none = np.zeros(0, np.int64)
    if field is None or not len(cells):
        return Looked(cells, none, none, none)
    places = np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1)
    pairs = match_centers(field.points_px * field.label_mpp, places)
    true = group_of_sets(field.sets[1:][pairs[:, 0]], GROUPS)
    p = np.stack([cells[f"p_{name}"].to_numpy() for name in CELL_CLASSES], axis=1)[pairs[:, 1]]
    known = true >= 0
    return Looked(cells, true[known], merged_probabilities(p, GROUPS).argmax(1)[known], pairs[known, 1])


def unlabeled(data: Path) -> Iterator[tuple[str, list[Image]]]:
    """Yield name and images of what no model here learned from."""
    with open_slide(data / "slides/CMU-1-Small-Region.svs") as slide:
        height, width = slide.shape_at(IMAGE_MPP)
        yield "skin (CMU-1)", [slide.read(0, 0, size=(width, height), mpp=IMAGE_MPP)]
    for folder, mpp, words, most in UNLABELED:
        rows = read_rows(data / folder / "images.csv")
        rows = rows[:: -(-len(rows) // most)]
        yield f"{folder} ({words})", [read_image(data / folder / row["file"], mpp) for row in rows]


def columns(looked: Sequence[Looked]) -> tuple[NDArray, NDArray]:
    """Return confidence and strangeness of all cells."""
    parts = [(one.cells["confidence"].to_numpy(), one.cells["strangeness"].to_numpy()) for one in looked]
    confidence, strange = (np.concatenate(column).astype(float) for column in zip(*parts, strict=True))
    return confidence, strange


def tell(name: str, looked: Sequence[Looked], limit: float) -> None:
    """Print one row: cells, share that is strange, share left open by confidence alone and now, F1."""
    confidence, strange = columns(looked)
    judged = np.isfinite(strange)
    unfamiliar = 100 * (strange[judged] > 1).mean() if judged.any() else np.nan
    before, after = confidence < limit, (confidence < limit) | (strange > 1)
    true, guess = (np.concatenate([getattr(one, part) for one in looked]) for part in ("true", "guess"))
    curve = coverage_curve(np.ones(len(true)), true, guess, len(GROUPS), (1.0,))
    score = f"{curve[0]['macro_f1']:.3f}" if curve else "-"
    told = [name, len(looked), f"{len(confidence):,}", f"{unfamiliar:.0f} %"]
    told += [f"{100 * before.mean():.0f} %", f"{100 * after.mean():.0f} %", score]
    print("|", " | ".join(map(str, told)), "|", flush=True)


def curves(name: str, looked: Sequence[Looked]) -> None:
    """Print macro F1 at the same coverage: the surest by confidence, and the familiar ones first."""
    true, guess = (np.concatenate([getattr(one, part) for one in looked]) for part in ("true", "guess"))
    confidence, strange = (
        np.concatenate([one.cells[column].to_numpy()[one.rows] for one in looked]).astype(float)
        for column in ("confidence", "strangeness")
    )
    orders = {"confidence": confidence, "confidence, familiar first": confidence - (strange > 1)}
    for words, order in orders.items():
        scores = [row["macro_f1"] for row in coverage_curve(order, true, guess, len(GROUPS), COVERAGES)]
        print("|", name, "|", words, "|", " | ".join(f"{score:.3f}" for score in scores), "|", flush=True)


def main() -> None:
    """Fit if asked to, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--part", choices=("tuning", "held_out"), default="held_out")
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    card, split = load_card(args.model), load_split(args.data)
    if args.fit:
        known = fit_familiarity(split, Network(card, precision="f32"))
        card = card.model_copy(update={"familiarity": known})
        write_card(card, card.weights_path.parent)
    network = Network(load_card(args.model), precision="f32")
    print("| fields | n | cells | unfamiliar | left open before | now | macro F1, 3 groups |\n|" + "---|" * 7)
    labeled: dict[str, list[Looked]] = {}
    for name, change in CHANGES.items():
        fields = [field for field in getattr(split, args.part) if field.sets.any()]
        labeled[name] = [look(change(field.image), network, field) for field in fields]
        tell(f"labeled, {name}", labeled[name], card.thresholds.abstain)
    for name, images in unlabeled(args.data):
        tell(name, [look(image, network) for image in images], card.thresholds.abstain)
    print("| fields | by | " + " | ".join(map(str, COVERAGES)) + " |\n|" + "---|" * (2 + len(COVERAGES)))
    curves("as scanned", labeled["as scanned"])
    curves("all of the labeled", [one for group in labeled.values() for one in group])


if __name__ == "__main__":
    main()
