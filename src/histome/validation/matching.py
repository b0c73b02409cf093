"""Matching predicted to true nuclei: by centroid (one to one, within a distance) and by outline (PQ, AJI)."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree


class DetectionCounts(NamedTuple):
    """True positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "DetectionCounts") -> "DetectionCounts":  # type: ignore[override]
        """DetectionCounts of both together."""
        return DetectionCounts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN when there is nothing to find and nothing found."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else float("nan")


def match_centers(
    true_um: NDArray[np.floating], found_um: NDArray[np.floating], *, within_um: float = 3.0
) -> NDArray[np.int64]:
    """Pairs (true, found) of the one-to-one assignment with the most pairs, then the shortest ones.

    Parameters
    ----------
    true_um, found_um : (n, 2) and (m, 2) float, um
        Centers.
    within_um : float, um
        Largest distance of a pair; 3 um is HoVer-Net's 12 px at 0.25 um/px.

    Returns
    -------
    (k, 2) int64
        Indices, by rising true index.

    Examples
    --------
    Three nuclei in a row, of which the first two are found 1 um beside their place, and one more is found
    where there is none:

    >>> import numpy as np
    >>> from histome.validation import detection_counts, match_centers
    >>> true_um = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    >>> found_um = np.array([[11.0, 0.0], [1.0, 0.0], [50.0, 0.0]])
    >>> match_centers(true_um, found_um).tolist()
    [[0, 1], [1, 0]]
    >>> counts = detection_counts(true_um, found_um)
    >>> counts, round(counts.f1, 3)
    (DetectionCounts(tp=2, fp=1, fn=1), 0.667)
    """
    if len(true_um) == 0 or len(found_um) == 0:
        return np.empty((0, 2), np.int64)
    near = KDTree(true_um).sparse_distance_matrix(KDTree(found_um), within_um, output_type="coo_matrix")
    if near.nnz == 0:
        return np.empty((0, 2), np.int64)
    n, m = near.shape
    graph = coo_array((np.ones(near.nnz), (near.row, near.col + n)), shape=(n + m, n + m))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[near.row], kind="stable")
    rows, cols, data = near.row[order], near.col[order], near.data[order]
    starts = np.flatnonzero(np.r_[True, np.diff(group[rows]) != 0, True])
    pairs = [_assign(rows[a:b], cols[a:b], data[a:b], within_um) for a, b in pairwise(starts)]
    matched = np.concatenate(pairs)
    return matched[np.argsort(matched[:, 0], kind="stable")]


def _assign(rows: NDArray, cols: NDArray, distance: NDArray, within_um: float) -> NDArray[np.int64]:
    """Assignment inside one connected group; a missing pair costs more than any group of real ones."""
    r, ri = np.unique(rows, return_inverse=True)
    c, ci = np.unique(cols, return_inverse=True)
    far = 4 * within_um * max(len(r), len(c)) + 1
    cost = np.full((len(r), len(c)), far, float)
    cost[ri, ci] = distance
    i, j = linear_sum_assignment(cost)
    real = cost[i, j] < far
    return np.stack([r[i[real]], c[j[real]]], axis=1).astype(np.int64)


def detection_counts(
    true_um: NDArray[np.floating], found_um: NDArray[np.floating], *, within_um: float = 3.0
) -> DetectionCounts:
    """Detection counts by centroid."""
    tp = len(match_centers(true_um, found_um, within_um=within_um))
    return DetectionCounts(tp, len(found_um) - tp, len(true_um) - tp)


class Panoptic(NamedTuple):
    """Instance scores of one image (Kirillov et al. 2019; Kumar et al. 2017)."""

    dq: float
    sq: float
    pq: float
    aji: float


def shared_pixels(true: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.int64]:
    """(n_true + 1, n_found + 1) shared pixels of two label maps."""
    n, m = int(true.max()) + 1, int(found.max()) + 1
    return np.bincount(true.ravel().astype(np.int64) * m + found.ravel(), minlength=n * m).reshape(n, m)


def instance_scores(true: NDArray[np.integer], found: NDArray[np.integer]) -> Panoptic:
    """PQ (IoU > 0.5, so the match is unique) and AJI of two label maps of one shape, 0 = background."""
    shared = shared_pixels(true, found)
    area_true, area_found = shared.sum(1)[1:], shared.sum(0)[1:]
    ids_true, ids_found = np.flatnonzero(area_true), np.flatnonzero(area_found)
    shared = shared[1:, 1:][np.ix_(ids_true, ids_found)]
    area_true, area_found = area_true[ids_true], area_found[ids_found]
    if not len(ids_true) or not len(ids_found):
        nothing = float("nan") if not len(ids_true) and not len(ids_found) else 0.0
        return Panoptic(nothing, nothing, nothing, nothing)
    union = area_true[:, None] + area_found[None] - shared
    iou = shared / union
    hits = iou[iou > 0.5]
    dq = len(hits) / (0.5 * len(ids_true) + 0.5 * len(ids_found))
    sq = float(hits.mean()) if len(hits) else 0.0
    best = iou.argmax(1)
    met = iou.max(1) > 0
    rows = np.arange(len(ids_true))
    inter = shared[rows[met], best[met]].sum()
    outer = union[rows[met], best[met]].sum() + area_true[~met].sum()
    outer += area_found[np.setdiff1d(np.arange(len(ids_found)), best[met])].sum()
    return Panoptic(dq, sq, dq * sq, float(inter / outer))
