"""Optical density and the separation of stains."""

import numpy as np
from numpy.typing import NDArray

# Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291-299: optical density of the pure stains.
HEMATOXYLIN_RGB_OD = (0.65, 0.70, 0.29)
EOSIN_RGB_OD = (0.07, 0.99, 0.11)
DAB_RGB_OD = (0.27, 0.57, 0.78)
_OD_OF_BYTE = -np.log10(np.maximum(np.arange(256), 1) / 255.0).astype(np.float32)


def stain_matrix() -> NDArray[np.float64]:
    """Return the unit optical-density vectors (3 stains, 3 channels): hematoxylin, eosin, residual.

    The residual is perpendicular to the two stains and holds what neither explains.
    """
    stains = np.array([HEMATOXYLIN_RGB_OD, EOSIN_RGB_OD])
    residual = np.cross(stains[0], stains[1])
    matrix = np.vstack([stains, residual])
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


_UNMIX = np.linalg.inv(stain_matrix()).astype(np.float32)


def unmixing(*stains: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return (3, n) from the density of a pixel to those of n stains, each told by its RGB density.

    Least squares along unit vectors: what they do not explain is left over, with three stains nothing is.
    """
    vectors = np.array(stains, float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.linalg.pinv(vectors).astype(np.float32)


def to_od(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return -log10(max(v, 1) / 255) of each byte: same shape, from 0 (white) to 2.41 (black)."""
    return _OD_OF_BYTE[rgb]


def hematoxylin_eosin_od(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the optical densities of hematoxylin and eosin of (..., 3) uint8 RGB as (..., 2) float32.

    Linear unmixing with fixed vectors (Ruifrok and Johnston 2001) against a white of 255, along unit vectors;
    a color outside the plane's sector gives a slightly negative value. Comparable between scanners only after
    color calibration.
    """
    return to_od(rgb) @ _UNMIX[:, :2]
