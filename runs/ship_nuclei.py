"""Make the shipped `nuclei` model of a training run: ONNX, thresholds, temperature, card.

    python runs/ship_nuclei.py --data ../shared/data --run runs/out/nuclei

Thresholds and temperature come from the tuning sources. The scores are those of runs/evaluate_nuclei.py: the
held-out sources are only scored, once, through the same code that profiles a slide (reading, windows, network
on the CPU runtime, suppression, ownership).
"""

import argparse
import shutil
from pathlib import Path

import tomli_w
from evaluate_nuclei import ZOO, evaluate, find_in_field
from train_nuclei import FIRST, SECOND, load_split, pseudo_labeled

from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP
from histome.datasets.splits import sources
from histome.models.card import load_card
from histome.models.reference import reference_window, summarize
from histome.models.runtime import Network
from histome.training.nuclei.calibrate import (
    calibrate,
    choose_thresholds,
    export_nuclei,
    label_marks,
    loss_tilt,
    move_logits,
    run_network,
    stain_range,
)
from histome.training.nuclei.train import Recipe, load_average, make_network
from histome.validation.nuclei import rounded

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
            "scored on scans of 0.25 to 0.7 um/px; at 1 um/px it misses most nuclei (seen on lung)",
        ],
        "training": {
            "widths": list(recipe.widths),
            "steps": recipe.steps,
            "started_from": f"a first network of {FIRST.steps} steps (training_log_first.csv)",
            "batch": recipe.batch,
            "seed": recipe.seed,
        },
    }


def export(run: Path, recipe: Recipe) -> str:
    """Write the averaged network as ONNX into the zoo; returns its sha256."""
    net = make_network(recipe)
    net.load_state_dict(load_average(run))
    return export_nuclei(net, ZOO / "model.onnx")


def write_card(card: dict) -> None:
    """Write card.toml."""
    (ZOO / "card.toml").write_text(tomli_w.dumps(card), encoding="utf-8")


def main() -> None:
    """Export, tune, write the card, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/nuclei"))
    args = parser.parse_args()
    split = load_split(args.data)
    taught = pseudo_labeled(args.data, args.run)
    recipe = SECOND
    card = base_card(recipe, export(args.run, recipe))
    write_card(card)
    network = Network(load_card(ZOO), precision="f32", backend="openvino")
    outputs = [(field, run_network(network, field)) for field in split.tuning]
    card["thresholds"] = choose_thresholds(network.card, outputs)
    write_card(card)
    tilt = loss_tilt(split.train + taught, recipe)
    share, card["temperature"], card["thresholds"]["abstain"] = calibrate(load_card(ZOO), outputs, tilt)
    card["sha256"] = move_logits(ZOO / "model.onnx", -share * tilt)
    card["training"]["tilt_taken_back"] = share
    card["training"] |= {"tuning_sources": sources(split.tuning), "held_out_sources": sources(split.held_out)}
    card["training"]["pseudo_labels"] = {"glas": int(sum((field.sets > 0).sum() for field in taught))}
    write_card(card)
    network = Network(load_card(ZOO), precision="f32", backend="openvino")
    card["training"]["labels"] = label_marks(split.train)
    outlined = [field for field in split.train if field.shapes]
    card["training"]["stain"] = stain_range([find_in_field(f, args.data, network)[0] for f in outlined])
    card["reference"] = {k: list(v) for k, v in summarize(network(reference_window(network.card))).items()}
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
