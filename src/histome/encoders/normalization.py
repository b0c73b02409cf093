"""Stain normalization: a slide's colors brought to those of a reference, before an encoder sees them."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Normalizer = Callable[[Pixels], Pixels]
StainNormalization = Literal["none", "macenko", "reinhard"]

# Macenko et al., ISBI 2009, doi:10.1109/ISBI.2009.5193250: white, the least density of tissue, the percentile
# of angles, and the reference of the authors' program (stain vectors, 99th percentiles of concentrations).
_WHITE, _LEAST_OD, _ALPHA, _LEAST_PIXELS = 240.0, 0.15, 1.0, 100
_REFERENCE_STAINS = np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]])
_REFERENCE_MOST = np.array([1.9705, 1.0308])
# Reinhard et al., IEEE Comput. Graph. Appl. 21 (2001) 34-41, doi:10.1109/38.946629: l, alpha, beta of the log
# responses of cones. The reference is the slide TCGA-A2-A3XS-DX1 as Amgad et al. (doi:10.1093/bioinformatics/
# btz083) took it, which HistomicsTK's users normalize to.
_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])
_REFERENCE_MEAN = np.array([8.74108109, -0.12440419, 0.0444982])
_REFERENCE_STD = np.array([0.6135447, 0.10989545, 0.0286032])


def fit_normalizer(kind: StainNormalization, sample: Pixels) -> Normalizer:
    """Return what brings pixels of the slide that `sample` (..., 3) is of to the reference's colors.

    One fit a slide: a tile by itself may hold one stain only, and would be given the other.
    """
    pixels = sample.reshape(-1, 3)
    return {"none": lambda _: lambda same: same, "macenko": _macenko, "reinhard": _reinhard}[kind](pixels)


def _density(pixels: Pixels) -> NDArray[np.float64]:
    return -np.log((pixels.reshape(-1, 3).astype(np.float64) + 1) / _WHITE)


def macenko_stains(pixels: Pixels) -> NDArray[np.float64]:
    """Return the unit vectors (3, 2) of hematoxylin and eosin: the extreme angles in the plane of densities.

    That plane is spanned by the two largest eigenvectors of the densities' covariance. White pixels (any
    density under 0.15) are left out.
    """
    density = _density(pixels)
    density = density[(density >= _LEAST_OD).all(1)]
    plane = np.linalg.eigh(np.cov(density.T))[1][:, 1:]
    plane *= np.where(plane.sum(0) < 0, -1, 1)  # densities are positive: no angle is then beyond half a turn
    angles = np.arctan2(*(density @ plane).T[::-1])
    ends = np.percentile(angles, [_ALPHA, 100 - _ALPHA])
    found = plane @ np.stack([np.cos(ends), np.sin(ends)])
    return found if found[0, 0] > found[0, 1] else found[:, ::-1]


def _macenko(sample: Pixels) -> Normalizer:
    if (_density(sample) >= _LEAST_OD).all(1).sum() < _LEAST_PIXELS:
        return lambda same: same  # glass: no stain to be found
    unmix = np.linalg.pinv(macenko_stains(sample))
    most = np.percentile(_density(sample) @ unmix.T, 99, axis=0)
    change = unmix.T @ np.diag(_REFERENCE_MOST / np.maximum(most, 1e-6)) @ _REFERENCE_STAINS.T

    def normalize(pixels: Pixels) -> Pixels:
        changed = _WHITE * np.exp(-(_density(pixels) @ change))
        return np.minimum(changed, 255).astype(np.uint8).reshape(pixels.shape)

    return normalize


def _lab(pixels: Pixels) -> NDArray[np.float64]:
    return np.log(np.maximum(pixels.reshape(-1, 3), 1e-3) @ _LMS.T) @ _LAB.T


def _reinhard(sample: Pixels) -> Normalizer:
    lab = _lab(sample)
    mean, std = lab.mean(0), np.maximum(lab.std(0), 1e-6)
    back_lab, back_lms = np.linalg.inv(_LAB).T, np.linalg.inv(_LMS).T

    def normalize(pixels: Pixels) -> Pixels:
        moved = (_lab(pixels) - mean) / std * _REFERENCE_STD + _REFERENCE_MEAN
        changed = np.exp(moved @ back_lab) @ back_lms
        return np.clip(np.round(changed), 0, 255).astype(np.uint8).reshape(pixels.shape)

    return normalize
