"""From an instance map to nuclei: connected, numbered, with an outline and the evidence of its classes."""

from collections.abc import Sequence

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from histome.cells.decode.decoded import Decoded, DecodeSettings
from histome.classes import CELL_CLASSES
from histome.geometry.raster import paint_outlines

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

# A probability that is printed as 0; its logarithm must be finite.
LEAST_PROBABILITY = 1e-9


def of_one_class(labels: Int32, prob: Float32, settings: DecodeSettings) -> Decoded:
    """Nuclei of a model that tells no classes: of each instance the largest connected piece, without holes.

    Parameters
    ----------
    labels : (h, w) int32
        Instances, numbered anyhow, 0 = background.
    prob : (h, w) float32, 0-1
        A score is its mean over a nucleus.
    settings : DecodeSettings
        `min_area_um2` of its thresholds is the smallest nucleus; `cell_classes` holds one class.
    """
    pieces = in_raster_order(largest_pieces(labels))
    pieces = drop_small(pieces, settings.thresholds.min_area_um2 / settings.mpp**2)
    outlines = even_outlines(pieces, settings.corners)
    filled = np.where(pieces > 0, pieces, paint_outlines(outlines, pieces.shape))
    scores = label_sums(filled, prob) / np.maximum(label_sums(filled, None), 1)
    return Decoded(outlines, scores.astype(np.float32), one_class(len(outlines), settings), filled)


def one_class(n: int, settings: DecodeSettings) -> NDArray[np.float64]:
    """Logits (n, 9) of nuclei of a model that tells no classes: each is of the one there is."""
    return log_shares(np.ones((n, 1)), settings.cell_classes)


