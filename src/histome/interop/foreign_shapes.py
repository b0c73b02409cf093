"""What every labeled geometry of a file must be: there, and finite."""

from pathlib import Path

import numpy as np
import shapely

from histome.errors import HistomeError
from histome.geometry.shapes import Shapes


def check_shapes(shapes: Shapes, path: Path) -> Shapes:
    """Return the shapes; raises HistomeError that names the first that is empty or not finite."""
    bounds = shapely.bounds(shapes.geometry)
    bad = np.flatnonzero(~np.isfinite(bounds).all(axis=1)) if len(bounds) else []
    if len(bad):
        raise HistomeError(
            f"{path}: the geometry of row {bad[0] + 1} is empty or not finite ({len(bad)} such rows)."
        )
    return shapes
