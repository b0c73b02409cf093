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

from histome.cells.decode.decoded import Maps, by_cells
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
# Nuclei are taken from left to right in bands of rows: by falling probability none would find its pixels in a
# cache, at twice the time.
_BAND_PX = 64


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


@njit(cache=True, nogil=True, error_model="numpy")
def _share_pixels(maps, painted, polygons, order):  # pragma: no cover (compiled)
    """Labels 1..n and how surely each pixel is inside; `painted` says which nucleus a cell votes for.

    `maps.dist` is (h, w, rays) here; `polygons` are outlines, centers and areas. They are taken in `order`,
    which decides nothing: of two that claim a pixel alike the first row has it.
    """
    outlines, centers, areas = polygons
    mask, offset = maps.mask, maps.offset
    height, width = mask.shape
    stride = height // maps.prob.shape[0]
    labels = np.zeros((height, width), np.int32)
    inside = np.zeros((height, width), np.float32)
    best = np.zeros((height, width), np.float32)
    ballot = np.zeros((height, width + 1))
    rays = _unit_rays(maps.dist.shape[2])
    for i in order:
        box = _box(outlines[i], height, width)
        place = (outlines[i], box)
        total, reached = _collect_votes(maps, painted, i + 1, place, (ballot, rays))
        top, bottom, left, right = reached
        for row in range(top, bottom):
            votes = 0.0
            for col in range(left, min(right, box[3])):
                votes += ballot[row, col]
                ballot[row, col] = 0.0
                share = votes / total if total > 0 else 0.0
                if share < FEWEST_VOTES:
                    continue
                sure = VOTE_SHARE * share + (1 - VOTE_SHARE) * mask[row, col]
                if sure < INSIDE:
                    if labels[row, col] == 0:
                        inside[row, col] = max(inside[row, col], sure)
                    continue
                missed = _missed(offset, row, col, (stride, centers[i, 0], centers[i, 1]))
                claim = np.float32(share + np.exp(-missed * np.pi / areas[i]))
                if claim > best[row, col] or (claim == best[row, col] and i < labels[row, col] - 1):
                    best[row, col], labels[row, col], inside[row, col] = claim, i + 1, sure
            ballot[row, box[3]] = 0.0
    return labels, inside


