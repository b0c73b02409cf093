"""Steps from a trained nuclei network to a model: ONNX, thresholds, logit adjustment, range of the stain.

Everything is chosen on tuning fields, through the network on the CPU runtime and the code that profiles a
slide; no held-out field is looked at here.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from histome.cells.decode import decode_window
from histome.cells.pixels import class_probabilities
from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP, Field
from histome.datasets.published.maps import compact
from histome.geometry.polygons import centroids
from histome.geometry.raster import paint_outlines
from histome.models.card import Card, Thresholds
from histome.models.onnx_export import export_onnx
from histome.models.runtime import Outputs, Predictor, weights_sha256
from histome.training.networks import StardistExport
from histome.training.nuclei.train import Recipe, Sampler
from histome.training.progress import say_now
from histome.validation.matching import detection_counts, instance_scores, match_centers

COVERAGE = 0.9
STAIN_COLUMNS = ("hematoxylin_od_mean", "hematoxylin_od_sd", "eosin_od_mean")


def export_nuclei(net: nn.Module, path: Path, window_px: int = 1024) -> str:
    """Write a nuclei network as ONNX; returns the file's sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(StardistExport(net.eval()), str(path), window_px, StardistExport.outputs)
    return weights_sha256(path)


def move_logits(path: Path, shift: NDArray[np.float64]) -> str:
    """Add `shift` (9,) to the class logits of an exported nuclei network; returns the file's new sha256."""
    model = onnx.load(path)
    (bias,) = (t for t in model.graph.initializer if t.name == "net.heads.logits.bias")
    moved = numpy_helper.to_array(bias) + shift.astype(np.float32)
    bias.CopyFrom(numpy_helper.from_array(moved, bias.name))
    onnx.save(model, path)
    return weights_sha256(path)


def first_window(field: Field, window_px: int) -> Field:
    """The part of a field that one window shows: all of it where it fits."""
    if max(field.image.shape[:2]) <= window_px:
        return field
    side = round(window_px * IMAGE_MPP / field.label_mpp)
    cut = field.labels[:side, :side]
    kept = np.unique(cut)
    kept = kept[kept > 0]
    labels, sets = compact(cut, field.sets.tolist())
    return replace(
        field,
        image=field.image[:window_px, :window_px],
        labels=labels,
        depth=field.depth[:side, :side],
        weight=field.weight[:side, :side],
        sets=sets,
        points_px=field.points_px[kept - 1],
    )


def run_network(network: Predictor, field: Field) -> Outputs:
    """Network outputs of a field that fits one window, which is white besides."""
    side = network.card.window_px
    window = np.full((1, side, side, 3), 255, np.uint8)
    h, w = field.image.shape[:2]
    window[0, :h, :w] = field.image
    return network(window)


def choose_thresholds(card: Card, outputs: Sequence[tuple[Field, Outputs]]) -> dict[str, float]:
    """Probability and overlap thresholds with the best mean of detection F1 and AJI over the data sets.

    Only fields whose every nucleus is labeled are asked; AJI only where outlines are true. Empty where there
    is no such field.
    """
    complete = [(field, out) for field, out in outputs if field.weight.min() > 0]
    best, chosen = 0.0, {}
    for nms in (0.2, 0.3, 0.4, 0.5) if complete else ():
        for prob in np.arange(0.1, 0.66, 0.05).round(2):
            tried = card.model_copy(update={"thresholds": Thresholds(prob=prob, nms=nms)})
            scores: dict[str, list[float]] = {}
            for field, out in complete:
                scores.setdefault(field.data_set, []).append(_quality(tried, field, out))
            score = float(np.mean([np.mean(of_set) for of_set in scores.values()]))
            if score > best:
                best, chosen = score, {"prob": float(prob), "nms": float(nms)}
    say_now(f"tuning: thresholds {chosen}, mean of F1 and AJI {best:.4f}")
    return chosen


def _quality(card: Card, field: Field, out: Outputs) -> float:
    found_um = decode_window(card, out).outlines * IMAGE_MPP
    f1 = detection_counts(field.points_px * field.label_mpp, centroids(found_um)).f1
    if not field.shapes:
        return f1
    painted = paint_outlines(found_um / field.label_mpp, field.labels.shape)
    return (f1 + instance_scores(field.labels, painted).aji) / 2


def class_log_weights(fields: Sequence[Field], recipe: Recipe) -> NDArray[np.float64]:
    """(9,) log of the loss weight of each class' own label, 0 where it has none: how far it moved the logit.

    Rare labels weigh more in training so that they are learned at all; on tissue that training never saw this
    makes everything a macrophage. A share of it is taken back after training: logit adjustment (Menon et al.
    2021, arXiv:2007.07314).
    """
    weight = Sampler(fields, recipe).set_weight[[1 << k for k in range(len(CELL_CLASSES))]]
    return np.log(np.where(weight > 0, weight, 1.0)).astype(np.float64)


def calibrate(
    card: Card, outputs: Sequence[tuple[Field, Outputs]], log_weights: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Share of the logit adjustment and temperature (least log-loss), and confidence that `COVERAGE` reach.

    The share times `log_weights` is to be taken from the logits. Where no nucleus of known type was found,
    it is 0 and the card's numbers stay.
    """
    logits, masks, everything = [], [], []
    for field, out in outputs:
        found = decode_window(card, out)
        everything.append(found.logits)
        found_um = centroids(found.outlines) * IMAGE_MPP
        pairs = match_centers(field.points_px * field.label_mpp, found_um)
        sets = field.sets[1:][pairs[:, 0]]
        logits.append(found.logits[pairs[sets > 0, 1]])
        masks.append((sets[sets > 0, None] >> np.arange(len(CELL_CLASSES))) & 1)
    x, member = np.concatenate(logits).astype(float), np.concatenate(masks).astype(bool)
    if not len(x):
        return 0.0, card.temperature, card.thresholds.abstain

    def loss(share: float, temperature: float) -> float:
        p = class_probabilities(x - share * log_weights, temperature)
        return -float(np.log(np.maximum((p * member).sum(1), 1e-12)).mean())

    grid = [(s, t) for s in np.arange(0, 1.01, 0.1).round(1) for t in np.arange(0.4, 2.01, 0.02).round(2)]
    share, temperature = min(grid, key=lambda point: loss(*point))
    confidence = class_probabilities(np.concatenate(everything) - share * log_weights, temperature).max(1)
    say_now(
        f"tuning: share of the logit adjustment {share}, temperature {temperature}, {len(x):,} typed nuclei"
    )
    say_now(f"tuning: log-loss {loss(0.0, 1.0):.4f} -> {loss(share, temperature):.4f}")
    return float(share), float(temperature), round(float(np.quantile(confidence, 1 - COVERAGE)), 3)


def stain_range(tables: Sequence[pa.Table]) -> dict[str, list[float]]:
    """Smallest and largest mean of each stain column over tables of cells, one a field; > 20 cells count."""
    means = [
        [np.nanmean(table[name].to_numpy()) for name in STAIN_COLUMNS] for table in tables if len(table) > 20
    ]
    if not means:
        return {}
    low, high = np.min(means, axis=0), np.max(means, axis=0)
    return {
        name: [round(a, 4), round(b, 4)]
        for name, a, b in zip(STAIN_COLUMNS, low.tolist(), high.tolist(), strict=True)
    }
