"""Make the shipped `nuclei` model of a training run: ONNX, thresholds, temperature, scores, card.

    python runs/ship_nuclei.py --data ../shared/data --run runs/out/nuclei

Thresholds and temperature come from the tuning sources; the held-out sources are only scored, once, through
the same code that profiles a slide (reading, windows, network on the CPU runtime, suppression, ownership).
"""

import argparse
import csv
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import tomli_w
import torch
from numpy.typing import NDArray

from histome.cells import find_cells
from histome.cells.pixels import class_probabilities, mean_logits
from histome.cells.stardist import centroids, decode, polygons
from histome.config import CELL_CLASSES, TISSUE_CLASSES, CellsConfig
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.slide import ClassMap, open_slide
from histome.training.datasets import IMAGE_MPP, Field, load_fields, read_rows
from histome.training.networks import StardistExport, export_onnx
from histome.training.splits import sources, split_fields
from histome.training.train import Recipe, Sampler, make_network
from histome.validation.matching import Counts, detection_counts, match_centers
from histome.validation.nuclei import FieldScore, found_from_table, score_field, summarize

DATA_SETS = ("consep", "monuseg", "tnbc", "monusac", "crchistophenotypes")
ZOO = Path(__file__).parents[1] / "src/histome/models/zoo/nuclei"
COVERAGE = 0.9
LICENSES = {
    "consep": "research use, cite Graham et al. 2019 (HoVer-Net)",
    "monuseg": "CC BY-NC-SA 4.0",
    "tnbc": "CC BY 4.0 (Naylor et al. 2018)",
    "monusac": "CC BY-NC-SA 4.0",
    "crchistophenotypes": "research use (Sirinukunwattana et al. 2016)",
}


