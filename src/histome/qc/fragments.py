"""Pieces of tissue: which cross-section a place belongs to."""

import numpy as np
from numpy.typing import NDArray

from histome.geometry import morphology

Mask = NDArray[np.bool_]

# Cracks of a section are narrower than the gap between two sections on one glass.
JOIN_UM = 100.0
FRAGMENT_MM2 = 0.1


def label_fragments(tissue: Mask, *, mpp: float) -> NDArray[np.uint16]:
    """Return the piece of each tissue pixel: 1, 2, ... by falling area, 0 outside and in crumbs.

    Pieces closer than 2 x 100 um are one. A piece under 0.1 mm2 is a crumb, unless it is the largest there
    is.
    """
    labels = morphology.components(morphology.dilate(tissue, JOIN_UM / mpp)).labels
    areas = np.bincount(labels[tissue], minlength=int(labels.max()) + 1)
    areas[0] = 0
    order = np.argsort(-areas, kind="stable")
    kept = [k for k in order[: 2**16 - 2] if areas[k] * mpp**2 >= FRAGMENT_MM2 * 1e6] or list(order[:1])
    number = np.zeros(len(areas), np.uint16)
    number[kept] = np.arange(1, len(kept) + 1)
    number[areas == 0] = 0
    return np.where(tissue, number[labels], 0).astype(np.uint16)
