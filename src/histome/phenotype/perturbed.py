"""Patches as a segmentation with errors would have given them: to see which labels and tokens are robust.

Each returns new cells of which a share is wrong, drawn by `rng`; nothing else of them changes.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from histome.geometry.kdtree import build_tree, nearest_rows
from histome.phenotype.axes import PANNUKE_CLASSES
from histome.phenotype.features import PatchCells

Perturb = Callable[[PatchCells, float, np.random.Generator], PatchCells]


def drop_cells(cells: PatchCells, share: float, rng: np.random.Generator) -> PatchCells:
    """Leave out a share of the cells, any as likely."""
    kept = np.ones(len(cells.code), bool)
    kept[_drawn(cells, share, rng)] = False
    return cells.select(kept)


def merge_cells(cells: PatchCells, share: float, rng: np.random.Generator) -> PatchCells:
    """Join a share of the cells each with its nearest neighbor: one cell with the area of both.

    It lies at the center of both areas and has the class of the larger (of points, of the drawn one).
    """
    if len(cells.code) < 2:
        return cells
    x, y, area, code = cells.x.copy(), cells.y.copy(), cells.area.copy(), cells.code.copy()
    nearest = nearest_rows(build_tree(x, y), x, y, 1)[:, 0]
    gone = np.zeros(len(code), bool)
    for k in _drawn(cells, share, rng):
        other = int(nearest[k])
        if gone[k] or gone[other]:
            continue
        weight = 0.5 if np.isnan(area[k] + area[other]) else area[other] / (area[k] + area[other])
        code[k] = code[other] if weight > 0.5 else code[k]
        x[k], y[k] = x[k] + weight * (x[other] - x[k]), y[k] + weight * (y[other] - y[k])
        area[k] += area[other]
        gone[other] = True
    return PatchCells(x, y, area, code).select(~gone)


def mistype_cells(cells: PatchCells, share: float, rng: np.random.Generator) -> PatchCells:
    """Give a share of the cells another class than theirs, any other as likely."""
    code, wrong = cells.code.copy(), _drawn(cells, share, rng)
    n = len(PANNUKE_CLASSES)
    code[wrong] = (code[wrong] - 1 + rng.integers(1, n, len(wrong))) % n + 1
    return cells._replace(code=code)


def _drawn(cells: PatchCells, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    n = len(cells.code)
    return rng.permutation(n)[: round(share * n)]


PERTURBED: Mapping[str, Perturb] = {"dropped": drop_cells, "merged": merge_cells, "mistyped": mistype_cells}
