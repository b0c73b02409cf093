"""Nuclei from seeds and embeddings by the rules of InstanSeg (Goldsborough et al. 2024, arXiv:2408.15954).

A pixel points to a place (its own and an offset, in units of four pixels) and has two spreads. Seeds are the
peaks of the seed map. A small perceptron, which is in the card, says of each pixel near a seed whether it is
of that nucleus; what hangs together with the seed is kept, holes are filled. Of two seeds whose nuclei are
much alike the first has both, and a pixel that several want goes to the likeliest.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps
from histome.cells.decode.outlined import of_one_class
from histome.models.card import PixelVotes

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

# Pixels per unit of a place.
_UNIT_PX = 4
# A hole lies no farther than so many pixels from its nucleus.
_HOLE_PX = 3


def decode_seed(maps: Maps, settings: DecodeSettings) -> Decoded:
    """Return the nuclei in the outputs `seed` (1, h, w), `offset` and `spread` (2, h, w).

    Of the thresholds `prob` is the least probability of a nucleus' pixel, `nms` the share of the pixels of
    either that two seeds of one nucleus have in common, `min_area_um2` the smallest nucleus.
    """
    assert settings.votes is not None
    seeds, cuts = seed_places(maps["seed"][0], settings.votes), settings.thresholds
    points = np.concatenate([_places(maps["offset"]), maps["spread"]])
    gathered = _gather(points, seeds, settings.votes, cuts.prob)
    labels, prob = _settle(gathered, points.shape[1:])
    return of_one_class(_joined(gathered, points.shape[1:], cuts.nms)[labels], prob, settings)


def seed_places(seed: Float32, votes: PixelVotes) -> NDArray[np.int64]:
    """(n, 2) row and column of the peaks of a seed map, in raster order."""
    return np.argwhere(_peaks(np.ascontiguousarray(seed), np.float32(votes.seed), votes.apart_px))


def _places(offset: Float32) -> Float32:
    """Where pixels point, x and y."""
    height, width = offset.shape[1:]
    # The last pixel is as far as the window is wide: theirs, so a hair over a quarter a pixel.
    x = np.linspace(0, width / _UNIT_PX, width, dtype=np.float32)
    y = np.linspace(0, height / _UNIT_PX, height, dtype=np.float32)
    return offset + np.stack(np.broadcast_arrays(x, y[:, None]))


@njit(cache=True, nogil=True)
def _peaks(seed, least, apart):  # pragma: no cover (compiled)
    """Whether a pixel is above `least` and none in the square around it larger, nor as large and before."""
    height, width = seed.shape
    peaks = np.zeros((height, width), np.bool_)
    for row in range(height):
        for col in range(width):
            value = seed[row, col]
            if not value > least:
                continue
            peak = True
            for r in range(max(row - apart, 0), min(row + apart + 1, height)):
                for c in range(max(col - apart, 0), min(col + apart + 1, width)):
                    before = r < row or (r == row and c < col)
                    if seed[r, c] > value or (before and seed[r, c] == value):
                        peak = False
                        break
                if not peak:
                    break
            peaks[row, col] = peak
    return peaks


def _gather(
    points: Float32, seeds: NDArray[np.int64], votes: PixelVotes, least: float
) -> tuple[Int32, Float32, NDArray[np.int64]]:
    """Pixels (row * w + column) of all nuclei, their probabilities, and where each nucleus begins."""
    units = max(len(rows) for rows in votes.layers)
    layers = np.zeros((len(votes.layers), units, max(units, 4) + 1), np.float32)
    widths = np.array([len(rows) for rows in votes.layers])
    for k, rows in enumerate(votes.layers):
        # The bias is last, in whatever place that is.
        layers[k, : len(rows), : len(rows[0]) - 1] = [row[:-1] for row in rows]
        layers[k, : len(rows), -1] = [row[-1] for row in rows]
    side = min(2 * votes.reach_px, *points.shape[1:])
    return _gather_all(np.ascontiguousarray(points), seeds, layers, widths, side // 2, np.float32(least))


@njit(cache=True, nogil=True, error_model="numpy")
def _vote(points, row, col, seed_at, layers, widths, values):  # pragma: no cover (compiled)
    """Probability that a pixel is of a seed's nucleus; `values` (2, units) are overwritten."""
    for k in range(4):
        values[0, k] = points[k, row, col]
    values[0, 0] -= points[0, seed_at[0], seed_at[1]]
    values[0, 1] -= points[1, seed_at[0], seed_at[1]]
    inputs, here = 4, 0
    for layer in range(len(widths)):
        for unit in range(widths[layer]):
            total = layers[layer, unit, -1]
            for k in range(inputs):
                total += layers[layer, unit, k] * values[here, k]
            values[1 - here, unit] = total if layer == len(widths) - 1 else max(total, np.float32(0))
        inputs, here = widths[layer], 1 - here
    return np.float32(1) / (np.float32(1) + np.exp(-values[here, 0]))


