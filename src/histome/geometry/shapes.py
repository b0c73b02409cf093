"""Geometries with a label each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Shapes:
    """Labeled geometries in the coordinates of their file: shapely objects (n,) and labels (n,)."""

    geometry: NDArray[np.object_]
    label: NDArray[np.object_]
