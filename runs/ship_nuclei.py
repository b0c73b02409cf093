"""Make the shipped `nuclei` model of a training run: ONNX, thresholds, temperature, card.

    python runs/ship_nuclei.py --data ../shared/data --run runs/out/nuclei

Thresholds and temperature come from the tuning sources. The scores are those of runs/evaluate_nuclei.py: the
held-out sources are only scored, once, through the same code that profiles a slide (reading, windows, network
on the CPU runtime, suppression, ownership).
"""

import argparse
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tomli_w
import torch
from evaluate_nuclei import ZOO, evaluate, find_in_field
from numpy.typing import NDArray
from train_nuclei import SECOND, load_split, pseudo_labelled

from histome.cells.pixels import class_probabilities
from histome.cells.stardist import centroids, paint
from histome.cells.windows import decode_outputs
from histome.config import CELL_CLASSES
from histome.models.card import Card, Thresholds, load_card
from histome.models.runtime import Network
from histome.training.datasets import IMAGE_MPP, Field
from histome.training.networks import StardistExport, export_onnx
from histome.training.splits import sources
from histome.training.train import Recipe, Sampler, load_average, make_network
from histome.validation.matching import detection_counts, instance_scores, match_centers
from histome.validation.nuclei import rounded

COVERAGE = 0.9
LICENSES = {
    "consep": "research use, cite Graham et al. 2019 (HoVer-Net)",
    "monuseg": "CC BY-NC-SA 4.0",
    "tnbc": "CC BY 4.0 (Naylor et al. 2018)",
    "monusac": "CC BY-NC-SA 4.0",
    "crchistophenotypes": "research use (Sirinukunwattana et al. 2016)",
    "glas": "research use (Sirinukunwattana et al. 2017, University of Warwick); pseudo-labels",
}


def base_card(recipe: Recipe, sha256: str) -> dict:
    """What the card says before anything is measured."""
    return {
        "name": "nuclei",
        "version": "2",
        "task": "stardist",
        "description": "Star-convex nuclei with nine cell types from H&E at 0.5 um/px",
        "license": "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS",
        "classes": list(CELL_CLASSES),
        "mpp": IMAGE_MPP,
        "window_px": 1024,
        "halo_px": 64,
        "stride": 2,
        "n_rays": 32,
        "sha256": sha256,
        "training_data": [{"name": name, "license": text} for name, text in LICENSES.items()],
        "limits": [
            "never saw: brain, skin, lymph node, soft tissue, pancreas, cytology, frozen sections",
            "plasma cells have no label of their own; granulocytes, macrophages, endothelial cells have few",
        ],
        "training": {
            "widths": list(recipe.widths),
            "steps": recipe.steps,
            "batch": recipe.batch,
            "seed": recipe.seed,
        },
    }


def export(run: Path, recipe: Recipe, shift: NDArray[np.float64] | None = None) -> str:
    """Write the averaged network as ONNX into the zoo, class logits moved by `shift`; returns its sha256."""
    net = make_network(recipe)
    net.load_state_dict(load_average(run))
    if shift is not None:
        net.heads["logits"].bias.data += torch.from_numpy(shift).float()
    ZOO.mkdir(parents=True, exist_ok=True)
    export_onnx(StardistExport(net.eval()), str(ZOO / "model.onnx"), 1024, StardistExport.outputs)
    return hashlib.sha256((ZOO / "model.onnx").read_bytes()).hexdigest()


def write_card(card: dict) -> None:
    """Write card.toml."""
    (ZOO / "card.toml").write_text(tomli_w.dumps(card), encoding="utf-8")


def run_network(network: Network, field: Field) -> dict[str, NDArray[np.float32]]:
    """Network outputs of one field: all here fit one window, which is white besides."""
    window = np.full((1, 1024, 1024, 3), 255, np.uint8)
    h, w = field.image.shape[:2]
    window[0, :h, :w] = field.image
    return network(window)


def choose_thresholds(card: Card, outputs: Sequence[tuple[Field, dict]]) -> dict[str, float]:
    """Probability and overlap thresholds with the best mean of detection F1 and AJI over the tuning sets."""
    best, chosen = 0.0, {}
    for nms in (0.2, 0.3, 0.4, 0.5):
        for prob in np.arange(0.1, 0.66, 0.05).round(2):
            tried = card.model_copy(update={"thresholds": Thresholds(prob=prob, nms=nms)})
            scores: dict[str, list[float]] = {}
            for field, out in outputs:
                if field.shapes:
                    found_um = decode_outputs(tried, out).outlines * IMAGE_MPP
                    counts = detection_counts(field.points_px * field.label_mpp, centroids(found_um))
                    painted = paint(found_um / field.label_mpp, field.labels.shape)
                    aji = instance_scores(field.labels, painted).aji
                    scores.setdefault(field.data_set, []).append((counts.f1 + aji) / 2)
            score = float(np.mean([np.mean(of_set) for of_set in scores.values()]))
            if score > best:
                best, chosen = score, {"prob": float(prob), "nms": float(nms)}
    print("tuning: thresholds", chosen, "mean of F1 and AJI", round(best, 4), flush=True)
    return chosen