@njit(cache=True, nogil=True, error_model="numpy")
def _gather_all(points, seeds, layers, widths, reach, least):  # pragma: no cover (compiled)
    """See `_gather`: pixels that hang together with a seed, diagonals too, with holes filled."""
    height, width = points.shape[1:]
    side = 2 * reach
    pixels, probs = np.empty(1024, np.int32), np.empty(1024, np.float32)
    starts = np.zeros(len(seeds) + 1, np.int64)
    values = np.empty((2, layers.shape[2]), np.float32)
    stack = np.empty(side * side, np.int32)
    count = 0
    for i in range(len(seeds)):
        top = min(max(seeds[i, 0], reach), height - reach) - reach
        left = min(max(seeds[i, 1], reach), width - reach) - reach
        prob = np.full((side, side), np.float32(-1))  # not asked yet
        inside = np.zeros((side, side), np.bool_)
        depth, start = 1, (seeds[i, 0] - top) * side + seeds[i, 1] - left
        stack[0] = start
        first_row, end_row, first_col, end_col = side, 0, side, 0
        while depth > 0:
            depth -= 1
            row, col = stack[depth] // side, stack[depth] % side
            for r in range(max(row - 1, 0), min(row + 2, side)):
                for c in range(max(col - 1, 0), min(col + 2, side)):
                    if prob[r, c] >= 0:
                        continue
                    prob[r, c] = _vote(points, top + r, left + c, seeds[i], layers, widths, values)
                    if prob[r, c] >= least:
                        inside[r, c] = True
                        stack[depth] = r * side + c
                        depth += 1
                        first_row, end_row = min(first_row, r), max(end_row, r + 1)
                        first_col, end_col = min(first_col, c), max(end_col, c + 1)
        if end_row > 0:
            rim = _HOLE_PX + 1
            first_row, end_row = max(first_row - rim, 0), min(end_row + rim, side)
            first_col, end_col = max(first_col - rim, 0), min(end_col + rim, side)
            part = inside[first_row:end_row, first_col:end_col]
            filled = _filled(part, stack)
            most = count + filled.size
            if most > len(pixels):
                pixels, probs = _longer(pixels, most), _longer(probs, most)
            for r in range(filled.shape[0]):
                for c in range(filled.shape[1]):
                    if filled[r, c]:
                        row, col = first_row + r, first_col + c
                        pixels[count] = (top + row) * width + left + col
                        probs[count] = prob[row, col] if inside[row, col] else least
                        count += 1
        starts[i + 1] = count
    return pixels[:count].copy(), probs[:count].copy(), starts


@njit(cache=True, nogil=True)
def _longer(array: Any, least: int) -> Any:  # pragma: no cover (compiled)
    longer = np.empty(2 * least, array.dtype)
    longer[: len(array)] = array
    return longer


