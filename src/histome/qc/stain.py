"""How a slide is stained: mean optical densities and stain vectors of its valid tissue."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.slide import ClassMap, Slide
from histome.slide.stain import hematoxylin_eosin_od, to_od

_THUMBNAIL_PX = 1024
# Macenko's: colors with less optical density are glass, and the extreme percent of angles is noise.
_STAINED_OD = 0.15
_ROBUST_PERCENT = 1.0
_FEWEST_PX = 500
_UNKNOWN = (float("nan"),) * 3


class Stain(NamedTuple):
    """Stain of valid tissue on a thumbnail of at most 1,024 px; nan where there is too little of it.

    Attributes
    ----------
    hematoxylin_od_mean, eosin_od_mean : float
        By fixed vectors (see `slide.stain`).
    hematoxylin_vector, eosin_vector : tuple of float
        The slide's own, see `stain_vectors`, R, G, B.
    """

    hematoxylin_od_mean: float = float("nan")
    eosin_od_mean: float = float("nan")
    hematoxylin_vector: tuple[float, ...] = _UNKNOWN
    eosin_vector: tuple[float, ...] = _UNKNOWN


def measure_stain(slide: Slide, quality_map: ClassMap) -> Stain:
    """Return the stain of the slide where the quality map says valid tissue."""
    rgb = _valid_pixels(slide, quality_map)
    if not len(rgb):
        return Stain()
    density = hematoxylin_eosin_od(rgb)
    hematoxylin, eosin = (tuple(map(float, vector)) for vector in stain_vectors(rgb))
    return Stain(float(density[:, 0].mean()), float(density[:, 1].mean()), hematoxylin, eosin)


def stain_vectors(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the unit optical density vectors of hematoxylin and eosin (2, 3) of stained pixels (n, 3).

    Macenko et al. 2009 (doi:10.1109/ISBI.2009.5193250): the extreme directions, at the 1st and 99th
    percentile of the angle, in the plane of the two main directions of optical density. NaN for fewer than
    500 stained pixels.
    """
    od = to_od(rgb).astype(np.float64) * np.log(10)
    od = od[(od > _STAINED_OD).all(axis=1)]
    if len(od) < _FEWEST_PX:
        return np.full((2, 3), np.nan)
    _, plane = np.linalg.eigh(np.cov(od.T))
    plane = plane[:, [2, 1]] * np.where(plane[:, [2, 1]].sum(axis=0) < 0, -1, 1)
    angle = np.arctan2(*(od @ plane).T[::-1])
    ends = np.percentile(angle, (_ROBUST_PERCENT, 100 - _ROBUST_PERCENT))
    vectors = np.array([plane @ (np.cos(end), np.sin(end)) for end in ends])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # Hematoxylin absorbs red more than eosin does.
    return vectors[np.argsort(-vectors[:, 0])]


def _valid_pixels(slide: Slide, quality_map: ClassMap) -> NDArray[np.uint8]:
    """Return the colors (n, 3) of a thumbnail's pixels on valid tissue."""
    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    width_um, height_um = slide.extent_um
    rows, columns = np.indices(thumbnail.shape[:2])
    codes = quality_map.at(
        (columns + 0.5) * width_um / thumbnail.shape[1], (rows + 0.5) * height_um / thumbnail.shape[0]
    )
    return thumbnail[codes == quality_map.code("VALID_TISSUE")]
