"""Quality of a slide: the five-class map that says what may be measured."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.classes import QC_CLASSES
from histome.config import QcConfig
from histome.errors import NoTissueError
from histome.geometry.interest import RegionsOfInterest
from histome.models.runtime import Predictor
from histome.qc.artifacts import find_debris, find_ink
from histome.qc.broken import box_mask
from histome.qc.colors import DENSITY_STEP, GLASS_MPP, Evidence, Glass, color_evidence, find_glass
from histome.qc.focus import find_out_of_focus, measure_focus
from histome.qc.folds import find_folds
from histome.qc.foreground import find_tissue, read_strip, strips
from histome.qc.fragments import label_fragments
from histome.qc.learned import find_learned
from histome.qc.stain import Stain, measure_stain, unlike_h_and_e
from histome.slide import ClassMap, Slide

Mask = NDArray[np.bool_]

MAP_MPP = 8.0
# A pixel of the map that lies by more than a fifth beyond the slide is too pale to be judged.
_COVERED = 0.8
# Summed optical density that no section has throughout: of 1,800 real fields of twenty data sets the densest
# has a median of 2.31 (purple by normalization), the next 2.13 (dark lymphocytes); DAPI on black has 3.19,
# all that a byte holds.
DARKEST_DENSITY = 2.7
# The later ones win.
_WORSE = ("NO_TISSUE", "OUT_OF_FOCUS", "TISSUE_ARTIFACT", "MARKER")
_CODE = {name: np.uint8(code) for code, name in enumerate(QC_CLASSES, start=1)}


@dataclass(frozen=True, eq=False)
class Quality:
    """What is usable.

    Attributes
    ----------
    map : ClassMap
        QC_CLASSES at 8 um/px. Within tissue the worst thing said of a pixel wins: marker, artifact, out of
        focus, valid. Ink and debris beside the tissue are marked too. 0 outside of the regions of interest.
    focus : float32
        On blocks of 32 um, ln of fine over nuclear structure (see `qc.focus`); nan where not judged.
    fragments : (h, w) uint16
        Like the map: the piece of tissue, 1 the largest; 0 outside.
    background_rgb : (float, float, float), 0-255
        Color of the glass.
    background_seen : bool
        False where it was assumed (a field all tissue).
    tissue_density : float
        Median summed optical density (R + G + B) of valid tissue.
    extent_um : (float, float), um
        Width and height of the scan.
    mpp : (float, float), um/px
        The resolution that lengths were measured with, x, y.
    stain : Stain
        Mean optical densities and stain vectors of valid tissue, see `qc.stain`.
    """

    map: ClassMap
    focus: NDArray[np.float32]
    fragments: NDArray[np.uint16]
    background_rgb: tuple[float, float, float]
    background_seen: bool
    tissue_density: float
    extent_um: tuple[float, float]
    mpp: tuple[float, float]
    stain: Stain

    @property
    def focus_score(self) -> float:
        """Median of `focus` over the judged tissue; nan where nothing could be judged."""
        judged = self.focus[np.isfinite(self.focus)]
        return float(np.median(judged)) if judged.size else float("nan")

    def summary(self) -> dict[str, Any]:
        """Return what run.json tells of it: mm2 on the glass and valid, whether its colors are H&E's."""
        glass = [name for name in self.map.classes if name != "NO_TISSUE"]
        on_glass, valid = (sum(map(self.map.area_um2, names)) / 1e6 for names in (glass, ["VALID_TISSUE"]))
        return {
            "tissue_mm2": on_glass,
            "valid_mm2": valid,
            "valid_percent": 100.0 * valid / on_glass if on_glass else None,
            "unlike_h_and_e": unlike_h_and_e(self.stain.colors),
            "colors": {
                name: value if np.isfinite(value) else None
                for name, value in self.stain.colors._asdict().items()
            },
        }