@njit(cache=True, nogil=True)
def _filled(inside, stack):  # pragma: no cover (compiled)
    """The mask and its holes: background that hangs together with none farther than `_HOLE_PX` from it."""
    height, width = inside.shape
    outside = np.zeros((height, width), np.bool_)
    depth = 0
    for row in range(height):
        for col in range(width):
            rows = slice(max(row - _HOLE_PX, 0), row + _HOLE_PX + 1)
            if not inside[rows, max(col - _HOLE_PX, 0) : col + _HOLE_PX + 1].any():
                outside[row, col] = True
                stack[depth] = row * width + col
                depth += 1
    while depth > 0:
        depth -= 1
        row, col = stack[depth] // width, stack[depth] % width
        for r in range(max(row - 1, 0), min(row + 2, height)):
            for c in range(max(col - 1, 0), min(col + 2, width)):
                if not (inside[r, c] or outside[r, c]):
                    outside[r, c] = True
                    stack[depth] = r * width + c
                    depth += 1
    return ~outside


def _settle(
    gathered: tuple[Int32, Float32, NDArray[np.int64]], shape: tuple[int, int]
) -> tuple[Int32, Float32]:
    """Number of the seed, 1..n, that wants each pixel most, the first of several, and how much; else 0."""
    labels, prob = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    _settle_all(*gathered, labels.reshape(-1), prob.reshape(-1))
    return labels, prob


@njit(cache=True, nogil=True)
def _settle_all(pixels, probs, starts, labels, prob):  # pragma: no cover (compiled)
    for i in range(len(starts) - 1):
        for k in range(starts[i], starts[i + 1]):
            if probs[k] > prob[pixels[k]]:
                labels[pixels[k]], prob[pixels[k]] = i + 1, probs[k]


def _joined(gathered: tuple[Int32, Float32, NDArray[np.int64]], shape: tuple[int, int], most: float) -> Int32:
    """Seed -> nucleus, 0..n: seeds whose pixels are more than `most` the same are of the first's nucleus."""
    pixels, _, starts = gathered
    root = np.arange(len(starts), dtype=np.int32)
    _join_alike(pixels, starts, shape, np.float32(most), root)
    for i in range(len(root)):  # each is joined to one before it
        root[i] = root[root[i]]
    return root


@njit(cache=True, nogil=True)
def _join_alike(pixels, starts, shape, most, root):  # pragma: no cover (compiled)
    n, (height, width) = len(starts) - 1, shape
    boxes = np.zeros((n, 4), np.int64)
    for i in range(n):
        boxes[i, 0], boxes[i, 2] = height, width
        for k in range(starts[i], starts[i + 1]):
            row, col = pixels[k] // width, pixels[k] % width
            boxes[i, 0], boxes[i, 1] = min(boxes[i, 0], row), max(boxes[i, 1], row + 1)
            boxes[i, 2], boxes[i, 3] = min(boxes[i, 2], col), max(boxes[i, 3], col + 1)
    held = np.zeros(height * width, np.int32)
    for i in range(n):
        for k in range(starts[i], starts[i + 1]):
            held[pixels[k]] = i + 1
        for j in range(i + 1, n):
            if boxes[j, 0] >= boxes[i, 1] or boxes[i, 0] >= boxes[j, 1]:
                continue
            if boxes[j, 2] >= boxes[i, 3] or boxes[i, 2] >= boxes[j, 3]:
                continue
            shared = 0
            for k in range(starts[j], starts[j + 1]):
                shared += held[pixels[k]] == i + 1
            union = starts[i + 1] - starts[i] + starts[j + 1] - starts[j] - shared
            if union > 0 and np.float32(shared) / np.float32(union) > most:
                a, b = _first(root, i + 1), _first(root, j + 1)
                root[max(a, b)] = min(a, b)


@njit(cache=True, nogil=True)
def _first(root, label):  # pragma: no cover (compiled)
    while root[label] != label:
        label = root[label]
    return label
