"""A tissue map for fields of view that come without one: nuclei are looked for everywhere."""

from typing import NamedTuple

import numpy as np

from histome.classes import TISSUE_CLASSES
from histome.slide import ClassMap, Slide

_MPP = 2.0


class Everywhere(NamedTuple):
    """In place of a `Tissue`; see `everywhere`."""

    map: ClassMap


def everywhere(slide: Slide) -> Everywhere:
    """Return tissue that lets `find_cells` look all over the slide: stroma at 2 um/px."""
    width_um, height_um = slide.extent_um
    shape = int(height_um / _MPP) + 1, int(width_um / _MPP) + 1
    codes = np.full(shape, TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    return Everywhere(ClassMap(codes, _MPP, TISSUE_CLASSES))
