"""Nuclei from flows by the rules of Cellpose (Stringer et al. 2021, doi:10.1038/s41592-020-01018-x).

Each pixel that is likely nuclear follows the flow for 200 steps. Where many end seeds are set, and pixels
that end on the same seed's ground are a nucleus. One whose flow is far from the flow that heat from its
middle would make is dropped. Steps and cuts are those of `cellpose.dynamics` 4, number by number.
"""

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps
from histome.cells.decode.outlined import of_one_class

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

_STEPS = 200
# px of rim around the histogram of where pixels end, as theirs.
_RIM_PX = 20
# A seed has more than so many pixels, its ground more than so many each, as far as so many pixels from it.
_SEED_COUNT, _GROUND_COUNT, _GROUND_PX = 10, 2, 5
# Of the window; what is larger is no nucleus.
_LARGEST_SHARE = 0.4


def decode_flow(maps: Maps, settings: DecodeSettings) -> Decoded:
    """Return the nuclei in the outputs `prob` (1, h, w) and `flow` (2, h, w), down and right, unit vectors.

    Of the thresholds `prob` is passed by a pixel, `flow_error` by no nucleus, and `min_area_um2` is the area
    of the smallest. All are of the one class of the card.
    """
    prob, flow = maps["prob"][0], np.ascontiguousarray(maps["flow"])
    inside = prob > settings.thresholds.prob
    labels = flow_instances(inside, flow, settings.thresholds.flow_error)
    return of_one_class(labels, prob, settings)


def flow_instances(inside: NDArray[np.bool_], flow: Float32, most_error: float) -> Int32:
    """(h, w) int32: instances whose flow is that of their shape, numbered anyhow.

    Parameters
    ----------
    inside : (h, w) bool
        Pixels that are nuclear.
    flow : (2, h, w) float32
        Down and right.
    most_error : float
        Mean squared distance of the flows of an instance.
    """
    rows, cols = (index.astype(np.int32) for index in np.nonzero(inside))
    labels = np.zeros(inside.shape, np.int32)
    if len(rows) == 0:
        return labels
    ends = np.empty((len(rows), 2), np.int32)
    _follow(_framed(flow, inside), rows, cols, ends)
    labels[rows, cols] = _grounds(ends, inside.shape)
    sizes = np.bincount(labels.ravel())
    keep = (sizes > 0) & (sizes <= _LARGEST_SHARE * labels.size)
    labels = _renumbered(labels, keep)
    if labels.max() == 0:
        return labels
    errors = flow_errors(labels, flow)
    return _renumbered(labels, np.concatenate([[False], errors <= most_error]))


def _framed(flow: Float32, inside: NDArray[np.bool_]) -> Float32:
    """(h + 2, w + 2, 2): the flow of nuclear pixels, 0 elsewhere and around."""
    return np.ascontiguousarray(np.pad(np.moveaxis(flow * inside, 0, -1), ((1, 1), (1, 1), (0, 0))))


def _renumbered(labels: Int32, keep: NDArray[np.bool_]) -> Int32:
    keep = keep.copy()
    keep[0] = False
    return (np.cumsum(keep) * keep).astype(np.int32)[labels]


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(flow, rows, cols, ends):  # pragma: no cover (compiled)
    """Where pixels end. They look half a pixel up and left of where they are, as those of Cellpose do."""
    height, width = flow.shape[0] - 2, flow.shape[1] - 2
    down, right = np.float32(height / max(height - 1, 1)), np.float32(width / max(width - 1, 1))
    low, most_y, most_x = np.float32(0), np.float32(height - 1), np.float32(width - 1)
    # Of the frame there is one pixel more: -0.5 + 1.
    half = np.float32(0.5)
    for i in range(len(rows)):
        y, x = np.float32(rows[i]), np.float32(cols[i])
        for _ in range(_STEPS):
            v, u = y * down + half, x * right + half
            r, c = int(v), int(u)
            v, u = v - np.float32(r), u - np.float32(c)
            a, b = (1 - v) * (1 - u), (1 - v) * u
            d, e = v * (1 - u), v * u
            dy = a * flow[r, c, 0] + b * flow[r, c + 1, 0] + d * flow[r + 1, c, 0] + e * flow[r + 1, c + 1, 0]
            dx = a * flow[r, c, 1] + b * flow[r, c + 1, 1] + d * flow[r + 1, c, 1] + e * flow[r + 1, c + 1, 1]
            y = min(max(y + np.float32(dy), low), most_y)
            x = min(max(x + np.float32(dx), low), most_x)
        ends[i, 0], ends[i, 1] = int(y), int(x)


def _grounds(ends: Int32, shape: tuple[int, int]) -> Int32:
    """Number of the seed on whose ground each pixel ends, 0 for none; on two grounds, of the larger seed."""
    framed = ends + _RIM_PX
    counts = np.zeros([side + 2 * _RIM_PX for side in shape], np.float32)
    _count(counts, framed)
    peaks = (counts >= cv2.dilate(counts, np.ones((5, 5), np.uint8))) & (counts > _SEED_COUNT)
    seeds = np.argwhere(peaks)
    seeds = seeds[np.argsort(counts[peaks], kind="stable")]
    grounds = np.zeros(counts.shape, np.int32)
    _spread(counts, seeds, grounds)
    return grounds[framed[:, 0], framed[:, 1]]


