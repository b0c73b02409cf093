"""What a person should look at first: the cells and the regions that the models were least sure of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.viewer.packing import column_of
from histome.viewer.view import SlideView

# Side of the squares that regions are judged by, and how many cells one must have.
SQUARE_UM = 250.0
_FEWEST_CELLS = 20


def least_certain(view: SlideView, most: int) -> list[int]:
    """Return the rows of the counted cells that the model was least sure of, the least first."""
    if view.cells is None or "confidence" not in view.cells.column_names:
        return []
    confidence = np.where(_measured(view), column_of(view.cells, "confidence", 1.0), 2.0)
    order = np.argsort(confidence, kind="stable")[:most]
    return order[confidence[order] < 1.0].tolist()


def least_certain_squares(view: SlideView, most: int) -> list[dict[str, Any]]:
    """Return the squares of 250 um that the models were least sure of, the least first.

    Sure is the mean of two: the mean confidence of the counted cells, of which there must be 20, and the mean
    of the tissue's largest probability where it is analyzed (cells alone, where the probabilities cannot be
    read). A corrected cell has confidence 1; what is excluded does not count.
    """
    if view.cells is None or view.tissue is None:
        return []
    columns, rows = (int(side * view.unit_um / SQUARE_UM) + 1 for side in view.size)
    at = np.floor(view.centers[_measured(view)] * view.unit_um / SQUARE_UM).astype(int)
    square = at[:, 1].clip(0, rows - 1) * columns + at[:, 0].clip(0, columns - 1)
    cells = np.bincount(square, minlength=rows * columns)
    sums = np.bincount(square, column_of(view.cells, "confidence", 1.0)[_measured(view)], rows * columns)
    chosen = np.flatnonzero(cells >= _FEWEST_CELLS)
    of_cells, of_tissue = sums[chosen] / cells[chosen], _tissue_certainty(view, rows, columns)[chosen]
    sure = np.where(np.isnan(of_tissue), of_cells, (of_cells + of_tissue) / 2)
    return [
        {
            "box": _box(view, k % columns, k // columns),
            "cells": int(cells[k]),
            "cell_confidence": round(float(of_cells[place]), 3),
            "tissue_confidence": None if np.isnan(of_tissue[place]) else round(float(of_tissue[place]), 3),
        }
        for place in np.argsort(sure, kind="stable")[:most].tolist()
        for k in (int(chosen[place]),)
    ]


def _box(view: SlideView, column: int, row: int) -> list[float]:
    """Return left, top, right and bottom of a square as far as it lies on the slide, in the viewer's unit."""
    side = SQUARE_UM / view.unit_um
    right, bottom = (min(side * (at + 1), end) for at, end in zip((column, row), view.size, strict=True))
    return [side * column, side * row, right, bottom]


def _measured(view: SlideView) -> NDArray[np.bool_]:
    """Return whether each cell is counted and lies where nobody excluded it."""
    assert view.cells is not None
    counted = column_of(view.cells, "counted", True).astype(bool)
    if view.tissue is None:
        return counted
    x, y = view.centers.T * view.unit_um
    return counted & (view.tissue.map.at(x, y) > 0)


def _tissue_certainty(view: SlideView, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the mean of the largest probability in each square, NaN where nothing is known."""
    nothing, best = np.full(rows * columns, np.nan), view.tissue_certainty
    if view.tissue is None or best is None or best.shape != view.tissue.map.array.shape:
        return nothing
    analyzed, step_um = view.tissue.map.array > 0, view.tissue.map.mpp
    found = _sums(np.where(analyzed, best, 0), step_um, (rows, columns))
    pixels = _sums(analyzed, step_um, (rows, columns))
    return np.divide(found, 255 * pixels, out=nothing, where=pixels > 0)


def _sums(array: NDArray[Any], step_um: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the sum of the pixels, `step_um` wide, whose centers lie in each square, flat."""
    for axis, count in enumerate(shape):
        at = ((np.arange(array.shape[axis]) + 0.5) * step_um / SQUARE_UM).astype(int).clip(0, count - 1)
        there, starts = np.unique(at, return_index=True)
        sums = np.zeros((*array.shape[:axis], count, *array.shape[axis + 1 :]))
        sums[(slice(None),) * axis + (there,)] = np.add.reduceat(array, starts, axis=axis, dtype=np.float64)
        array = sums
    return array.ravel()
