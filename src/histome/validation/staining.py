"""Fields as other laboratories and scanners would have shown them: stain conditions and resolutions.

The four conditions bound what laboratories do (after "A protocol for evaluating robustness to H&E staining
variation in computational pathology models", 2026): stains weaker or stronger, and their two colors farther
apart or closer together. Robustness is the largest less the smallest score over them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.slide.stain import DAB_RGB_OD, stain_matrix, to_od

RgbField = NDArray[np.uint8]


class Condition(NamedTuple):
    """Factor on both stains' density; share of the way by which each stain's color moves to the other's."""

    intensity: float = 1.0
    approach: float = 0.0


CONDITIONS = {
    "low_intensity": Condition(intensity=0.7),
    "high_intensity": Condition(intensity=1.35),
    "low_similarity": Condition(approach=-0.2),
    "high_similarity": Condition(approach=0.2),
}
RESOLUTIONS_MPP = (0.25, 0.35, 0.5, 0.7)


def restain(rgb: RgbField, condition: Condition) -> RgbField:
    """(h, w, 3) uint8 of the same tissue under another stain condition; the residual stays as it is."""
    stains = stain_matrix()
    moved = stains.copy()
    moved[:2] += condition.approach * (stains[1::-1] - stains[:2])
    moved[:2] /= np.linalg.norm(moved[:2], axis=1, keepdims=True)
    factor = np.diag([condition.intensity, condition.intensity, 1.0])
    matrix = np.linalg.inv(stains) @ factor @ moved
    density = to_od(rgb) @ matrix.astype(np.float32)
    return np.clip(np.round(255.0 * 10.0**-density), 0, 255).astype(np.uint8)


def brown_for_eosin(rgb: RgbField) -> RgbField:
    """(h, w, 3) uint8 of the same tissue with DAB where eosin was, as in immunohistochemistry."""
    stains = stain_matrix()
    changed = stains.copy()
    changed[1] = np.array(DAB_RGB_OD) / np.linalg.norm(DAB_RGB_OD)
    density = np.maximum(to_od(rgb) @ np.linalg.inv(stains).astype(np.float32), 0) @ changed
    return np.clip(np.round(255.0 * 10.0**-density), 0, 255).astype(np.uint8)
