"""How far the cells lie from tissues; a family asks for these with `Specimen.per_cell`."""

import numpy as np
from numpy.typing import NDArray

from histome.geometry.distance import DistanceField
from histome.metrics.axes import BORDER_BANDS_UM
from histome.metrics.specimen import Specimen

# No band of the tumor's border is farther.
_REACH_UM = float(BORDER_BANDS_UM[-1][1])


def to_carcinoma(specimen: Specimen) -> NDArray[np.float64]:
    """Return each cell's distance to the nearest carcinoma, um; inf off the map or without carcinoma."""
    return _at_cells(specimen, specimen.maps.distance_to_tissue("CARCINOMA"))


def to_stroma(specimen: Specimen) -> NDArray[np.float64]:
    """Return each cell's distance to the nearest stroma, um; right as far as the bands reach."""
    return _at_cells(specimen, specimen.maps.distance_to_tissue("STROMA"), reach_um=_REACH_UM)


def to_border(specimen: Specimen) -> NDArray[np.float64]:
    """Return each cell's distance to the border of the nucleated tissue, um; 0 outside it."""
    maps = specimen.maps
    rows, columns, inside = maps.pixel_of(specimen.cells.x_um, specimen.cells.y_um)
    distance = np.zeros(len(specimen.cells))
    distance[inside] = maps.distance_to_border().at(rows[inside], columns[inside]) * maps.tissue.mpp
    return distance


def _at_cells(specimen: Specimen, field: DistanceField, *, reach_um: float = np.inf) -> NDArray[np.float64]:
    """Look a distance up at the pixels of the cells, in um; beyond `reach_um` it may come out too large."""
    rows, columns, inside = specimen.maps.pixel_of(specimen.cells.x_um, specimen.cells.y_um)
    distance = np.full(len(specimen.cells), np.inf)
    mpp = specimen.maps.tissue.mpp
    distance[inside] = field.at(rows[inside], columns[inside], reach_px=reach_um / mpp) * mpp
    return distance