def loss_tilt(fields: Sequence[Field], recipe: Recipe) -> NDArray[np.float64]:
    """How far training moved each class' logit: the log of its own label's loss weight, 0 where it has none.

    Rare labels weigh more in training so that they are learned at all; on tissue that training never saw this
    makes everything a macrophage.
    """
    weight = Sampler(fields, recipe).set_weight[[1 << k for k in range(len(CELL_CLASSES))]]
    return np.log(np.where(weight > 0, weight, 1.0)).astype(np.float64)


def calibrate(
    card: Card, outputs: Sequence[tuple[Field, dict]], tilt: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Share of the tilt to take back and temperature (least log-loss), confidence that `COVERAGE` reach."""
    logits, masks, everything = [], [], []
    for field, out in outputs:
        found = decode_outputs(card, out)
        everything.append(found.logits)
        found_um = centroids(found.outlines) * IMAGE_MPP
        pairs = match_centers(field.points_px * field.label_mpp, found_um)
        sets = field.sets[1:][pairs[:, 0]]
        logits.append(found.logits[pairs[sets > 0, 1]])
        masks.append((sets[sets > 0, None] >> np.arange(len(CELL_CLASSES))) & 1)
    x, member = np.concatenate(logits).astype(float), np.concatenate(masks).astype(bool)

    def loss(share: float, temperature: float) -> float:
        p = class_probabilities(x - share * tilt, temperature)
        return -float(np.log(np.maximum((p * member).sum(1), 1e-12)).mean())

    grid = [(s, t) for s in np.arange(0, 1.01, 0.1).round(1) for t in np.arange(0.4, 2.01, 0.02).round(2)]
    share, temperature = min(grid, key=lambda point: loss(*point))
    confidence = class_probabilities(np.concatenate(everything) - share * tilt, temperature).max(1)
    print("tuning: tilt taken back", share, "temperature", temperature, "typed nuclei", len(x))
    print("tuning: log-loss", loss(0.0, 1.0), "->", loss(share, temperature), flush=True)
    return float(share), float(temperature), round(float(np.quantile(confidence, 1 - COVERAGE)), 3)


def stain_range(fields: Sequence[Field], data: Path, network: Network) -> dict[str, list[float]]:
    """Smallest and largest mean of each stain column over the fields that trained the outlines."""
    columns = ("hematoxylin_od_mean", "hematoxylin_od_sd", "eosin_od_mean")
    tables = [find_in_field(field, data, network) for field in fields if field.shapes]
    means = [[np.nanmean(table[name].to_numpy()) for name in columns] for table in tables if len(table) > 20]
    low, high = np.min(means, axis=0), np.max(means, axis=0)
    return {
        name: [round(a, 4), round(b, 4)]
        for name, a, b in zip(columns, low.tolist(), high.tolist(), strict=True)
    }


def label_marks(fields: Sequence[Field]) -> dict[str, str]:
    """How each class was learned: from n nuclei labelled as it alone, or as a member of wider groups."""
    sets = np.concatenate([field.sets[1:] for field in fields])
    alone = {name: int((sets == 1 << k).sum()) for k, name in enumerate(CELL_CLASSES)}
    return {name: f"direct, n = {n}" if n else "indirect" for name, n in alone.items()}


def main() -> None:
    """Export, tune, write the card, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/nuclei"))
    args = parser.parse_args()
    split = load_split(args.data)
    taught = pseudo_labelled(args.data, args.run)
    recipe = SECOND
    card = base_card(recipe, export(args.run, recipe))
    write_card(card)
    network = Network(load_card(ZOO), precision="f32", backend="openvino")
    outputs = [(field, run_network(network, field)) for field in split.tuning]
    card["thresholds"] = choose_thresholds(network.card, outputs)
    write_card(card)
    tilt = loss_tilt(split.train + taught, recipe)
    share, card["temperature"], card["thresholds"]["abstain"] = calibrate(load_card(ZOO), outputs, tilt)
    card["sha256"] = export(args.run, recipe, -share * tilt)
    card["training"]["tilt_taken_back"] = share
    card["training"] |= {"tuning_sources": sources(split.tuning), "held_out_sources": sources(split.held_out)}
    card["training"]["pseudo_labels"] = {"glas": int(sum((field.sets > 0).sum() for field in taught))}
    write_card(card)
    network = Network(load_card(ZOO), precision="f32", backend="openvino")
    card["training"]["labels"] = label_marks(split.train)
    card["training"]["stain"] = stain_range(split.train, args.data, network)
    write_card(card)
    logs = (args.run / "first" / "log.csv", args.run / "log.csv")
    shutil.copy(logs[0], ZOO / "training_log_first.csv")
    shutil.copy(logs[1], ZOO / "training_log.csv")
    card["scores"] = rounded(evaluate(args.data))
    write_card(card)
    for name, table in card["scores"]["held_out"].items():
        print(name, table)


if __name__ == "__main__":
    main()
