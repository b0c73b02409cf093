"""Star-convex polygons by the rules of StarDist's own package (Schmidt et al. 2018, arXiv:1806.03535).

They differ from `decode.stardist` in three points: a grid cell's rays start at its first pixel, not at its
middle; of two polygons the likelier suppresses the other where they share more than `nms` of the smaller;
and a nucleus is of the class that its winning grid cell says, not of the mean over its pixels.
"""

import numpy as np
from numba import njit

from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps, by_cells
from histome.cells.decode.outlined import log_shares
from histome.cells.decode.sharpen import polygons
from histome.cells.decode.stardist import SHORTEST_RAY_PX, candidates
from histome.geometry.raster import paint_free_pixels, tally_pixels

# The center of a grid cell's first pixel.
_FIRST_PIXEL_PX = 0.5


def decode_star(maps: Maps, settings: DecodeSettings) -> Decoded:
    """Return the nuclei in the outputs `prob`, `dist` and `classes` (1 + k, h, w), background first.

    A logit is the logarithm of a class' share of the probabilities of all k at the winning grid cell.
    """
    cuts, stride = settings.thresholds, settings.stride
    prob, classes = maps["prob"][0], maps["classes"]
    rows, cols = candidates(prob, cuts.prob)
    labels = np.zeros((prob.shape[0] * stride, prob.shape[1] * stride), np.int32)
    lengths = by_cells(maps["dist"])
    kept = _suppress(lengths, rows, cols, labels, cuts.nms)
    rows, cols = rows[kept], cols[kept]
    centers = np.stack([cols, rows], axis=1).astype(np.float64) * stride + _FIRST_PIXEL_PX
    distances = lengths[rows, cols].astype(np.float64)
    shares = classes[1:, rows, cols].T.astype(np.float64)
    shares /= np.maximum(shares.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    return Decoded(
        polygons(centers, np.maximum(distances, SHORTEST_RAY_PX)),
        prob[rows, cols],
        log_shares(shares, settings.cell_classes),
        labels,
    )


@njit(cache=True, nogil=True)
def _suppress(dist, rows, cols, labels, nms_threshold):  # pragma: no cover (compiled)
    """Greedy suppression in the given order; returns the kept rows and paints `labels` with 1..n.

    `dist` is (h, w, rays); shares are counted in pixels.
    """
    n, rays = len(rows), dist.shape[2]
    stride = labels.shape[0] // dist.shape[0]
    cosines = np.cos(2 * np.pi * np.arange(rays) / rays)
    sines = np.sin(2 * np.pi * np.arange(rays) / rays)
    xs, ys, crossings = np.empty(rays), np.empty(rays), np.empty(rays + 1)
    kept = np.empty(n, np.int64)
    areas, tally, met = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64), np.empty(n + 1, np.int64)
    count = 0
    for i in range(n):
        # Who begins within a nucleus that was kept shares more than that with it; most candidates do.
        if labels[rows[i] * stride, cols[i] * stride] > 0:
            continue
        for ray in range(rays):
            length = dist[rows[i], cols[i], ray]
            xs[ray] = cols[i] * stride + _FIRST_PIXEL_PX + length * cosines[ray]
            ys[ray] = rows[i] * stride + _FIRST_PIXEL_PX + length * sines[ray]
        area, touched = tally_pixels(labels, xs, ys, crossings, tally, met)
        lost = area == 0
        for other in met[:touched]:
            lost |= tally[other] > nms_threshold * min(area, areas[other])
            tally[other] = 0
        if lost:
            continue
        kept[count] = i
        count += 1
        areas[count] = area
        paint_free_pixels(labels, xs, ys, crossings, count)
    return kept[:count]
