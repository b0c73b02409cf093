"""Nuclei from class probabilities and HV maps (HoVer-Net, arXiv:1812.06499; UperHoVer, arXiv:2606.17702).

The HV maps say how far a pixel lies right of and below its nucleus' center: they rise inside a nucleus and
fall from one nucleus to the next. A distance transform alone splits a spindle wherever it narrows; so its
basins are only proposals, and two of them stay apart only where the maps fall across their common border.
All cuts are in um and none depends on what else the window shows, so neither do the instances.
"""

import heapq

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps
from histome.cells.decode.outlined import (
    LEAST_PROBABILITY,
    drop_small,
    even_outlines,
    in_raster_order,
    label_sums,
    log_shares,
)
from histome.geometry.raster import paint_outlines

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


def decode_hover(maps: Maps, settings: DecodeSettings) -> Decoded:
    """Return the nuclei in the outputs `classes` and `hv`.

    Parameters
    ----------
    maps : dict of float32 (channels, h, w)
        `classes` (1 + k, h, w) probabilities, background first; `hv` (2, h, w) horizontal and vertical map,
        -1 to 1, rising to the right and downwards in a nucleus.
    settings : DecodeSettings
        Of its thresholds, `prob` is the smallest probability of all classes but background together,
        `split_per_um` the fall of the maps across a border from which on two nuclei meet there,
        `min_area_um2` the smallest nucleus. `cell_classes` (k,) says what each class counts as.

    Returns
    -------
    Decoded
        A score is the mean foreground probability, a logit the logarithm of a class' summed probability over
        that of all k.
    """
    cuts, mpp = settings.thresholds, settings.mpp
    classes, hv = (upsample(maps[name], settings.stride) for name in ("classes", "hv"))
    foreground = 1 - classes[0]
    labels = instances(foreground >= cuts.prob, hv, mpp=mpp, split_per_um=cuts.split_per_um)
    labels = drop_small(labels, cuts.min_area_um2 / mpp**2)
    outlines = even_outlines(labels, settings.corners)
    # An outline has no holes: what it encloses belongs to the nucleus.
    filled = paint_outlines(outlines, labels.shape)
    labels = np.where(labels > 0, labels, filled)
    area = np.maximum(label_sums(labels, None), 1)
    scores = label_sums(labels, foreground) / area
    logits = _class_logits(classes, labels, settings)
    return Decoded(outlines, scores.astype(np.float32), logits, labels)


def read_hover(
    maps: Maps, settings: DecodeSettings, labels: Int32, centers_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the logits (n, 9) of given nuclei as `decode_hover` gives them to those that it found.

    Parameters
    ----------
    labels : (h, w) int32
        Instance map, 1..n.
    centers_px : (n, 2) float64, px
        x, y: the pixel there stands for a nucleus that covers none.
    """
    classes = upsample(maps["classes"], settings.stride)
    bare = np.bincount(labels.ravel(), minlength=len(centers_px) + 1)[1:] == 0
    columns, rows = np.clip(centers_px[bare].astype(np.int64).T, 0, np.array(labels.shape[::-1])[:, None] - 1)
    logits = _class_logits(classes, labels, settings, n=len(centers_px))
    shares = classes[1:, rows, columns].T.astype(np.float64)
    total = np.maximum(shares.sum(1, keepdims=True), LEAST_PROBABILITY)
    logits[bare] = log_shares(shares / total, settings.cell_classes)
    return logits


def _class_logits(
    classes: Float32, labels: Int32, settings: DecodeSettings, *, n: int | None = None
) -> NDArray[np.float64]:
    """Logarithm of each class' share of the probabilities over each instance, (n, 9)."""
    shares = np.stack([label_sums(labels, plane, n) for plane in classes[1:]], axis=1)
    total = np.maximum(shares.sum(1, keepdims=True), LEAST_PROBABILITY)
    return log_shares(shares / total, settings.cell_classes)


def upsample(maps: Float32, stride: int) -> Float32:
    """(k, h, w) -> (k, h * stride, w * stride), bilinear between pixel centers."""
    if stride == 1:
        return maps
    size = maps.shape[2] * stride, maps.shape[1] * stride
    return np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in maps])


def instances(inside: NDArray[np.bool_], hv: Float32, *, mpp: float, split_per_um: float) -> Int32:
    """Instance map of a foreground mask: basins of its distance transform, joined where the maps agree.

    Parameters
    ----------
    inside : (h, w) bool
        Foreground.
    hv : (2, h, w) float32
        Horizontal and vertical map.
    mpp : float, um/px
        Of both.
    split_per_um : float, 1/um
        Fall of the maps across a border from which on two nuclei meet there.

    Returns
    -------
    (h, w) int32
        4-connected instances numbered 1..n in raster order.
    """
    energy = falls(inside, hv) / mpp
    basins = _basins(inside, energy < split_per_um)
    root = _join(basins, energy, split_per_um)
    labels = root[basins]
    return in_raster_order(labels)


