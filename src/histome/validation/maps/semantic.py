"""Scores of class maps: confusion counts, which add up over fields, then mean IoU and Dice."""

import numpy as np
from numpy.typing import NDArray


def confusion(
    true: NDArray[np.integer], found: NDArray[np.integer], classes: int, *, ignore: int = 255
) -> NDArray[np.int64]:
    """(classes, classes) pixels by true (row) and found (column) class; where the truth is `ignore`, none."""
    known = true != ignore
    index = true[known].astype(np.int64) * classes + found[known]
    return np.bincount(index, minlength=classes**2).reshape(classes, classes)


def _parts(sums: NDArray[np.floating]) -> tuple[NDArray, NDArray, NDArray]:
    """(…, classes^2) counts -> (…, classes) hits, true pixels, found pixels."""
    side = round(np.sqrt(sums.shape[-1]))
    table = np.asarray(sums, float).reshape(*sums.shape[:-1], side, side)
    return np.diagonal(table, axis1=-2, axis2=-1), table.sum(-1), table.sum(-2)


def mean_iou(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean over the classes with a true pixel of |A and B| / |A or B|; (…, classes^2) confusion counts."""
    hits, true, found = _parts(sums)
    union = np.maximum(true + found - hits, 1)
    present = true > 0
    return np.where(present, hits / union, 0).sum(-1) / np.maximum(present.sum(-1), 1)


def dice(sums: NDArray[np.floating], k: int) -> NDArray[np.floating]:
    """2 |A and B| / (|A| + |B|) of class k; NaN where it has neither."""
    hits, true, found = (part[..., k] for part in _parts(sums))
    total = true + found
    return np.divide(2 * hits, total, out=np.full_like(total, np.nan), where=total > 0)
