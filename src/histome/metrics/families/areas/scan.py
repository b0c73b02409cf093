"""What the slide itself says: scan, stain, focus."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.declaration import UNBOUNDED, Family, Template
from histome.metrics.reasons import NO_QUALITY_MAP
from histome.metrics.results import Result, all_null, result
from histome.metrics.specimen import Specimen
from histome.qc.quality import Quality

_NOT_MEASURED = "the slide's pixels were not measured"
_NO_VALID_TISSUE = "there is no valid tissue"
_NO_STAIN = "there is too little stained tissue"
_NO_FOCUS = "nowhere was there enough structure to judge"
_ONE = "the slide: 1 where this was measured, else 0"


def _channel(stain: str, channel: str) -> Template:
    """Declare one component of a stain vector."""
    return Template(
        f"{stain}_VECTOR_{channel}",
        "1",
        f"{channel} component of the unit optical density vector of {stain.lower()}, estimated on this slide "
        "(Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250)",
        (_NOT_MEASURED, _NO_STAIN),
        (-1.0, 1.0),
        counts=_ONE,
    )


# Every one but the valid area is a fact of that name in lower case.
_FACTS = (
    Template(
        "MPP_USED",
        "um/px",
        "resolution of level 0 that every length was computed with",
        (_NOT_MEASURED,),
        counts=_ONE,
    ),
    Template(
        "TISSUE_FRAGMENT_COUNT",
        "pieces",
        "number of separate pieces of tissue",
        (_NOT_MEASURED,),
        counts=_ONE,
    ),
    Template(
        "SCAN_AREA",
        "mm2",
        "area of the whole scan, tissue or not",
        (_NOT_MEASURED,),
        counts=_ONE,
    ),
    Template(
        "FOCUS_SCORE",
        "1",
        "median over valid tissue of the sharpness that quality control judges focus by",
        (_NOT_MEASURED, _NO_FOCUS),
        UNBOUNDED,
        counts=_ONE,
    ),
    Template(
        "BACKGROUND_LEVEL",
        "1",
        "mean of R, G and B of the empty glass, 0-255",
        (_NOT_MEASURED,),
        (0.0, 255.0),
        counts=_ONE,
    ),
    *(_channel("HEMATOXYLIN", channel) for channel in "RGB"),
    *(_channel("EOSIN", channel) for channel in "RGB"),
    Template(
        "HEMATOXYLIN_OD_MEAN",
        "OD",
        "mean hematoxylin optical density of valid tissue",
        (_NOT_MEASURED, _NO_VALID_TISSUE),
        UNBOUNDED,
        counts=_ONE,
    ),
    Template(
        "EOSIN_OD_MEAN",
        "OD",
        "mean eosin optical density of valid tissue",
        (_NOT_MEASURED, _NO_VALID_TISSUE),
        UNBOUNDED,
        counts=_ONE,
    ),
)
_VALID_AREA = Template(
    "VALID_AREA",
    "mm2",
    "area of valid tissue in the quality map",
    (NO_QUALITY_MAP,),
    counts="pixels of valid tissue in the quality map",
)
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
    no_interval="a fact of the slide, not sampled",
)


def _valid_area(specimen: Specimen) -> Result:
    """Return the area of valid tissue in the quality map, mm2."""
    quality = specimen.maps.quality
    if quality is None:
        return all_null((), NO_QUALITY_MAP)
    pixels = quality.areas_px()[quality.code("VALID_TISSUE")]
    return result(pixels * quality.mpp**2 / 1e6, pixels)


def scan_facts(quality: Quality) -> dict[str, float]:
    """Return what quality control measured, by metric name in lower case; NaN where in vain."""
    stain = quality.stain
    vectors = {"hematoxylin": stain.hematoxylin_vector, "eosin": stain.eosin_vector}
    return {
        "mpp_used": float(np.sqrt(quality.mpp[0] * quality.mpp[1])),
        "tissue_fragment_count": float(quality.fragments.max(initial=0)),
        "scan_area": quality.extent_um[0] * quality.extent_um[1] / 1e6,
        "focus_score": quality.focus_score,
        "background_level": float(np.mean(quality.background_rgb)),
        "hematoxylin_od_mean": stain.hematoxylin_od_mean,
        "eosin_od_mean": stain.eosin_od_mean,
        **{
            f"{name}_vector_{channel}": value
            for name, vector in vectors.items()
            for channel, value in zip("rgb", vector, strict=True)
        },
    }
