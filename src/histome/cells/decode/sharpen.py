"""Sharper outlines: all cells of the grid inside a nucleus vote on where it ends.

Suppression keeps the polygon of one cell of a grid of 1 um, the likeliest, whose 32 lengths are one guess.
The other cells that this polygon covers each have a polygon of their own for the same nucleus; a pixel's
votes are the share of them, weighted by object probability, that hold it. Where a network also gives the mask
of all nuclei at the input's resolution and, for each cell of its grid, the way to the nucleus' centroid
(center-offset voting, as in Panoptic-DeepLab, arXiv:1911.10194), votes and mask together say whether a pixel
is inside, votes and offset whose it is, and the rays are cast anew in what each nucleus got, to a fraction of
a pixel.
"""

from typing import NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.cells.decode.decoded import Maps
from histome.geometry.polygons import centroids, polygon_areas
from histome.geometry.raster import paint_outlines

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

# A pixel is inside where this share of the votes' and the rest of the mask's probability come to half.
VOTE_SHARE, INSIDE = 0.4, 0.5
# No mask makes a pixel part of a nucleus that fewer votes than these give it to.
FEWEST_VOTES = 0.05
# A nucleus that gets less than this share of its polygon keeps its polygon.
SMALLEST_SHARE = 0.4
_STEP_PX = 0.25
_GAP_STEPS, _EDGE_STEPS = 6, 4


class PixelMaps(NamedTuple):
    """What a network says of one window's pixels.

    Attributes
    ----------
    prob : (h, w) float32, 0-1
        Object probability, a value a grid cell.
    dist : (rays, h, w) float32, px
        Ray lengths in input pixels.
    mask : (h * stride, w * stride) float32, 0-1
        Probability that a pixel lies in a nucleus, at the input's resolution.
    offset : (2, h, w) float32, px
        x and y from a cell's center to its nucleus' centroid, input pixels.
    """

    prob: Float32
    dist: Float32
    mask: Float32
    offset: Float32

    @classmethod
    def of(cls, maps: Maps) -> Self:
        """Return those of the outputs of a `stardist` model."""
        return cls(maps["prob"][0], maps["dist"], maps["mask"][0], maps["offset"])


@njit(cache=True, nogil=True)
def _share_pixels(maps, painted, outlines, centers, areas):  # pragma: no cover (compiled)
    """Labels 1..n and how surely each pixel is inside; `painted` says which nucleus a cell votes for."""
    height, width = maps.mask.shape
    labels = np.zeros((height, width), np.int32)
    inside = np.zeros((height, width), np.float32)
    best = np.zeros((height, width), np.float32)
    ballot = np.zeros((height, width + 1))
    for i in range(outlines.shape[0]):
        box = _box(outlines[i], height, width)
        total = _collect_votes(maps, painted, i + 1, box, ballot)
        top, bottom, left, right = box
        for row in range(top, bottom):
            votes = 0.0
            for col in range(left, right):
                votes += ballot[row, col]
                ballot[row, col] = 0.0
                share = votes / total if total > 0 else 0.0
                if share < FEWEST_VOTES:
                    continue
                sure = VOTE_SHARE * share + (1 - VOTE_SHARE) * maps.mask[row, col]
                if sure < INSIDE:
                    if labels[row, col] == 0:
                        inside[row, col] = max(inside[row, col], sure)
                    continue
                claim = share + np.exp(-_missed(maps, row, col, centers[i]) * np.pi / areas[i])
                if claim > best[row, col]:
                    best[row, col], labels[row, col], inside[row, col] = claim, i + 1, sure
            ballot[row, right] = 0.0
    return labels, inside


@njit(cache=True, nogil=True)
def _box(outline, height, width):  # pragma: no cover (compiled)
    """Rows and columns, first and end, where votes for a polygon are counted: its size all around it."""
    left, right = outline[:, 0].min(), outline[:, 0].max()
    top, bottom = outline[:, 1].min(), outline[:, 1].max()
    around = max(right - left, bottom - top)
    return (
        min(max(0, int(top - around)), height),
        max(0, min(height, int(bottom + around) + 1)),
        min(max(0, int(left - around)), width),
        max(0, min(width, int(right + around) + 1)),
    )


