"""What is known of a slide's tissue, in one value: its map, its regions, its zones, its probabilities."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from histome.classes import TISSUE_CLASSES
from histome.geotable import TableLike
from histome.slide import ClassMap, ProbabilityMap, Slide
from histome.threads import give_back_memory
from histome.tissue.glands import DrawnGlands
from histome.tissue.regions import find_regions
from histome.tissue.zones import DEFAULT_RULE, ZoneRule, find_zones

_FIELD_MPP = 2.0


@dataclass(frozen=True, eq=False)
class Tissue:
    """Tissue of a slide: what `segment_tissue` returns, a profile keeps and `find_cells` and `measure` take.

    Attributes
    ----------
    map : ClassMap
        TISSUE_CLASSES; the most probable class where quality control found valid tissue, 0 elsewhere.
    regions : pa.Table or FiledTable
        One row a region of the map, see `find_regions`, or of polygons, see `drawn_regions`.
    zones : ClassMap
        ZONE_CLASSES round the tumor, of the map's shape, see `find_zones`.
    probabilities : ProbabilityMap or None
        round(255 p) of every class at the same resolution, 0 in windows without valid tissue. The classes are
        not exclusive (a vessel lies in stroma): the probabilities of a pixel need not add up to 1. None where
        the map did not come from probabilities.
    glands : DrawnGlands or None
        None where nobody drew glands; the metrics then look for them on the map.
    """

    map: ClassMap
    regions: TableLike
    zones: ClassMap
    probabilities: ProbabilityMap | None = None
    glands: DrawnGlands | None = None

    @classmethod
    def of(
        cls,
        tissue: ClassMap,
        probabilities: ProbabilityMap | None = None,
        *,
        regions: pa.Table | None = None,
        rule: ZoneRule = DEFAULT_RULE,
        workers: int = 1,
    ) -> Self:
        """Return the tissue of a map, its zones found, and its regions where they are not known already."""
        if regions is None:
            regions = find_regions(tissue)
            give_back_memory()
        return cls(tissue, regions, find_zones(tissue, rule, workers=workers), probabilities)

    def summary(self) -> dict[str, Any]:
        """Return what run.json tells of it: mm2 of each class of the map."""
        return {"mm2": {name: self.map.area_um2(name) / 1e6 for name in self.map.classes}}


def whole_field(slide: Slide) -> ClassMap:
    """Return a tissue map for a field of view without one: stroma all over, at 2 um/px."""
    width_um, height_um = slide.extent_um
    shape = int(height_um / _FIELD_MPP) + 1, int(width_um / _FIELD_MPP) + 1
    codes = np.full(shape, TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    return ClassMap(codes, _FIELD_MPP, TISSUE_CLASSES, frame=slide.frame)
