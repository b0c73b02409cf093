"""Scores of a network of maps against labels that are sets of its classes."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.datasets.tissue_fields import TissueField
from histome.datasets.tissue_labels import Vocabulary
from histome.validation.resampling import bootstrap, ratio

MapOf = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def score_maps(
    predict: MapOf, fields: Sequence[TissueField], vocabulary: Vocabulary
) -> dict[str, dict[str, Any]]:
    """Return the scores of each data set: what a card holds of its held-out fields.

    `labeled_right` is the share of labeled pixels whose likeliest class their label allows; `dice_<class>` is
    over the pixels that are labeled as one class alone. Sources are resampled.

    Parameters
    ----------
    predict : callable(image)
        Image at 1 um/px -> probabilities (classes, h/2, w/2).
    """
    tables = {}
    allowed = vocabulary.table()[0]
    for name in dict.fromkeys(field.data_set for field in fields):
        mine = [field for field in fields if field.data_set == name]
        sources = [field.source for field in mine]
        parts = np.stack([_counts(field, predict(field.image), allowed) for field in mine])
        rng = np.random.default_rng(0)
        table: dict[str, Any] = {"fields": len(mine), "sources": len(set(sources))}
        table["labeled_right"] = bootstrap(parts[:, :2], sources, ratio, rng=rng).as_dict()
        for k, each in enumerate(vocabulary.classes):
            counts = parts[:, 2 + 2 * k : 4 + 2 * k]
            if counts[:, 1].sum():
                dice = bootstrap(counts, sources, ratio, rng=rng)
                table[f"dice_{each.lower()}"] = dice.as_dict()
        tables[name] = table
    return tables


def _counts(
    field: TissueField, probabilities: NDArray[np.float32], allowed: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Right and labeled pixels, then of each class twice the hits and the sum of both areas."""
    height, width = field.codes.shape
    planes = [cv2.resize(plane, (width, height)) for plane in probabilities]
    best = np.argmax(planes, axis=0)
    labeled = field.codes > 0
    right = allowed[field.codes, best] > 0
    counts: list[float] = [float((right & labeled).sum()), float(labeled.sum())]
    alone = allowed.sum(axis=1) == 1
    one = alone[field.codes]
    for k in range(allowed.shape[1]):
        true, found = one & (allowed[field.codes, k] > 0), one & (best == k)
        counts += [2.0 * (true & found).sum(), float(true.sum() + found.sum()) if true.any() else 0.0]
    return np.array(counts)