@njit(cache=True, nogil=True)
def largest_pieces(labels):  # pragma: no cover (compiled)
    """(h, w) int32: of each instance its largest 4-connected piece, of several the first."""
    height, width = labels.shape
    piece, sizes = np.zeros((height, width), np.int32), [0]
    top = labels.max() + 1
    best, of_label = np.zeros(top, np.int32), np.zeros(top, np.int64)
    stack = np.empty(height * width, np.int64)
    for start in range(height * width):
        label = labels[start // width, start % width]
        if label == 0 or piece[start // width, start % width] > 0:
            continue
        number, size, depth = len(sizes), 0, 1
        stack[0], piece[start // width, start % width] = start, number
        while depth > 0:
            depth -= 1
            row, col = stack[depth] // width, stack[depth] % width
            size += 1
            for k in range(4):
                r, c = row + (k == 0) - (k == 1), col + (k == 2) - (k == 3)
                if 0 <= r < height and 0 <= c < width and labels[r, c] == label and piece[r, c] == 0:
                    piece[r, c] = number
                    stack[depth] = r * width + c
                    depth += 1
        sizes.append(size)
        if size > of_label[label]:
            of_label[label], best[label] = size, number
    kept = np.zeros((height, width), np.int32)
    for row in range(height):
        for col in range(width):
            if labels[row, col] > 0 and piece[row, col] == best[labels[row, col]]:
                kept[row, col] = labels[row, col]
    return kept


def log_shares(shares: NDArray[np.float64], cell_classes: Sequence[str]) -> NDArray[np.float64]:
    """(m, k) shares of classes that count as `cell_classes` (k,) -> (m, 9) logarithms; floored, so finite."""
    summed = np.zeros((len(shares), len(CELL_CLASSES)))
    for share, name in zip(shares.T, cell_classes, strict=True):
        summed[:, CELL_CLASSES.index(name)] += share
    return np.log(np.maximum(summed, LEAST_PROBABILITY))


def in_raster_order(labels: Int32) -> Int32:
    """Number instances 1..n by their first pixel, without gaps."""
    ids, first = np.unique(labels, return_index=True)
    ids, first = ids[ids > 0], first[ids > 0]
    number = np.zeros(labels.max() + 1, np.int32)
    number[ids[np.argsort(first)]] = np.arange(1, len(ids) + 1)
    return number[labels]


def drop_small(labels: Int32, pixels: float) -> Int32:
    """Leave out instances of fewer pixels; what stays is numbered without gaps."""
    keep = np.bincount(labels.ravel()) >= pixels
    keep[0] = False
    return (np.cumsum(keep) * keep).astype(np.int32)[labels]


def label_sums(labels: Int32, plane: Float32 | None, n: int | None = None) -> NDArray[np.float64]:
    """Sum of a plane over each instance; their pixels without one. `n`: how many, else the largest label."""
    weights = None if plane is None else plane.ravel()
    count = int(labels.max()) if n is None else n
    return np.bincount(labels.ravel(), weights, count + 1)[1:].astype(np.float64)


def even_outlines(labels: Int32, corners: int) -> NDArray[np.float64]:
    """(n, corners, 2) outer outlines of 4-connected instances 1..n, x, y in pixels.

    The outline runs through the middles of the pixel edges (so a diagonal is straight), in even steps.
    """
    n = int(labels.max())
    _, first = np.unique(labels, return_index=True)
    first = first[-n:] if n else first[:0]
    padded = np.pad(labels, 1)
    starts = np.stack(np.divmod(first, labels.shape[1]), axis=1) + 1
    out = np.empty((n, corners, 2))
    longest = 4 * int(np.bincount(labels.ravel())[1:].max(initial=0)) + 4
    _trace_all(padded, starts, out, np.empty((longest, 2)))
    crossed = ~shapely.is_valid(shapely.polygons(out))
    for k in np.flatnonzero(crossed):  # even steps cut a corner of a hook-shaped one
        hull = shapely.get_coordinates(shapely.convex_hull(shapely.multipoints(out[k])))[:-1]
        turned = shapely.is_ccw(shapely.linearrings(hull))
        _even_steps(np.ascontiguousarray(hull if turned else hull[::-1]), len(hull), out[k])
    return out


@njit(cache=True, nogil=True)
def _trace_all(labels, starts, out, middles):  # pragma: no cover (compiled)
    """Walk round each instance, it at the right hand, from the upper edge of its first pixel."""
    step = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
    right = np.array([[0, 0], [0, -1], [-1, -1], [-1, 0]])
    left = np.array([[-1, 0], [0, 0], [0, -1], [-1, -1]])
    for i in range(starts.shape[0]):
        r, c, k, n = starts[i, 0], starts[i, 1], 0, 0
        while True:
            # -1: the map has a border of one pixel.
            middles[n, 0] = c + 0.5 * step[k, 1] - 1
            middles[n, 1] = r + 0.5 * step[k, 0] - 1
            n += 1
            r, c = r + step[k, 0], c + step[k, 1]
            for turn in (1, 0, 3):
                way = (k + turn) % 4
                here = labels[r + right[way, 0], c + right[way, 1]] == i + 1
                if here and labels[r + left[way, 0], c + left[way, 1]] != i + 1:
                    break
            k = way
            if r == starts[i, 0] and c == starts[i, 1] and k == 0:
                break
        _even_steps(middles, n, out[i])


@njit(cache=True, nogil=True)
def _even_steps(points, n, out):  # pragma: no cover (compiled)
    """Fill `out` with corners at even steps along the closed line through the first n points."""
    length = 0.0
    for k in range(n):
        after = (k + 1) % n
        length += np.hypot(points[after, 0] - points[k, 0], points[after, 1] - points[k, 1])
    corners = out.shape[0]
    k, passed, stride = 0, 0.0, length / corners
    for j in range(corners):
        while True:
            after = (k + 1) % n
            side = np.hypot(points[after, 0] - points[k, 0], points[after, 1] - points[k, 1])
            if passed + side >= j * stride or k == n - 1:
                break
            passed += side
            k += 1
        share = (j * stride - passed) / side if side > 0 else 0.0
        out[j, 0] = points[k, 0] + share * (points[after, 0] - points[k, 0])
        out[j, 1] = points[k, 1] + share * (points[after, 1] - points[k, 1])