@njit(cache=True, nogil=True)
def _count(counts, places):  # pragma: no cover (compiled)
    for i in range(len(places)):
        counts[places[i, 0], places[i, 1]] += 1


@njit(cache=True, nogil=True)
def _spread(counts, seeds, grounds):  # pragma: no cover (compiled)
    """Paint 1..n around each seed, step by step over what has counts; later ones win."""
    side = 2 * _GROUND_PX + 1
    for k in range(len(seeds)):
        top, left = seeds[k, 0] - _GROUND_PX, seeds[k, 1] - _GROUND_PX
        reached = np.zeros((side + 2, side + 2), np.uint8)
        reached[_GROUND_PX + 1, _GROUND_PX + 1] = 1
        for step in range(1, _GROUND_PX + 1):
            for row in range(_GROUND_PX + 1 - step, _GROUND_PX + 2 + step):
                for col in range(_GROUND_PX + 1 - step, _GROUND_PX + 2 + step):
                    if reached[row, col] or counts[top + row - 1, left + col - 1] <= _GROUND_COUNT:
                        continue
                    for r in range(row - 1, row + 2):
                        for c in range(col - 1, col + 2):
                            if 0 < reached[r, c] <= step:
                                reached[row, col] = step + 1
        for row in range(1, side + 1):
            for col in range(1, side + 1):
                if reached[row, col]:
                    grounds[top + row - 1, left + col - 1] = k + 1


def flow_errors(labels: Int32, flow: Float32) -> NDArray[np.float64]:
    """(n,) mean squared distance between the flow in each instance 1..n and the one that its shape makes.

    Heat is set free at its middle and spreads to the eight neighbors within it, step by step; as theirs, all
    take as many steps as the largest needs, and at a border the heat of the neighbor counts.
    """
    n = int(labels.max())
    boxes = _boxes(labels, n)
    steps = 2 * int((boxes[:, 1] - boxes[:, 0] + boxes[:, 3] - boxes[:, 2]).max() + 2)
    heat = np.zeros((labels.shape[0] + 2, labels.shape[1] + 2))
    framed = np.pad(labels, 1)
    for k, box in enumerate(boxes):
        _warm(framed, k + 1, box, heat, steps)
    return _distances(framed, heat, flow, n)


@njit(cache=True, nogil=True)
def _boxes(labels, n):  # pragma: no cover (compiled)
    """(n, 4) first and end row, first and end column of each instance."""
    boxes = np.zeros((n, 4), np.int64)
    boxes[:, 0], boxes[:, 2] = labels.shape[0], labels.shape[1]
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            k = labels[row, col] - 1
            if k >= 0:
                boxes[k, 0], boxes[k, 1] = min(boxes[k, 0], row), max(boxes[k, 1], row + 1)
                boxes[k, 2], boxes[k, 3] = min(boxes[k, 2], col), max(boxes[k, 3], col + 1)
    return boxes


@njit(cache=True, nogil=True, error_model="numpy")
def _warm(framed, label, box, heat, steps):  # pragma: no cover (compiled)
    """Fill `heat` at the pixels of one instance; `framed` and `heat` have a rim of one pixel."""
    height, width = box[1] - box[0], box[3] - box[2]
    number = np.zeros((height + 2, width + 2), np.int32)
    size, sum_y, sum_x = 0, 0, 0
    for row in range(height):
        for col in range(width):
            if framed[box[0] + row + 1, box[2] + col + 1] == label:
                size += 1
                number[row + 1, col + 1] = size
                sum_y, sum_x = sum_y + row, sum_x + col
    near = np.zeros((size + 1, 9), np.int32)
    mean_y, mean_x = np.rint(sum_y / size), np.rint(sum_x / size)
    middle, least = 0, np.inf
    for row in range(height):
        for col in range(width):
            k = number[row + 1, col + 1]
            if k == 0:
                continue
            away = (row - mean_y) ** 2 + (col - mean_x) ** 2
            if away < least:
                middle, least = k, away
            for turn in range(9):
                near[k, turn] = number[row + turn // 3, col + turn % 3]
    now, after = np.zeros(size + 1), np.zeros(size + 1)
    for _ in range(steps):
        now[middle] += 1
        for k in range(1, size + 1):
            total = 0.0
            for turn in range(9):
                total += now[near[k, turn]]
            after[k] = total / 9
        now, after = after, now
    for row in range(height):
        for col in range(width):
            k = number[row + 1, col + 1]
            if k > 0:
                heat[box[0] + row + 1, box[2] + col + 1] = now[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _distances(framed, heat, flow, n):  # pragma: no cover (compiled)
    """Mean squared distance over each instance of the flow from where heat rises fastest."""
    sums, sizes = np.zeros(n), np.zeros(n)
    for row in range(flow.shape[1]):
        for col in range(flow.shape[2]):
            k = framed[row + 1, col + 1] - 1
            if k < 0:
                continue
            dy = heat[row + 2, col + 1] - heat[row, col + 1]
            dx = heat[row + 1, col + 2] - heat[row + 1, col]
            length = 1e-60 + np.sqrt(dy * dy + dx * dx)
            sums[k] += (dy / length - flow[0, row, col]) ** 2 + (dx / length - flow[1, row, col]) ** 2
            sizes[k] += 1
    return sums / sizes
