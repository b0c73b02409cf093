"""What the slide itself says: scan, stain, focus."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.declaration import UNBOUNDED, Family, Template
from histome.metrics.maps import count_codes
from histome.metrics.reasons import NO_QUALITY_MAP
from histome.metrics.results import Result, all_null, result
from histome.metrics.specimen import Specimen
from histome.qc.quality import Quality
from histome.slide import Slide
from histome.slide.stain import hematoxylin_eosin_od, to_od

_THUMBNAIL_PX = 1024
# Macenko's: colors with less optical density are glass, and the extreme percent of angles is noise.
_STAINED_OD = 0.15
_ROBUST_PERCENT = 1.0
_FEWEST_PX = 500
_NOT_MEASURED = "the slide's pixels were not measured"
_NO_VALID_TISSUE = "there is no valid tissue"
_NO_STAIN = "there is too little stained tissue"
_NO_FOCUS = "nowhere was there enough structure to judge"


def _channel(stain: str, channel: str) -> Template:
    """Declare one component of a stain vector."""
    return Template(
        f"{stain}_VECTOR_{channel}",
        "1",
        f"{channel} component of the unit optical density vector of {stain.lower()}, estimated on this slide "
        "(Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250)",
        (_NOT_MEASURED, _NO_STAIN),
        (-1.0, 1.0),
    )


# Every one but the valid area is a fact of that name in lower case.
_FACTS = (
    Template(
        "MPP_USED", "um/px", "resolution of level 0 that every length was computed with", (_NOT_MEASURED,)
    ),
    Template("TISSUE_FRAGMENT_COUNT", "pieces", "number of separate pieces of tissue", (_NOT_MEASURED,)),
    Template("SCAN_AREA", "mm2", "area of the whole scan, tissue or not", (_NOT_MEASURED,)),
    Template(
        "FOCUS_SCORE",
        "1",
        "median over valid tissue of the sharpness that quality control judges focus by",
        (_NOT_MEASURED, _NO_FOCUS),
        UNBOUNDED,
    ),
    Template(
        "BACKGROUND_LEVEL",
        "1",
        "mean of R, G and B of the empty glass, 0-255",
        (_NOT_MEASURED,),
        (0.0, 255.0),
    ),
    *(_channel("HEMATOXYLIN", channel) for channel in "RGB"),
    *(_channel("EOSIN", channel) for channel in "RGB"),
    Template(
        "HEMATOXYLIN_OD_MEAN",
        "OD",
        "mean hematoxylin optical density of valid tissue",
        (_NOT_MEASURED, _NO_VALID_TISSUE),
        UNBOUNDED,
    ),
    Template(
        "EOSIN_OD_MEAN",
        "OD",
        "mean eosin optical density of valid tissue",
        (_NOT_MEASURED, _NO_VALID_TISSUE),
        UNBOUNDED,
    ),
)
_VALID_AREA = Template("VALID_AREA", "mm2", "area of valid tissue in the quality map", (NO_QUALITY_MAP,))
TEMPLATES = (_FACTS[0], _VALID_AREA, *_FACTS[1:])


def scan(specimen: Specimen) -> Mapping[str, Result]:
    """Return the facts as metrics; n is 1 for a fact, the number of pixels for the valid area."""
    facts, found = specimen.maps.facts, {}
    for template in _FACTS:
        name = template.pattern.lower()
        fact = facts.get(name, np.nan)
        known = np.isfinite(fact)
        # Measured in vain, which not every fact can be, comes last.
        why = template.nulls[-1] if name in facts else _NOT_MEASURED
        found[template.pattern] = result(fact, int(known), (not known, why))
    return found | {"VALID_AREA": _valid_area(specimen)}


FAMILY = Family(
    "scan",
    "Slide and scan",
    "What quality control and the scanner say about the slide.",
    TEMPLATES,
    scan,
    scanners="no: they describe the scan itself",
    of_cells=False,
    alias="Q1",
)


def _valid_area(specimen: Specimen) -> Result:
    """Return the area of valid tissue in the quality map, mm2."""
    quality = specimen.maps.quality
    if quality is None:
        return all_null((), NO_QUALITY_MAP)
    pixels = count_codes(quality.array, len(quality.classes))[quality.code("VALID_TISSUE")]
    return result(pixels * quality.mpp**2 / 1e6, pixels)


def scan_facts(slide: Slide, quality: Quality) -> dict[str, float]:
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


def _valid_pixels(slide: Slide, quality: Quality) -> NDArray[np.uint8]:
    """Return the colors (n, 3) of a thumbnail's pixels on valid tissue."""
    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    width_um, height_um = slide.extent_um
    rows, columns = np.indices(thumbnail.shape[:2])
    codes = quality.map.at(
        (columns + 0.5) * width_um / thumbnail.shape[1], (rows + 0.5) * height_um / thumbnail.shape[0]
    )
    return thumbnail[codes == quality.map.code("VALID_TISSUE")]
