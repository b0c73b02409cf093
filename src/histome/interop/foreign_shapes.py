"""What every labeled geometry of a file must be: there, finite, and of a kind that is meant."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.errors import HistomeError
from histome.geometry.shapes import Shapes

POLYGONS = ("Polygon", "MultiPolygon")


def check_shapes(shapes: Shapes, path: Path) -> Shapes:
    """Return the shapes; raises HistomeError that names the first that is null, empty or not finite."""
    bounds = shapely.bounds(shapes.geometry)
    bad = np.flatnonzero(~np.isfinite(bounds).all(axis=1)) if len(bounds) else []
    if len(bad):
        what = "null" if shapes.geometry[bad[0]] is None else "empty or not finite"
        raise HistomeError(f"{path}: the geometry of row {bad[0] + 1} is {what} ({len(bad)} such rows).")
    return shapes


def check_kinds(geometry: NDArray[np.object_], kinds: Sequence[str], path: Path) -> None:
    """Refuse geometries of other kinds; raises HistomeError that names the first."""
    codes = [shapely.GeometryType[kind.upper()] for kind in kinds]
    found = shapely.get_type_id(geometry)
    other = np.flatnonzero(~np.isin(found, codes))
    if len(other):
        name = shapely.GeometryType(found[other[0]]).name.capitalize()
        raise HistomeError(
            f"{path}: the geometry of row {other[0] + 1} is a {name}, "
            f"not a {' or '.join(kinds)} ({len(other)} such rows): remove them or draw them as such."
        )
