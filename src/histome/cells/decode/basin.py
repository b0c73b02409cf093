"""Nuclei from their parts by the rules of HoVer-NeXt (Baumann et al. 2024, MIDL).

A pixel is background, inside of a nucleus or at its border, and of the likeliest type. What is inside enough
is a seed, what is background little enough is flooded from the seeds, from the most inside outwards; how much
is enough the card says for each type. A nucleus is of the type of most of its pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps
from histome.cells.decode.hover import flood
from histome.cells.decode.outlined import (
    even_outlines,
    in_raster_order,
    label_sums,
    largest_pieces,
    log_shares,
)
from histome.geometry.raster import paint_outlines
from histome.models.card import Basins

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


def decode_basin(maps: Maps, settings: DecodeSettings) -> Decoded:
    """Return the nuclei in the outputs `classes` (1 + k, h, w), background first, and `parts` (3, h, w).

    A score is the mean over the nucleus of what is not background, a logit the logarithm of a type's share of
    its pixels.
    """
    cuts, parts = settings.basins, maps["parts"]
    assert cuts is not None
    types = maps["classes"][1:].argmax(0)
    labels = in_raster_order(largest_pieces(_basins(parts, types, cuts)))
    counts = _type_counts(labels, types, len(cuts.seed))
    kept = _of_good_size(counts, cuts, settings.mpp)
    labels, counts = (np.cumsum(kept) * kept).astype(np.int32)[labels], counts[kept[1:]]
    outlines = even_outlines(labels, settings.corners)
    filled = np.where(labels > 0, labels, paint_outlines(outlines, labels.shape))
    scores = label_sums(filled, 1 - parts[0]) / np.maximum(label_sums(filled, None), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return Decoded(outlines, scores.astype(np.float32), log_shares(shares, settings.cell_classes), filled)


def _basins(parts: Float32, types: NDArray[np.intp], cuts: Basins) -> Int32:
    """Instance map: what each seed floods."""
    nuclear = 1 - parts[0] > np.array(cuts.foreground, np.float32)[types]
    seeds = parts[1] > np.array(cuts.seed, np.float32)[types]
    _, labels = cv2.connectedComponents(seeds.astype(np.uint8), connectivity=8)
    labels = np.where(nuclear, labels, 0).astype(np.int32)
    flood(1 - parts[1], labels, nuclear, 8)
    return labels


def _type_counts(labels: Int32, types: NDArray[np.intp], k: int) -> NDArray[np.int64]:
    """(n, k) pixels of each type in each instance."""
    inside = labels > 0
    places = (labels[inside] - 1) * k + types[inside]
    return np.bincount(places, minlength=int(labels.max()) * k).reshape(-1, k)


def _of_good_size(counts: NDArray[np.int64], cuts: Basins, mpp: float) -> NDArray[np.bool_]:
    """(1 + n,) whether an instance is larger than its type's least and smaller than its most; 0 is none."""
    area_um2, of = counts.sum(1) * mpp**2, counts.argmax(1)
    good = (area_um2 > np.array(cuts.least_um2)[of]) & (area_um2 < np.array(cuts.most_um2)[of])
    return np.concatenate([[False], good])
