"""Maps of one slide, of tissue and of quality, and what follows from them alone, computed once."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histome.classes import NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.geometry.distance import DistanceField, distance_to_codes
from histome.geotable import TableLike
from histome.slide.maps import ClassMap
from histome.tissue.glands import DrawnGlands
from histome.tissue.zones import find_zones

T = TypeVar("T")

# Index in NUCLEATED_TISSUES of each tissue code, -1 for none; code 0 is "not analyzed".
NUCLEATED_OF_CODE = np.array(
    [-1, *(NUCLEATED_TISSUES.index(t) if t in NUCLEATED_TISSUES else -1 for t in TISSUE_CLASSES)], np.int64
)


@dataclass(frozen=True, eq=False)
class TissueMaps:
    """What lies under the cells. `tissue` is cropped to the analyzed pixels and knows where it lies.

    `facts` are numbers about the slide that only its pixels tell (family `scan`); `quality` and `regions` are
    None where nobody looked. `drawn_zones` are the zones where they are known already, at least of the tissue
    map, `drawn_glands` are what somebody drew as glands.
    """

    tissue: ClassMap
    quality: ClassMap | None = None
    regions: TableLike | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    workers: int = 1
    drawn_zones: ClassMap | None = None
    drawn_glands: DrawnGlands | None = None
    _derived: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def once(self, derive: Callable[..., T], *args: Hashable) -> T:
        """Return derive(maps, *args), computed at the first call."""
        key = (derive, *args)
        if key not in self._derived:
            self._derived[key] = derive(self, *args)
        return self._derived[key]

    @property
    def um2_per_px(self) -> float:
        """Area of a pixel of the tissue map."""
        return self.tissue.mpp**2

    def mm2_of(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return areas in pixels of the tissue map in mm2."""
        return np.asarray(pixels * self.um2_per_px / 1e6, np.float64)

    @cached_property
    def tissue_px(self) -> NDArray[np.float64]:
        """Pixels of each tissue class, those of the border by the share that the picture covers, (7,)."""
        return self.tissue.areas_px()[1:]

    @cached_property
    def tissue_um2(self) -> NDArray[np.float64]:
        """Area of each tissue class in um2, (7,)."""
        return np.asarray(self.tissue_px * self.um2_per_px, np.float64)

    @cached_property
    def nucleated_um2(self) -> NDArray[np.float64]:
        """Area of each nucleated tissue class in um2, (5,)."""
        return self.tissue_um2[[TISSUE_CLASSES.index(name) for name in NUCLEATED_TISSUES]]

    @property
    def zones(self) -> ClassMap:
        """Zone of every pixel of the tissue map; of drawn zones no more is held than their owner holds."""
        if self.drawn_zones is None:
            return self.once(_zones)
        drawn, (height, width) = self.drawn_zones.in_memory(), self.tissue.array.shape
        left, top = (a - b for a, b in zip(self.tissue.origin_px, drawn.origin_px, strict=True))
        return drawn.crop(left, top, width, height)

    @cached_property
    def zone_px(self) -> NDArray[np.float64]:
        """`tissue_px` in each zone, (7, 5); the last zone is the whole tumor region."""
        four = self.tissue.areas_px(self.zones)[1:, 1:]
        return np.column_stack([four, four[:, 0] + four[:, 1]])

    @property
    def has_tumor(self) -> bool:
        """Whether there is a tumor that zones are drawn round."""
        return bool(self.zone_px[:, 4].any())

    def distance_to_tissue(self, name: str) -> DistanceField:
        """Return the distances to a tissue class."""
        return self.once(_distance_to_tissue, name)

    def distance_to_border(self) -> DistanceField:
        """Return the distances to what is not nucleated tissue, beyond the map too."""
        return self.once(_distance_to_border)

    def has(self, tissue: str) -> bool:
        """Whether there is any of a tissue class."""
        return bool(self.tissue_px[self.tissue.code(tissue) - 1])

    @property
    def nucleated_codes(self) -> tuple[int, ...]:
        """Codes of the nucleated tissues in the tissue map."""
        return tuple(self.tissue.code(name) for name in NUCLEATED_TISSUES)

    def pixel_of(
        self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return row, column and whether inside for points in um; points outside get (0, 0)."""
        rows = np.floor(y_um / self.tissue.mpp) - self.tissue.origin_px[1]
        columns = np.floor(x_um / self.tissue.mpp) - self.tissue.origin_px[0]
        height, width = self.tissue.array.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return (
            np.where(inside, rows, 0).astype(np.int64),
            np.where(inside, columns, 0).astype(np.int64),
            inside,
        )


def _zones(maps: TissueMaps) -> ClassMap:
    return find_zones(maps.tissue, workers=maps.workers)


def _distance_to_tissue(maps: TissueMaps, name: str) -> DistanceField:
    chosen = np.arange(len(maps.tissue.classes) + 1) == maps.tissue.code(name)
    return distance_to_codes(maps.tissue.array, chosen, workers=maps.workers)


def _distance_to_border(maps: TissueMaps) -> DistanceField:
    return distance_to_codes(maps.tissue.array, NUCLEATED_OF_CODE < 0, workers=maps.workers, outside=True)


def make_tissue_maps(
    tissue: ClassMap,
    *,
    quality: ClassMap | None = None,
    regions: TableLike | None = None,
    zones: ClassMap | None = None,
    glands: DrawnGlands | None = None,
    facts: Mapping[str, float] | None = None,
    workers: int = 1,
) -> TissueMaps:
    """Return the maps of one slide, the tissue map cropped to what is analyzed, of which it stays a view."""
    rows = np.flatnonzero(tissue.array.any(axis=1))
    columns = np.flatnonzero(tissue.array.any(axis=0))
    top, left, bottom, right = 0, 0, 0, 0
    if len(rows):
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        left, right = int(columns[0]), int(columns[-1]) + 1
    box = (left, top, right - left, bottom - top)
    return TissueMaps(tissue.crop(*box), quality, regions, facts or {}, workers, zones, glands)
