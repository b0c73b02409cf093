"""Scores of found cells against a labeled field: detection, outlines, types, as additive parts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.geometry.raster import paint_outlines
from histome.validation.matching import DetectionCounts, Panoptic, instance_scores, match_centers


@dataclass(frozen=True)
class Found:
    """Cells found on one field: what the cells table holds of them.

    Attributes
    ----------
    centers_um : (n, 2) float64, um
        x, y.
    outlines_um : (n, k, 2) float64, um
        x, y of the open outline.
    probabilities : (n, 9) float32
        Calibrated, in `CELL_CLASSES` order.
    abstained : (n,) bool
        Whether the confidence is under the model's threshold.
    """

    centers_um: NDArray[np.float64]
    outlines_um: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    abstained: NDArray[np.bool_]


def outline_scores(true: NDArray[np.int32], found: Found, mpp: float) -> Panoptic:
    """PQ and AJI of one field on its own label grid of `mpp` um/px."""
    return instance_scores(true, paint_outlines(found.outlines_um / mpp, true.shape))


def merged_probabilities(
    probabilities: NDArray[np.float32], groups: Mapping[str, tuple[str, ...]]
) -> NDArray:
    """(n, 9) -> (n, groups): the probabilities of each group of classes, summed."""
    index = {name: k for k, name in enumerate(CELL_CLASSES)}
    return np.stack([probabilities[:, [index[c] for c in group]].sum(1) for group in groups.values()], axis=1)


@dataclass(frozen=True)
class TypedCounts:
    """HoVer-Net's parts of F_c: pairs by true and found type; unmatched cells by their own type."""

    confusion: NDArray[np.int64]
    unpaired_found: NDArray[np.int64]
    unpaired_true: NDArray[np.int64]

    def f_class(self, k: int) -> NDArray[np.int64]:
        """(tp, fp, fn, fp_d, fn_d) of class k."""
        tp = self.confusion[k, k]
        fp = self.confusion[:, k].sum() - tp
        fn = self.confusion[k].sum() - tp
        return np.array([tp, fp, fn, self.unpaired_found[k], self.unpaired_true[k]])


def f_c(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    """HoVer-Net's F_c, 2 TP / (2 TP + 2 FP + 2 FN + FP_d + FN_d): no true negatives (arXiv:1812.06499)."""
    tp, fp, fn, fp_d, fn_d = np.moveaxis(np.asarray(sums, float), -1, 0)
    total = 2 * tp + 2 * fp + 2 * fn + fp_d + fn_d
    return np.divide(2 * tp, total, out=np.full_like(total, np.nan), where=total > 0)


def typed_counts(
    true_um: NDArray, true_type: NDArray[np.integer], found: Found, groups: Mapping[str, tuple[str, ...]]
) -> tuple[TypedCounts, DetectionCounts]:
    """Type confusion of matched cells (3 um) in the groups' order; true types outside the groups are -1.

    Pairs whose true type is -1 are left out of the confusion; they stay in the detection counts.
    """
    pairs = match_centers(true_um, found.centers_um)
    guess = merged_probabilities(found.probabilities, groups).argmax(1)
    known = true_type[pairs[:, 0]] >= 0
    confusion = np.zeros((len(groups), len(groups)), np.int64)
    np.add.at(confusion, (true_type[pairs[known, 0]], guess[pairs[known, 1]]), 1)
    missed = np.delete(true_type, pairs[:, 0])
    invented = np.delete(guess, pairs[:, 1])
    n = len(groups)
    typed = TypedCounts(
        confusion, np.bincount(invented, minlength=n), np.bincount(missed[missed >= 0], minlength=n)
    )
    return typed, DetectionCounts(len(pairs), len(invented), len(missed))