@njit(cache=True, nogil=True)
def _collect_votes(maps, painted, label, box, ballot):  # pragma: no cover (compiled)
    """Cast the polygon of each cell painted with `label`; returns the sum of their weights.

    A vote is added where a row of its polygon begins and taken off behind its end: running sums along the
    rows of `ballot` are the votes.
    """
    stride = maps.mask.shape[0] // maps.prob.shape[0]
    rays = maps.dist.shape[0]
    angles = 2 * np.pi * np.arange(rays) / rays
    cosines, sines = np.cos(angles), np.sin(angles)
    total = 0.0
    for row in range(box[0] // stride, min(maps.prob.shape[0], box[1] // stride + 1)):
        for col in range(box[2] // stride, min(maps.prob.shape[1], box[3] // stride + 1)):
            # The pixel right below and right of the cell's center stands for the cell.
            if painted[row * stride + stride // 2, col * stride + stride // 2] != label:
                continue
            weight = float(maps.prob[row, col])
            total += weight
            x, y = (col + 0.5) * stride, (row + 0.5) * stride
            x0, y0 = (
                x + maps.dist[rays - 1, row, col] * cosines[-1],
                y + maps.dist[rays - 1, row, col] * sines[-1],
            )
            for ray in range(rays):
                x1, y1 = (
                    x + maps.dist[ray, row, col] * cosines[ray],
                    y + maps.dist[ray, row, col] * sines[ray],
                )
                _add_edge(ballot, box, x0, y0, x1, y1, weight)
                x0, y0 = x1, y1
    return total


@njit(cache=True, nogil=True)
def _add_edge(ballot, box, x0, y0, x1, y1, weight):  # pragma: no cover (compiled)
    """Add `weight` where the rows right of an edge begin that goes up, take it off where it goes down."""
    top, bottom, left, right = box
    first = max(top, int(np.ceil(min(y0, y1) - 0.5)))
    end = min(bottom, int(np.ceil(max(y0, y1) - 0.5)))
    for row in range(first, end):
        x = x0 + (x1 - x0) * (row + 0.5 - y0) / (y1 - y0)
        col = min(max(int(np.ceil(x - 0.5)), left), right)
        ballot[row, col] += weight if y1 < y0 else -weight


@njit(cache=True, nogil=True)
def _missed(maps, row, col, center):  # pragma: no cover (compiled)
    """Squared distance from where a pixel's offset points to a center, px2."""
    stride = maps.mask.shape[0] // maps.prob.shape[0]
    to_x = col + 0.5 + maps.offset[0, row // stride, col // stride] - center[0]
    to_y = row + 0.5 + maps.offset[1, row // stride, col // stride] - center[1]
    return to_x * to_x + to_y * to_y


@njit(cache=True, nogil=True)
def _centroids(labels, n):  # pragma: no cover (compiled)
    """(n, 3) x, y of each label's centroid and its number of pixels."""
    sums = np.zeros((n, 3))
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            k = labels[row, col] - 1
            if k >= 0:
                sums[k, 0] += col + 0.5
                sums[k, 1] += row + 0.5
                sums[k, 2] += 1
    for k in range(n):
        if sums[k, 2] > 0:
            sums[k, 0] /= sums[k, 2]
            sums[k, 1] /= sums[k, 2]
    return sums


@njit(cache=True, nogil=True)
def _cast(labels, inside, middles, smallest, lengths):  # pragma: no cover (compiled)
    """Ray lengths from each label's middle to where the label ends for good; a gap of a pixel is passed over.

    Rows of `lengths` stay 0 for a label with less than `smallest` pixels or a middle outside itself.
    """
    n, rays = lengths.shape
    for k in range(n):
        x, y = middles[k, 0], middles[k, 1]
        if middles[k, 2] < smallest[k] or labels[int(y), int(x)] != k + 1:
            continue
        for ray in range(rays):
            angle = 2 * np.pi * ray / rays
            dx, dy = np.cos(angle) * _STEP_PX, np.sin(angle) * _STEP_PX
            step, last = 0, 0
            while step - last <= _GAP_STEPS:
                step += 1
                label = _label_at(labels, x + step * dx, y + step * dy)
                if label < 0:
                    break
                if label == k + 1:
                    last = step
            end = last + 0.5
            if _label_at(labels, x + (last + 1) * dx, y + (last + 1) * dy) == 0:
                end = _edge(inside, x, y, dx, dy, last)
            lengths[k, ray] = end * _STEP_PX


@njit(cache=True, nogil=True)
def _label_at(labels, x, y):  # pragma: no cover (compiled)
    """Label of the pixel that holds a point, -1 outside the window."""
    col, row = int(np.floor(x)), int(np.floor(y))
    if col < 0 or row < 0 or row >= labels.shape[0] or col >= labels.shape[1]:
        return -1
    return labels[row, col]


@njit(cache=True, nogil=True)
def _edge(inside, x, y, dx, dy, last):  # pragma: no cover (compiled)
    """Steps along a ray to where `inside`, linear between pixel centers, falls below `INSIDE` near `last`."""
    before = INSIDE
    for step in range(max(0, last - _EDGE_STEPS), last + _EDGE_STEPS + 1):
        sure = _between(inside, x + step * dx, y + step * dy)
        if sure < INSIDE:
            return max(step - (INSIDE - sure) / (before - sure), 0.5)
        before = sure
    return last + 0.5


@njit(cache=True, nogil=True)
def _between(values, x, y):  # pragma: no cover (compiled)
    """Value at a point, linear between the centers of the four pixels around it."""
    col = min(max(int(np.floor(x - 0.5)), 0), values.shape[1] - 2)
    row = min(max(int(np.floor(y - 0.5)), 0), values.shape[0] - 2)
    u, v = x - 0.5 - col, y - 0.5 - row
    above = values[row, col] * (1 - u) + values[row, col + 1] * u
    below = values[row + 1, col] * (1 - u) + values[row + 1, col + 1] * u
    return above * (1 - v) + below * v


def polygons(centers: NDArray[np.float64], distances: Float32) -> NDArray[np.float64]:
    """(n, 2) centers and (n, rays) ray lengths -> (n, rays, 2) x, y of the open outline, same unit."""
    angles = 2 * np.pi * np.arange(distances.shape[1]) / distances.shape[1]
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return centers[:, None, :] + distances[..., None] * rays[None]


def sharpen(outlines: NDArray[np.float64], maps: PixelMaps) -> tuple[NDArray[np.float64], Int32]:
    """Outlines by the votes of all cells, of nuclei that star-convex polygons found.

    Parameters
    ----------
    outlines : (n, rays, 2) float64, px
        x, y of the polygons in input pixels; of two that overlap, the first has the other's cells.
    maps : PixelMaps
        What the network says of the pixels.

    Returns
    -------
    outlines : (n, rays, 2) float64, px
        The new ones; the old one of a nucleus that is given too little.
    labels : (H, W) int32
        Instance map of them, 1..n; where two overlap, the first has it.
    """
    areas = np.maximum(polygon_areas(outlines), 1.0)
    painted = paint_outlines(outlines, maps.mask.shape)
    labels, inside = _share_pixels(maps, painted, outlines, centroids(outlines), areas)
    middles = _centroids(labels, len(outlines))
    distances = np.zeros(outlines.shape[:2], np.float32)
    _cast(labels, inside, middles, SMALLEST_SHARE * areas, distances)
    cast = distances[:, 0] > 0
    sharper = np.where(cast[:, None, None], polygons(middles[:, :2], distances), outlines)
    return sharper, paint_outlines(sharper, maps.mask.shape)
