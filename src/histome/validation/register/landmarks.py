"""Places that people marked on both pictures: how far the transform leaves them apart."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.validation.register.warp import Points

_SHOWN = {"median_um": 50, "p90_um": 90, "max_um": 100}


def read_landmarks(path: Path) -> dict[str, tuple[float, float]]:
    """Name -> x, y in px: CSV with a header; name, X, Y or only X, Y (names are then the rows' numbers)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head, *rows = [row for row in csv.reader(file) if row]
        columns = [[name.strip().lower() for name in head].index(axis) for axis in ("x", "y")]
        named = 0 not in columns
        found = {
            (row[0].strip() if named else str(k)): (float(row[columns[0]]), float(row[columns[1]]))
            for k, row in enumerate(rows, start=1)
        }
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path}: no table of landmarks with columns X and Y ({error}).") from error
    if not all(np.isfinite(place).all() for place in found.values()):
        raise DataError(f"{path}: a landmark is no number.")
    return found


def shared_landmarks(fixed: Path, moving: Path) -> tuple[Points, Points]:
    """Px on either slide of the landmarks that both files name."""
    one, other = read_landmarks(fixed), read_landmarks(moving)
    names = [name for name in one if name in other]
    if not names:
        raise DataError(f"{fixed} and {moving} name no landmark in common.")
    return np.array([one[name] for name in names]), np.array([other[name] for name in names])


def landmark_errors(found_um: Points, true_um: Points) -> dict[str, Any]:
    """Distances: median, 90th percentile, largest, um, and n."""
    apart: NDArray[np.float64] = np.linalg.norm(found_um - true_um, axis=1)
    return {name: float(np.percentile(apart, at)) for name, at in _SHOWN.items()} | {"n": len(apart)}