@njit(cache=True, nogil=True)
def falls(inside, hv):  # pragma: no cover (compiled)
    """How much the maps fall along their axis at each foreground pixel, per pixel; 0 where they rise.

    A Sobel filter that sees foreground only: beside it the maps mean nothing, and a nucleus' own rim is no
    fall. (h, w) float32.
    """
    height, width = inside.shape
    energy = np.zeros((height, width), np.float32)
    for row in range(height):
        for col in range(width):
            if not inside[row, col]:
                continue
            for axis in range(2):
                fall, weight = 0.0, 0.0
                for side in range(-1, 2):
                    r, c = (row + side, col) if axis == 0 else (row, col + side)
                    if r < 0 or c < 0 or r >= height or c >= width or not inside[r, c]:
                        continue
                    r0, c0, r1, c1 = r, c, r, c
                    if axis == 0:
                        c0 = c - 1 if c > 0 and inside[r, c - 1] else c
                        c1 = c + 1 if c + 1 < width and inside[r, c + 1] else c
                    else:
                        r0 = r - 1 if r > 0 and inside[r - 1, c] else r
                        r1 = r + 1 if r + 1 < height and inside[r + 1, c] else r
                    steps = (r1 - r0) + (c1 - c0)
                    if steps > 0:
                        share = 2.0 if side == 0 else 1.0
                        fall += share * (hv[axis, r0, c0] - hv[axis, r1, c1]) / steps
                        weight += share
                if weight > 0 and fall / weight > energy[row, col]:
                    energy[row, col] = fall / weight
    return energy


def _basins(inside: NDArray[np.bool_], calm: NDArray[np.bool_]) -> Int32:
    """Catchment basins of the distance to background and to falls, flooded over all foreground."""
    depth = cv2.distanceTransform((inside & calm).astype(np.uint8), cv2.DIST_L2, 5)
    depth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    top = (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8))) & inside & (depth > 0)
    _, seeds = cv2.connectedComponents(top.astype(np.uint8), connectivity=8)
    labels = np.ascontiguousarray(seeds, np.int32)
    flood(-depth, labels, inside, 4)
    return labels


@njit(cache=True, nogil=True)
def flood(relief, labels, inside, near):  # pragma: no cover (compiled)
    """Meyer's flooding of `labels` over `inside` in the order of `relief`; ties: first come.

    `near` is 4 or 8: how many neighbors of a pixel it reaches.
    """
    height, width = labels.shape
    heap = [(np.float32(0.0), 0, 0)]
    heap.pop()
    age = 0
    for row in range(height):
        for col in range(width):
            if labels[row, col] > 0:
                heapq.heappush(heap, (relief[row, col], age, row * width + col))
                age += 1
    while len(heap) > 0:
        _, _, place = heapq.heappop(heap)
        row, col = place // width, place % width
        for k in range(near):  # the corners last
            r = row + (k == 0) - (k == 1) + (k == 4) + (k == 5) - (k == 6) - (k == 7)
            c = col + (k == 2) - (k == 3) + (k == 4) - (k == 5) + (k == 6) - (k == 7)
            if 0 <= r < height and 0 <= c < width and inside[r, c] and labels[r, c] == 0:
                labels[r, c] = labels[row, col]
                heapq.heappush(heap, (relief[r, c], age, r * width + c))
                age += 1


def _borders(basins: Int32, energy: Float32) -> dict[int, dict[int, list[float]]]:
    """Of each basin its neighbors, each with the summed energy of their common border and its length."""
    n = np.int64(basins.max()) + 1
    pairs, values = [], []
    for axis in range(2):
        one, other = np.s_[: -1 if axis == 0 else None, : -1 if axis else None], np.s_[1 - axis :, axis:]
        a, b = basins[one], basins[other]
        met = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[met], b[met]), np.maximum(a[met], b[met])
        pairs.append(low * n + high)
        values.append(np.maximum(energy[one][met], energy[other][met]))
    codes, index = np.unique(np.concatenate(pairs), return_inverse=True)
    sums = np.bincount(index, np.concatenate(values), len(codes))
    lengths = np.bincount(index, minlength=len(codes))
    graph: dict[int, dict[int, list[float]]] = {}
    for code, total, length in zip(codes.tolist(), sums.tolist(), lengths.tolist(), strict=True):
        edge = [total, float(length)]
        graph.setdefault(code // n, {})[code % n] = edge
        graph.setdefault(code % n, {})[code // n] = edge
    return graph


def _join(basins: Int32, energy: Float32, split: float) -> Int32:
    """Basin -> instance: the two with the weakest mean border are joined until none is under `split`.

    Weakest first, and borders are added up as basins join: one gap in a border joins no nuclei.
    """
    graph = _borders(basins, energy)
    root = np.arange(basins.max() + 1, dtype=np.int32)
    heap = [(e[0] / e[1], a, b) for a, near in graph.items() for b, e in near.items() if a < b]
    heap = [entry for entry in heap if entry[0] < split]
    heapq.heapify(heap)
    while heap:
        mean, a, b = heapq.heappop(heap)
        edge = graph.get(a, {}).get(b)
        if edge is None or edge[0] / edge[1] != mean:
            continue  # one of them was joined since
        root[b] = a
        del graph[a][b]
        for other, (total, length) in graph.pop(b).items():
            if other == a:
                continue
            del graph[other][b]
            before = graph[a].get(other, [0.0, 0.0])
            after = [before[0] + total, before[1] + length]
            graph[a][other] = graph[other][a] = after
            if after[0] / after[1] < split:
                heapq.heappush(heap, (after[0] / after[1], min(a, other), max(a, other)))
    for b in range(len(root)):  # a basin is always joined to one of a smaller number
        root[b] = root[root[b]]
    return root
