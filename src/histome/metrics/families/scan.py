"""What the slide itself says: scan, stain, focus (family Q1)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.catalogue import templates
from histome.metrics.maps import count_codes
from histome.metrics.results import Values, values
from histome.metrics.specimen import Scene
from histome.qc.quality import Quality
from histome.slide import Slide
from histome.slide.stain import hematoxylin_eosin_od, to_od

_NOT_TOLD = "the slide's pixels were not measured"
_THUMBNAIL_PX = 1024
# Macenko's: colors with less optical density are glass, and the extreme percent of angles is noise.
_STAINED_OD = 0.15
_ROBUST_PERCENT = 1.0
_FEWEST_PX = 500


def slide_facts(slide: Slide, quality: Quality) -> dict[str, float]:
    """Return what only the slide's pixels tell, by metric name in lower case; NaN for unknown.

    Stain numbers come from a thumbnail of at most 1,024 px, where the quality map says valid tissue.
    """
    rgb = _valid_pixels(slide, quality)
    density = hematoxylin_eosin_od(rgb)
    facts = {
        "mpp_used": float(np.sqrt(slide.mpp.x * slide.mpp.y)),
        "tissue_fragment_count": float(quality.fragments.max(initial=0)),
        "scan_area": slide.extent_um[0] * slide.extent_um[1] / 1e6,
        "focus_score": quality.focus_score,
        "background_level": float(np.mean(quality.background_rgb)),
        "hematoxylin_od_mean": float(density[:, 0].mean()) if len(rgb) else np.nan,
        "eosin_od_mean": float(density[:, 1].mean()) if len(rgb) else np.nan,
    }
    for stain, vector in zip(("hematoxylin", "eosin"), stain_vectors(rgb), strict=True):
        facts |= {
            f"{stain}_vector_{channel}": float(value) for channel, value in zip("rgb", vector, strict=True)
        }
    return facts


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


def slide_metrics(scene: Scene) -> Mapping[str, Values]:
    """Return the facts as metrics; n is 1 for a fact, the number of pixels for the valid area."""
    found = {}
    for template in templates("Q1"):
        fact = scene.ground.facts.get(template.pattern.lower(), np.nan)
        found[template.pattern] = values(
            fact, int(np.isfinite(fact)), (not np.isfinite(fact), template.null_when)
        )
    return found | {"VALID_AREA": _valid_area(scene)}


def _valid_area(scene: Scene) -> Values:
    """Return the area of valid tissue in the quality map, mm2."""
    quality = scene.ground.quality
    if quality is None:
        return values(np.nan, 0, (True, "no quality map was given"))
    pixels = count_codes(quality.array, len(quality.classes))[quality.code("VALID_TISSUE")]
    return values(pixels * quality.mpp**2 / 1e6, pixels)


def _valid_pixels(slide: Slide, quality: Quality) -> NDArray[np.uint8]:
    """Return the colors (n, 3) of a thumbnail's pixels on valid tissue."""
    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    width_um, height_um = slide.extent_um
    rows, columns = np.indices(thumbnail.shape[:2])
    codes = quality.map.at(
        (columns + 0.5) * width_um / thumbnail.shape[1], (rows + 0.5) * height_um / thumbnail.shape[0]
    )
    return thumbnail[codes == quality.map.code("VALID_TISSUE")]
