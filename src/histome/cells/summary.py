"""What run.json tells of the cells."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histome.cells.pixels import Stains
from histome.cells.rows import CellRows
from histome.cells.table import counted_cells
from histome.classes import UNDECIDED_CELLS

# No copy of the other columns is made, of cells that count.
_READ = (
    *("counted", "class", "reported", "tissue", "confidence", "abstained", "strangeness", "area_um2"),
    *Stains._fields,
)


def summarize_cells(cells: pa.Table | CellRows) -> dict[str, Any]:
    """Return how many cells there are and count, and of those that count certainty, size, stain and place.

    `nuclear_contrast` is the median standard deviation of hematoxylin within a nucleus over the median mean.
    `unfamiliar_percent` is the share of those with a strangeness over 1; `undecided` counts those that are
    reported as a group of classes. Means and medians are None without cells or values.
    """
    found, read = len(cells), [name for name in cells.column_names if name in _READ]
    counted = counted_cells(cells.select(read))
    carcinoma, there = _is(counted["class"], "carcinoma_cell"), _is(counted["tissue"], "CARCINOMA")
    return {
        "count": found,
        "counted": len(counted),
        "confidence_mean": _mean(counted["confidence"]),
        "abstained_percent": _mean(counted["abstained"], 100.0),
        "strangeness_median": _median(counted["strangeness"]),
        "unfamiliar_percent": _percent_over(counted["strangeness"], 1.0),
        "undecided": {name: int(_is(counted["reported"], name).sum()) for name in UNDECIDED_CELLS},
        "median_nucleus_um2": _median(counted["area_um2"]),
        "nuclear_contrast": _quotient(
            _median(counted["hematoxylin_od_sd"]), _median(counted["hematoxylin_od_mean"])
        ),
        "carcinoma_cells": int(carcinoma.sum()),
        "in_carcinoma": int((carcinoma & there).sum()),
        "cells_in_carcinoma": int(there.sum()),
        "epithelial_in_carcinoma": int((_is(counted["class"], "epithelial_cell") & there).sum()),
        "fibroblasts_in_carcinoma": int((_is(counted["class"], "fibroblast") & there).sum()),
        "stain": {name: _mean(counted[name]) for name in Stains._fields},
    }


def _is(names: pa.ChunkedArray, name: str) -> np.ndarray:
    return pc.fill_null(pc.call_function("equal", [names, name]), False).to_numpy()


def _known(values: pa.ChunkedArray) -> np.ndarray:
    numbers = values.cast(pa.float64()).to_numpy()
    return numbers[np.isfinite(numbers)]


def _mean(values: pa.ChunkedArray, factor: float = 1.0) -> float | None:
    known = _known(values)
    return factor * float(known.mean()) if known.size else None


def _median(values: pa.ChunkedArray) -> float | None:
    known = _known(values)
    return float(np.median(known)) if known.size else None


def _percent_over(values: pa.ChunkedArray, limit: float) -> float | None:
    known = _known(values)
    return 100.0 * float((known > limit).mean()) if known.size else None


def _quotient(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None