def assess(
    slide: Slide,
    config: QcConfig,
    regions: RegionsOfInterest | None = None,
    *,
    network: Predictor | None = None,
    workers: int = 1,
) -> Quality:
    """Return the quality of a slide; raises NoTissueError where no valid tissue is found, or none of H&E.

    The map is made from the pyramid level nearest 8 um/px in strips; focus reads tissue windows at 1 um/px.
    With regions of interest glass, ink and folds are told from the whole slide, focus and stain from them.
    What a network finds in the tissue is excluded besides what the rules find, never measured in their place.
    """
    glass = find_glass(_thumbnail(slide))
    evidence = _read_evidence(slide, glass)
    ink = find_ink(evidence, mpp=MAP_MPP)
    debris = find_debris(evidence, ink, mpp=MAP_MPP)
    excluded = ink | debris | _broken(slide)
    tissue = find_tissue(evidence, excluded, mpp=MAP_MPP, glass_seen=glass.seen)
    folds = find_folds(evidence, tissue, mpp=MAP_MPP)
    wanted = np.True_ if regions is None else regions.mask(tissue.shape, mpp=MAP_MPP)
    tissue &= wanted
    focus = measure_focus(slide, tissue, mpp=MAP_MPP, workers=workers)
    soft = find_out_of_focus(focus, tissue, mpp=MAP_MPP, below=config.out_of_focus_below)
    found = {"VALID_TISSUE": tissue, "OUT_OF_FOCUS": soft, "TISSUE_ARTIFACT": folds | debris, "MARKER": ink}
    if network is not None:
        learned = find_learned(slide, tissue, network, mpp=MAP_MPP, workers=workers)
        found = {"VALID_TISSUE": tissue, **{name: learned[name] | found.get(name, False) for name in _WORSE}}
    quality_map = _compose(found, wanted, slide)
    valid = quality_map.mask("VALID_TISSUE")
    quality = Quality(
        map=quality_map,
        focus=focus,
        fragments=label_fragments(tissue, mpp=MAP_MPP),
        background_rgb=glass.rgb,
        background_seen=glass.seen,
        tissue_density=float(np.median(evidence.density[valid])) * DENSITY_STEP if valid.any() else np.nan,
        extent_um=slide.extent_um,
        mpp=(slide.mpp.x, slide.mpp.y),
        stain=measure_stain(slide, quality_map),
    )
    if _is_dark(evidence, valid, glass):
        raise NoTissueError(
            f"{slide.path.name}: not H&E (NOT_H_AND_E): its background is dark, as in fluorescence; histome "
            f"measures brightfield H&E only.",
            quality=quality,
        )
    if not valid.any():
        where = "; is it an H&E slide?" if regions is None else " in the regions of interest"
        raise NoTissueError(f"{slide.path.name}: no valid tissue found{where}", quality=quality)
    return quality


def _is_dark(evidence: Evidence, valid: Mask, glass: Glass) -> bool:
    """Whether light comes from the specimen and not through it: half of it lets next to none pass.

    Where glass was seen only tissue is judged: some programs fill what was not scanned with black.
    """
    judged = evidence.density[valid] if glass.seen else evidence.density
    return judged.size > 0 and float(np.median(judged)) * DENSITY_STEP > DARKEST_DENSITY


def _thumbnail(slide: Slide) -> NDArray[np.uint8]:
    """The whole slide, at most 1,024 px long and at least 2 um a pixel."""
    return slide.thumbnail(max(1, min(1024, int(max(slide.extent_um) / GLASS_MPP))))


def _read_evidence(slide: Slide, glass: Glass) -> Evidence:
    """Color evidence of the whole slide at 8 um/px, read strip by strip: three bytes a pixel stay."""
    shape = slide.shape_at(MAP_MPP)
    whole = Evidence.empty(shape)
    for first, last in strips(shape[0]):
        part = color_evidence(read_strip(slide, MAP_MPP, (first, last)), glass)
        for plane, rows in zip(whole, part, strict=True):
            plane[first:last] = rows
    _complete_edge(whole, slide)
    return whole


def _complete_edge(evidence: Evidence, slide: Slide) -> None:
    """Give a last row or column that is more white beyond the slide than slide the values beside it."""
    height, width = slide.shape_at(MAP_MPP)
    covered_x, covered_y = (extent / MAP_MPP % 1.0 or 1.0 for extent in slide.extent_um)
    for plane in evidence:
        if covered_y < _COVERED and height > 1:
            plane[-1] = plane[-2]
        if covered_x < _COVERED and width > 1:
            plane[:, -1] = plane[:, -2]


def _broken(slide: Slide) -> Mask:
    """Where tiles could not be decoded in any read so far."""
    mpp, shape = (slide.mpp.x, slide.mpp.y), slide.shape_at(MAP_MPP)
    return box_mask(slide.broken.boxes, mpp, shape=shape, map_mpp=MAP_MPP)


def _compose(found: dict[str, Mask], wanted: Mask | np.bool_, slide: Slide) -> ClassMap:
    broken = _broken(slide)
    codes = np.full(broken.shape, _CODE["NO_TISSUE"])
    for name, mask in found.items():
        codes[mask] = _CODE[name]
    codes[broken] = _CODE["NO_TISSUE"]
    codes *= wanted
    return ClassMap(codes, MAP_MPP, QC_CLASSES, frame=slide.frame)