@njit(cache=True, nogil=True, error_model="numpy")
def _unit_rays(n):  # pragma: no cover (compiled)
    """Cosines and sines of n rays, (2, n)."""
    angles = 2 * np.pi * np.arange(n) / n
    rays = np.empty((2, n))
    rays[0], rays[1] = np.cos(angles), np.sin(angles)
    return rays


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _collect_votes(maps, painted, label, place, scratch):  # pragma: no cover (compiled)
    """Cast the polygon of each cell painted with `label`; returns the weights' sum, rows and columns reached.

    A vote is added where a row of its polygon begins and taken off behind its end: running sums along the
    rows of the ballot are the votes. `place` is the label's own polygon, which holds all its cells, and the
    box that no vote leaves; `scratch` the ballot and the unit rays.
    """
    (outline, box), (ballot, rays) = place, scratch
    stride = maps.mask.shape[0] // maps.prob.shape[0]
    n = rays.shape[1]
    x, y, low = np.empty(n), np.empty(n), np.empty(n, np.int64)
    reached = np.array([box[1], box[0], box[3], box[2]])
    total = 0.0
    end_row = min(maps.prob.shape[0], int(max(outline[:, 1].max(), 0.0)) // stride + 1)
    end_col = min(maps.prob.shape[1], int(max(outline[:, 0].max(), 0.0)) // stride + 1)
    for row in range(int(max(outline[:, 1].min(), 0.0)) // stride, end_row):
        for col in range(int(max(outline[:, 0].min(), 0.0)) // stride, end_col):
            # The pixel right below and right of the cell's center stands for the cell.
            if painted[row * stride + stride // 2, col * stride + stride // 2] != label:
                continue
            weight = float(maps.prob[row, col])
            total += weight
            for ray in range(n):
                x[ray] = (col + 0.5) * stride + maps.dist[row, col, ray] * rays[0, ray]
                y[ray] = (row + 0.5) * stride + maps.dist[row, col, ray] * rays[1, ray]
            for ray in range(n):
                low[ray] = int(np.ceil(y[ray] - 0.5))
            _add_polygon(ballot, box, (x, y, low), weight, reached)
    return total, (reached[0], reached[1], reached[2], reached[3])


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _add_polygon(ballot, box, corners, weight, reached):  # pragma: no cover (compiled)
    """Add `weight` where the rows right of an edge begin that goes up, take it off where it goes down.

    `corners` are x, y and the first row whose center is not above each; `reached` is widened to what is
    written, rows and columns, first and end.
    """
    top, bottom, left, right = box
    x, y, low = corners
    first_row, end_row, first_col, end_col = reached[0], reached[1], reached[2], reached[3]
    before = len(x) - 1
    for ray in range(len(x)):
        first, end = max(top, min(low[before], low[ray])), min(bottom, max(low[before], low[ray]))
        if first < end:
            first_row, end_row = min(first_row, first), max(end_row, end)
            x0, y0 = x[before], y[before]
            dx, dy = x[ray] - x0, y[ray] - y0
            step = weight if dy < 0 else -weight
            for row in range(first, end):
                at = int(np.ceil(x0 + dx * (row + 0.5 - y0) / dy - 0.5))
                col = min(max(at, left), right)
                first_col, end_col = min(first_col, col), max(end_col, col + 1)
                ballot[row, col] += step
        before = ray
    reached[0], reached[1], reached[2], reached[3] = first_row, end_row, first_col, end_col


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _missed(offset, row, col, center):  # pragma: no cover (compiled)
    """Squared distance from where a pixel's offset points to a center, px2; `center` is stride, x, y."""
    stride, x, y = center
    to_x = col + 0.5 + offset[0, row // stride, col // stride] - x
    to_y = row + 0.5 + offset[1, row // stride, col // stride] - y
    return to_x * to_x + to_y * to_y


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _cast(maps, middles, smallest, order, lengths):  # pragma: no cover (compiled)
    """Ray lengths from each label's middle to where the label ends for good; a gap of a pixel is passed over.

    Rows of `lengths` stay 0 for a label with less than `smallest` pixels or a middle outside itself.
    """
    (labels, inside), rays = maps, lengths.shape[1]
    steps = _unit_rays(rays) * _STEP_PX
    for k in order:
        x, y = middles[k, 0], middles[k, 1]
        if middles[k, 2] < smallest[k] or labels[int(y), int(x)] != k + 1:
            continue
        for ray in range(rays):
            dx, dy = steps[0, ray], steps[1, ray]
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


@njit(cache=True, nogil=True, error_model="numpy")
def _label_at(labels, x, y):  # pragma: no cover (compiled)
    """Label of the pixel that holds a point, -1 outside the window."""
    col, row = int(np.floor(x)), int(np.floor(y))
    if col < 0 or row < 0 or row >= labels.shape[0] or col >= labels.shape[1]:
        return -1
    return labels[row, col]


@njit(cache=True, nogil=True, error_model="numpy")
def _edge(inside, x, y, dx, dy, last):  # pragma: no cover (compiled)
    """Steps along a ray to where `inside`, linear between pixel centers, falls below `INSIDE` near `last`."""
    before = INSIDE
    for step in range(max(0, last - _EDGE_STEPS), last + _EDGE_STEPS + 1):
        sure = _between(inside, x + step * dx, y + step * dy)
        if sure < INSIDE:
            return max(step - (INSIDE - sure) / (before - sure), 0.5)
        before = sure
    return last + 0.5


@njit(cache=True, nogil=True, error_model="numpy")
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
    centers = centroids(outlines)
    order = np.lexsort((centers[:, 0], centers[:, 1] // _BAND_PX))
    seen = maps._replace(dist=by_cells(maps.dist))
    labels, inside = _share_pixels(seen, painted, (outlines, centers, areas), order)
    middles = _centroids(labels, len(outlines))
    distances = np.zeros(outlines.shape[:2], np.float32)
    _cast((labels, inside), middles, SMALLEST_SHARE * areas, order, distances)
    cast = distances[:, 0] > 0
    sharper = np.where(cast[:, None, None], polygons(middles[:, :2], distances), outlines)
    return sharper, paint_outlines(sharper, maps.mask.shape)
