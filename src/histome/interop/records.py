"""Cells as records of contour, type and type_prob: what CellViT and HoVer-Net have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.interop.foreign_cells import ForeignCells, cells_of_shapes


def cells_of_records(records: list[Any], names: Mapping[str, str], path: Path) -> ForeignCells:
    """Return the cells of records; `names` are those of their types, which else name themselves."""
    contours, labels, confidence = [], [], []
    for row, record in enumerate(records, start=1):
        try:
            contours.append(np.asarray(record["contour"], np.float64).reshape(-1, 2))
            labels.append(str(record["type"]))
            confidence.append(float(record.get("type_prob", np.nan) or np.nan))
        except (KeyError, TypeError, ValueError) as error:
            raise HistomeError(
                f"{path}: cell {row} has no contour, type or type_prob as expected ({error})."
            ) from error
    short = next((k for k, contour in enumerate(contours, start=1) if len(contour) < 3), None)
    if short is not None:
        raise HistomeError(f"{path}: the contour of cell {short} has fewer than 3 corners.")
    sizes = [len(contour) for contour in contours]
    corners = np.concatenate(contours) if contours else np.empty((0, 2))
    if not np.isfinite(corners).all():
        row = np.repeat(np.arange(len(sizes)), sizes)[~np.isfinite(corners).all(axis=1)][0]
        raise HistomeError(f"{path}: the contour of cell {row + 1} is not finite.")
    owner = np.repeat(np.arange(len(sizes)), sizes)
    rings = shapely.linearrings(corners, indices=owner) if sizes else np.empty(0, object)
    label = np.array([names.get(value, value) for value in labels], object)
    columns = {"confidence": np.array(confidence)} if np.isfinite(confidence).any() else {}
    return cells_of_shapes(Shapes(np.asarray(shapely.polygons(rings), object), label), columns, path)
