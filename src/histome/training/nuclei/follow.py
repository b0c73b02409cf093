"""A nuclei network on its tuning fields while it learns: F1 now and then, all scores where it has settled."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from histome.cells.decode import DecodeSettings, decode
from histome.cells.decode.sharpen import polygons
from histome.cells.decode.stardist import star_polygons
from histome.cells.pixels import class_probabilities
from histome.datasets.fields import IMAGE_MPP, Field
from histome.geometry.polygons import centroids
from histome.models.card import Thresholds
from histome.training.networks import OFFSET_PX, full_resolution, scale_pixels, star_distance
from histome.validation.matching import DetectionCounts, detection_counts
from histome.validation.nuclei import score_field, score_tables
from histome.validation.scores import Found

# Neither thresholds nor temperature are chosen yet.
_SETTINGS = DecodeSettings(IMAGE_MPP, Thresholds(prob=0.3, nms=0.3), stride=2)
_SHOWN = ("detection_f1", "pq", "aji", "macro_f1_matched")


def predict(net: nn.Module, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Outputs of a field, padded white to 64 px, as the exported network gives them without the batch axis.

    prob (h, w), dist (32, h, w), logits (9, h, w), and where the network has them mask (2 h, 2 w), offset
    (2, h, w); h and w are half the image's, rounded up.
    """
    h, w = image.shape[:2]
    padded = np.full((-(-h // 64) * 64, -(-w // 64) * 64, 3), 255, np.uint8)
    padded[:h, :w] = image
    device = next(net.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        out = net(scale_pixels(torch.from_numpy(padded)[None].to(device)))
    rows, cols = -(-h // 2), -(-w // 2)
    maps = {
        "prob": torch.sigmoid(out["prob"].float())[0, 0, :rows, :cols],
        "dist": star_distance(out["dist"].float())[0, :, :rows, :cols],
        "logits": out["logits"].float()[0, :, :rows, :cols],
    }
    if "mask" in out:
        maps["mask"] = torch.sigmoid(full_resolution(out["mask"].float()))[0, : 2 * rows, : 2 * cols]
        maps["offset"] = OFFSET_PX * out["offset"].float()[0, :, :rows, :cols]
    return {name: part.cpu().numpy() for name, part in maps.items()}


def tuning_f1(net: nn.Module, fields: Sequence[Field], *, prob_threshold: float = 0.3) -> dict[str, float]:
    """Detection F1 (3 um) of each data set with outlines, to follow the training."""
    counts: dict[str, DetectionCounts] = {}
    net.eval()
    for f in fields:
        if not f.shapes or f.weight.min() == 0:  # where labels are partial, what is found beside is not false
            continue
        out = predict(net, f.image)
        found = star_polygons(out["prob"], out["dist"], prob_threshold=prob_threshold, nms_threshold=0.3)
        places = centroids(polygons(found.centers, found.distances))
        new = detection_counts(f.points_px * f.label_mpp, places * IMAGE_MPP)
        counts[f.data_set] = counts.get(f.data_set, DetectionCounts(0, 0, 0)) + new
    net.train()
    return {name: round(c.f1, 4) for name, c in counts.items()}


def find_with(net: nn.Module, field: Field) -> Found:
    """The cells that a network finds on one field, uncalibrated."""
    maps = predict(net, field.image)
    planes = {name: part if part.ndim == 3 else part[None] for name, part in maps.items()}
    found = decode("stardist", planes, _SETTINGS)
    outlines = found.outlines * IMAGE_MPP
    probabilities = class_probabilities(found.logits, 1.0).astype(np.float32)
    return Found(centroids(outlines), outlines, probabilities, np.zeros(len(outlines), bool))


def score_stage(net: nn.Module, fields: Sequence[Field]) -> dict[str, float]:
    """Figures of each data set by `<data set>_<figure>`: detection F1, PQ, AJI, macro F1 of types."""
    tables = score_tables([score_field(find_with(net, field), field) for field in fields])
    return {
        f"{name}_{figure}": table[figure]["value"]
        for name, table in tables.items()
        for figure in _SHOWN
        if figure in table
    }
