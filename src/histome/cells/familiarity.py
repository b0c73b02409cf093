"""How far a cell's surroundings lie from what the model learned: a distance of plain numbers, per cell.

Over the cells around each one: their stain, their sizes, and how sure the network is of object and class. The
Mahalanobis distance of these eight from those of labeled fields tells skin, sarcoma and other scanners from
organs that were kept back, and needs no output of the network that is not there already. Features of the
network's own layers (its last, at strides 16 and 32) did not: docs/models.md has the comparison.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.models.card import Familiarity

# Cells in the 3 x 3 blocks around a cell's block; fewer say nothing of the tissue.
BLOCK_UM, FEWEST_CELLS = 100.0, 15


class CellSigns(NamedTuple):
    """What each of n cells shows of its place, each (n,) float64.

    Attributes
    ----------
    hematoxylin_od_mean, hematoxylin_od_sd, eosin_od_mean : optical density
        As in the cells table; NaN for a nucleus without a pixel.
    log_area : ln um2
        Of the outline.
    energy : nats
        T ln sum exp(logits / T), T the card's temperature (Liu et al. 2020, arXiv:2010.03759).
    confidence, score : 0-1
        Of the class and of the object.
    """

    hematoxylin_od_mean: NDArray[np.float64]
    hematoxylin_od_sd: NDArray[np.float64]
    eosin_od_mean: NDArray[np.float64]
    log_area: NDArray[np.float64]
    energy: NDArray[np.float64]
    confidence: NDArray[np.float64]
    score: NDArray[np.float64]


def free_energy(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return T ln sum exp(logits / T) over the last axis."""
    scaled = logits / temperature
    top = scaled.max(axis=-1, initial=-np.inf)
    return temperature * (top + np.log(np.exp(scaled - top[..., None]).sum(axis=-1)))


def summarize_signs(signs: CellSigns) -> NDArray[np.float64]:
    """Return the eight numbers of one field, (8,): the means, and the standard deviation of `log_area`.

    All NaN for fewer than `FEWEST_CELLS`.
    """
    values, known = _columns(signs)
    sums = values[known].sum(axis=0)[None]
    return _features(sums, np.array([np.count_nonzero(known)]))[0]


def surroundings(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], signs: Iterable[CellSigns]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the eight numbers around each block, (blocks, 8), and the block of each cell, (n,).

    They are of the cells in the 3 x 3 blocks round it; `signs` are those of all cells, in parts, in order.
    """
    if not len(x_um):
        return np.empty((0, len(CellSigns._fields) + 1)), np.empty(0, np.int64)
    rows, columns = (np.floor(at / BLOCK_UM).astype(np.int64) for at in (y_um, x_um))
    rows, columns = rows - rows.min() + 1, columns - columns.min() + 1
    shape = int(rows.max()) + 2, int(columns.max()) + 2
    sums = [_box(each.reshape(shape)) for each in _block_sums(signs, rows * shape[1] + columns, shape)]
    found = _features(np.stack([part.ravel() for part in sums[1:]], axis=1), sums[0].ravel())
    return found, (rows - 1) * (shape[1] - 2) + columns - 1


def _block_sums(
    signs: Iterable[CellSigns], block: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the cells of each block whose values are known, then the sum of each value over them."""
    sums, at = np.zeros((len(CellSigns._fields) + 2, shape[0] * shape[1])), 0
    for part in signs:
        values, known = _columns(part)
        values[~known] = 0.0
        here = block[at : at + len(known)]
        for total, weight in zip(sums, (known.astype(np.float64), *values.T.copy()), strict=True):
            np.add.at(total, here, weight)
        at += len(known)
    return sums


def strangeness(features: NDArray[np.float64], known: Familiarity) -> NDArray[np.float64]:
    """Return the distance of (n, 8) numbers from what was learned, (n,): 1 at the card's limit, or NaN."""
    moved = (features - np.array(known.mean)) @ np.array(known.whitening).T
    return np.sqrt((moved**2).mean(axis=1))


def _columns(signs: CellSigns) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each cell's values with the square of `log_area` last, (n, 8), and whether all of them are known."""
    values = np.stack([*signs, signs.log_area**2], axis=1)
    return values, np.asarray(np.isfinite(values).all(axis=1))


def _features(sums: NDArray[np.float64], counts: NDArray) -> NDArray[np.float64]:
    means = sums / np.maximum(counts, 1)[:, None]
    area = CellSigns._fields.index("log_area")
    spread = np.sqrt(np.maximum(means[:, -1] - means[:, area] ** 2, 0.0))
    features = np.concatenate([means[:, :-1], spread[:, None]], axis=1)
    features[counts < FEWEST_CELLS] = np.nan
    return features


def _box(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum 3 x 3 blocks around each but those at the edge."""
    height, width = blocks.shape
    parts = [blocks[dy : height - 2 + dy, dx : width - 2 + dx] for dy in range(3) for dx in range(3)]
    return np.sum(parts, axis=0)
