"""Tiles that cannot be read: where they lie on a quality map, and how much of the tissue lies in them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from histome.slide import ClassMap

Mask = NDArray[np.bool_]
_TISSUE = ("VALID_TISSUE", "OUT_OF_FOCUS", "TISSUE_ARTIFACT")


def box_mask(
    boxes: Sequence[Sequence[int]], mpp: tuple[float, float], *, shape: tuple[int, int], map_mpp: float
) -> Mask:
    """Return the pixels of a map of `map_mpp` that boxes (x0, y0, x1, y1 in px of `mpp`) touch."""
    mask = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        x0, x1 = (int(np.floor(v * mpp[0] / map_mpp)) for v in (left, right - 1e-6))
        y0, y1 = (int(np.floor(v * mpp[1] / map_mpp)) for v in (top, bottom - 1e-6))
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def broken_share(quality_map: ClassMap, broken: Mask, unseen: Mask) -> float:
    """Return the share of the tissue that lies in broken tiles, 0-1.

    What was broken already when the map was made (`unseen`, part of `broken`) is taken for tissue where the
    nearest pixel that could be seen is tissue. On a slide without tissue it is the share of the slide.
    """
    if unseen.all():
        return 1.0
    tissue = np.logical_or.reduce([quality_map.mask(name) for name in _TISSUE])
    if unseen.any():
        nearest = np.asarray(distance_transform_edt(unseen, return_distances=False, return_indices=True))
        tissue = tissue[nearest[0], nearest[1]]
    return float((tissue & broken).sum() / tissue.sum()) if tissue.any() else float(broken.mean())
