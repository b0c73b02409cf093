"""How a slide is stained, and whether with H&E: densities, stain vectors and colors of its valid tissue."""

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
_NO_VARIANCE = 1e-12
_UNKNOWN = (float("nan"),) * 3


# Colors are compared at 2 um/px, where nuclei stand out: on a thumbnail of a whole slide stains are mixed.
_COLOR_MPP = 2.0
_WINDOW_PX = 64
_MOST_WINDOWS = 32
_LEAST_UM2 = 1e4  # less may be one vessel full of red cells
_COLORED_OD = (0.3, 0.12)  # the latter for pale tissue


class ColorSpread(NamedTuple):
    """How the colors of valid tissue differ, whatever the scanner: nan where there is too little to tell.

    Of pixels of 2 um whose summed optical density is over 0.3 (0.12 where few are), each channel's share of
    that sum is taken, weighted by the sum. In H&E nuclei absorb more red and less green than eosin does, and
    about as much blue.

    Attributes
    ----------
    spread : float
        Standard deviation of the shares along the direction in which they vary most.
    red_to_blue : float
        Standard deviation of red's share over that of blue's.
    red_with_green : float, -1 to 1
        Correlation of red's share with green's.
    green_most : float, 0-1
        Share of the pixels that absorb more green than red or blue.
    """

    spread: float = float("nan")
    red_to_blue: float = float("nan")
    red_with_green: float = float("nan")
    green_most: float = float("nan")


class Stain(NamedTuple):
    """Stain of valid tissue on a thumbnail of at most 1,024 px; nan where there is too little of it.

    Attributes
    ----------
    hematoxylin_od_mean, eosin_od_mean : float
        By fixed vectors (see `slide.stain`).
    hematoxylin_vector, eosin_vector : tuple of float
        The slide's own, see `stain_vectors`, R, G, B.
    colors : ColorSpread
        On windows of valid tissue spread over the slide.
    """

    hematoxylin_od_mean: float = float("nan")
    eosin_od_mean: float = float("nan")
    hematoxylin_vector: tuple[float, ...] = _UNKNOWN
    eosin_vector: tuple[float, ...] = _UNKNOWN
    colors: ColorSpread = ColorSpread()


def measure_stain(slide: Slide, quality_map: ClassMap) -> Stain:
    """Return the stain of the slide where the quality map says valid tissue."""
    rgb = _valid_pixels(slide, quality_map)
    if not len(rgb):
        return Stain()
    density = hematoxylin_eosin_od(rgb)
    hematoxylin, eosin = (tuple(map(float, vector)) for vector in stain_vectors(rgb))
    colors = ColorSpread()
    if quality_map.area_um2("VALID_TISSUE") >= _LEAST_UM2:
        colors = measure_colors(_window_pixels(slide, quality_map))
    return Stain(float(density[:, 0].mean()), float(density[:, 1].mean()), hematoxylin, eosin, colors)


def measure_colors(rgb: NDArray[np.uint8]) -> ColorSpread:
    """Return how the colors of pixels (n, 3) differ."""
    od = to_od(rgb).astype(np.float64)
    total = od.sum(axis=1)
    limit = next((limit for limit in _COLORED_OD if np.sum(total > limit) >= _FEWEST_PX), None)
    if limit is None:
        return ColorSpread()
    od, total = od[total > limit], total[total > limit]
    share = od / total[:, None]
    spread = np.cov(share.T, aweights=total)
    red, green, blue = np.sqrt(np.maximum(np.diag(spread), _NO_VARIANCE))
    return ColorSpread(
        spread=float(np.sqrt(max(0.0, np.linalg.eigvalsh(spread)[-1]))),
        red_to_blue=float(red / blue),
        red_with_green=float(spread[0, 1] / (red * green)),
        green_most=float(np.mean(od[:, 1] >= od.max(axis=1))),
    )


def unlike_h_and_e(colors: ColorSpread) -> str | None:
    """Return what tissue that is not H&E looks like, None where it may be H&E or nothing is known.

    "one color": one stain, a gray or a flat picture; "brown": more blue is absorbed where less red is, as by
    DAB, or where red and blue were exchanged; "another color": not red to violet.
    """
    # Of 517 H&E fields that no score rests on 3 are told: two of yellowish scans, one with ink. Of the same
    # recolored: all with DAB (for eosin, or in nuclei), all flat or gray, 516 with red and green
    # exchanged, 433 with red and blue exchanged, 193 with hematoxylin alone. Of 6 real pictures with DAB: 6.
    if colors.spread < 0.006:
        return "one color"
    limits = ((0.85, 0.0), (0.7, -0.45), (0.35, -1.0))
    if any(colors.red_to_blue < high and colors.red_with_green > low for high, low in limits):
        return "brown"
    return "another color" if colors.green_most < 0.3 else None


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


def _window_pixels(slide: Slide, quality_map: ClassMap) -> NDArray[np.uint8]:
    """Return the colors (n, 3) of valid tissue in windows of 128 um, evenly drawn from all of it."""
    valid = np.argwhere(quality_map.mask("VALID_TISSUE"))
    places = valid[np.unique(np.linspace(0, len(valid) - 1, _MOST_WINDOWS).round().astype(int))]
    corners_um = (places[:, ::-1] + 0.5) * quality_map.mpp - 0.5 * _WINDOW_PX * _COLOR_MPP
    inner_um = (np.arange(_WINDOW_PX) + 0.5) * _COLOR_MPP
    found = []
    for x_um, y_um in corners_um.tolist():
        corner_px = x_um / slide.mpp.x, y_um / slide.mpp.y
        rgb = slide.read(*corner_px, size=(_WINDOW_PX, _WINDOW_PX), mpp=_COLOR_MPP)
        codes = quality_map.at(x_um + inner_um[None, :], y_um + inner_um[:, None])
        found.append(rgb[codes == quality_map.code("VALID_TISSUE")])
    return np.concatenate(found)


def _valid_pixels(slide: Slide, quality_map: ClassMap) -> NDArray[np.uint8]:
    """Return the colors (n, 3) of a thumbnail's pixels on valid tissue."""
    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    width_um, height_um = slide.extent_um
    rows, columns = np.indices(thumbnail.shape[:2])
    codes = quality_map.at(
        (columns + 0.5) * width_um / thumbnail.shape[1], (rows + 0.5) * height_um / thumbnail.shape[0]
    )
    return thumbnail[codes == quality_map.code("VALID_TISSUE")]
