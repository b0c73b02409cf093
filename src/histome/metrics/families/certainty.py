"""How sure the model was of the classes (family U1)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.results import Values, nothing, quotient, values
from histome.metrics.specimen import N_CELL_CLASSES, Scene


def certainty(scene: Scene) -> Mapping[str, Values]:
    """Measure confidence and abstention per class and over all cells; n is the number of cells."""
    return {**_confidence(scene), **_abstention(scene)}


def _confidence(scene: Scene) -> dict[str, Values]:
    """Return mean and 10th percentile per class and over all, and median and SD over all."""
    groups = N_CELL_CLASSES + 1
    found = np.full((4, groups), np.nan)
    n = np.zeros(groups, np.int64)
    for group, sample in enumerate(_samples(scene)):
        n[group] = len(sample)
        if len(sample):
            sd = sample.std(ddof=1) if len(sample) > 1 else np.nan
            found[:, group] = sample.mean(), *np.percentile(sample, (10, 50)), sd
    none = (n == 0, "there are no {group} with a confidence")
    mean, low, middle, sd = found
    return {
        "CONFIDENCE_MEAN_{group}": values(mean, n, none),
        "CONFIDENCE_P10_{group}": values(low, n, none),
        "CONFIDENCE_MEDIAN_ALL": values(
            middle[-1], n[-1], (n[-1] == 0, "there are no cells with a confidence")
        ),
        "CONFIDENCE_SD_ALL": values(
            sd[-1], n[-1], (n[-1] < 2, "there are fewer than two cells with a confidence")
        ),
    }


def _samples(scene: Scene) -> list[NDArray[np.float64]]:
    """Return the known confidences of the nine classes, then of all cells."""
    confidence = scene.cells.confidence
    if confidence is None:
        return [np.empty(0)] * (N_CELL_CLASSES + 1)
    known = np.isfinite(confidence)
    label, confidence = scene.cells.label[known], confidence[known]
    return [*(confidence[label == k] for k in range(N_CELL_CLASSES)), confidence]


def _abstention(scene: Scene) -> dict[str, Values]:
    """Return number and share of abstained cells, over all cells even where only the others are measured."""
    whole = scene.origin[0] if scene.origin else scene
    names = ("ABSTAINED_COUNT_{group}", "ABSTAINED_FRACTION_{group}")
    if whole.cells.abstained is None:
        return {
            name: nothing((N_CELL_CLASSES + 1,), "the cells say nothing about abstention") for name in names
        }
    abstained = np.bincount(whole.cells.label[whole.cells.abstained], minlength=N_CELL_CLASSES)
    counts, n = (np.append(each, each.sum()) for each in (abstained, whole.class_counts))
    return {
        names[0]: values(counts, n),
        names[1]: values(quotient(counts, n), n, (n == 0, "there are no {group}")),
    }