def base_card(recipe: Recipe, sha256: str) -> dict:
    """What the card says before anything is measured."""
    return {
        "name": "nuclei",
        "version": "1",
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
        "training_data": [{"name": name, "license": LICENSES[name]} for name in DATA_SETS],
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
    state = torch.load(run / "checkpoint.pt", weights_only=True, map_location="cpu")["average"]
    net = make_network(recipe)
    net.load_state_dict(
        {name.removeprefix("module."): v for name, v in state.items() if name != "n_averaged"}
    )
    if shift is not None:
        net.heads["logits"].bias.data += torch.from_numpy(shift).float()
    ZOO.mkdir(parents=True, exist_ok=True)
    export_onnx(StardistExport(net.eval()), str(ZOO / "model.onnx"), 1024, ["prob", "dist", "logits"])
    return hashlib.sha256((ZOO / "model.onnx").read_bytes()).hexdigest()


def write_card(card: dict) -> None:
    """Write card.toml."""
    (ZOO / "card.toml").write_text(tomli_w.dumps(card), encoding="utf-8")


def run_network(network: Network, field: Field) -> dict[str, NDArray[np.float32]]:
    """Network outputs of one field (all here fit one window), without the batch axis."""
    window = np.full((1, 1024, 1024, 3), 255, np.uint8)
    h, w = field.image.shape[:2]
    window[0, :h, :w] = field.image
    return {name: out[0, ..., : -(-h // 2), : -(-w // 2)] for name, out in network(window).items()}


def choose_thresholds(outputs: Sequence[tuple[Field, dict]]) -> dict[str, float]:
    """Probability and overlap thresholds with the best mean detection F1 over the tuning data sets."""
    best, chosen = 0.0, {}
    for nms in (0.2, 0.3, 0.4, 0.5):
        for prob in np.arange(0.1, 0.66, 0.05).round(2):
            counts: dict[str, Counts] = {}
            for field, out in outputs:
                if field.shapes:
                    centers, _, rays, _ = decode(
                        out["prob"][0], out["dist"], prob_threshold=prob, nms_threshold=nms
                    )
                    found_um = centroids(polygons(centers, rays)) * IMAGE_MPP
                    new = detection_counts(field.points_px * field.label_mpp, found_um)
                    counts[field.data_set] = counts.get(field.data_set, Counts(0, 0, 0)) + new
            score = float(np.mean([c.f1 for c in counts.values()]))
            if score > best:
                best, chosen = score, {"prob": float(prob), "nms": float(nms)}
    print("tuning: thresholds", chosen, "mean F1", round(best, 4), flush=True)
    return chosen


def loss_tilt(fields: Sequence[Field], recipe: Recipe) -> NDArray[np.float64]:
    """How far training moved each class' logit: the log of its own label's loss weight, 0 where it has none.

    Rare labels weigh more in training so that they are learned at all; on tissue that training never saw this
    makes everything a macrophage.
    """
    weight = Sampler(fields, recipe).set_weight[[1 << k for k in range(len(CELL_CLASSES))]]
    return np.log(np.where(weight > 0, weight, 1.0)).astype(np.float64)


def calibrate(
    outputs: Sequence[tuple[Field, dict]], thresholds: dict[str, float], tilt: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Share of the tilt to take back and temperature (least log-loss), confidence that `COVERAGE` reach."""
    logits, masks, everything = [], [], []
    for field, out in outputs:
        centers, _, rays, labels = decode(
            out["prob"][0], out["dist"], prob_threshold=thresholds["prob"], nms_threshold=thresholds["nms"]
        )
        mine = mean_logits(out["logits"], labels, centers)
        everything.append(mine)
        found_um = centroids(polygons(centers, rays)) * IMAGE_MPP
        pairs = match_centers(field.points_px * field.label_mpp, found_um)
        sets = field.sets[1:][pairs[:, 0]]
        logits.append(mine[pairs[sets > 0, 1]])
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


class Everywhere(NamedTuple):
    """A tissue map that lets nuclei be found everywhere on a field."""

    map: ClassMap

    @classmethod
    def over(cls, extent_um: tuple[float, float]) -> Self:
        """All stroma, at 2 um/px."""
        shape = int(extent_um[1] / 2) + 1, int(extent_um[0] / 2) + 1
        return cls(
            ClassMap(np.full(shape, TISSUE_CLASSES.index("STROMA") + 1, np.uint8), 2.0, TISSUE_CLASSES)
        )


def find(field: Field, data: Path, network: Network) -> pa.Table:
    """The cells of one field, through the code that profiles a slide."""
    rows = read_rows(data / field.data_set / "images.csv")
    file = next(row["file"] for row in rows if row["image"] == field.name)
    with open_slide(data / field.data_set / file, mpp=field.label_mpp) as slide:
        return find_cells(slide, Everywhere.over(slide.extent_um), network, CellsConfig())


def stain_range(fields: Sequence[Field], data: Path, network: Network) -> dict[str, list[float]]:
    """Smallest and largest mean of each stain column over the fields that trained the outlines."""
    columns = ("hematoxylin_od_mean", "hematoxylin_od_sd", "eosin_od_mean")
    tables = [find(field, data, network) for field in fields if field.shapes]
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


def score(fields: Sequence[Field], data: Path, network: Network) -> list[FieldScore]:
    """Score fields through the code that profiles a slide."""
    return [score_field(found_from_table(find(f, data, network), f.label_mpp), f) for f in fields]


def score_tables(scores: Sequence[FieldScore]) -> dict:
    """Figures of each data set as the card holds them, with the number of fields and true nuclei."""
    rng = np.random.default_rng(0)
    tables = {}
    for name in DATA_SETS:
        mine = [s for s in scores if s.data_set == name]
        if not mine:
            continue
        figures = {figure: e.as_dict() for figure, e in summarize(mine, rng).items()}
        if (
            name == "monusac"
        ):  # nuclei of other types are not labelled there: what is found beside is not false
            del figures["detection_f1"]
            figures = {figure: e for figure, e in figures.items() if not figure.startswith("f_c")}
        nuclei = int(sum(s.detection[0] + s.detection[2] for s in mine))
        tables[name] = {
            "fields": len(mine),
            "sources": len({s.source for s in mine}),
            "nuclei": nuclei,
            **figures,
        }
    return tables


def main() -> None:
    """Export, tune, score, write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/nuclei"))
    args = parser.parse_args()
    split = split_fields(field for name in DATA_SETS for field in load_fields(args.data / name, name))
    with (args.run / "log.csv").open(encoding="utf-8") as log:
        recipe = Recipe(steps=int(list(csv.DictReader(log))[-1]["step"]))
    card = base_card(recipe, export(args.run, recipe))
    write_card(card)
    network = Network(load_card(ZOO))
    outputs = [(field, run_network(network, field)) for field in split.tuning]
    card["thresholds"] = choose_thresholds(outputs)
    tilt = loss_tilt(split.train, recipe)
    share, card["temperature"], card["thresholds"]["abstain"] = calibrate(outputs, card["thresholds"], tilt)
    card["sha256"] = export(args.run, recipe, -share * tilt)
    card["training"]["tilt_taken_back"] = share
    card["training"] |= {"tuning_sources": sources(split.tuning), "held_out_sources": sources(split.held_out)}
    write_card(card)
    network = Network(load_card(ZOO))
    card["training"] |= {
        "labels": label_marks(split.train),
        "stain": stain_range(split.train, args.data, network),
    }
    card["scores"] = {
        "held_out": score_tables(score(split.held_out, args.data, network)),
        "tuning": score_tables(score(split.tuning, args.data, network)),
        "interval": "95 % percentile bootstrap over sources (fields when < 5)",
        "note": "thresholds, temperature and tilt were chosen on the tuning sources: those figures flatter",
    }
    write_card(card)
    shutil.copy(args.run / "log.csv", ZOO / "training_log.csv")
    for name, table in card["scores"]["held_out"].items():
        print(name, table)


if __name__ == "__main__":
    main()
