"""Whether cells and tissue of two files lie in one frame."""

import numpy as np
import pyarrow as pa

from histome.errors import HistomeError
from histome.slide.maps import ClassMap

_FACTORS = (0.25, 0.5, 2, 4)  # what two levels of a pyramid, or px and um, differ by
_FEW_CELLS = 20
_MOST, _NEARLY_ALL, _ALL = 0.5, 0.9, 0.995
_SAME_EXTENT, _SIMILAR_EXTENT = 0.03, 0.25


def share_on_tissue(cells: pa.Table, tissue: ClassMap, factor: float = 1.0) -> float:
    """Return the share of cells on analyzed tissue, were their coordinates `factor` times as large; 0-1."""
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    return np.count_nonzero(tissue.at(x * factor, y * factor)) / max(len(x), 1)


def check_same_frame(cells: pa.Table, tissue: ClassMap) -> None:
    """Refuse cells and tissue that look as if drawn at different resolutions; raises HistomeError.

    Refused: cells of which some lie off the tissue, whose extent is 2, 4, 1/2 or 1/4 of the tissue's. Either
    to 3 %, and at least as many would lie on it were they scaled; or to 25 %, and most lie off it while
    nearly all would lie on it.
    """
    share = share_on_tissue(cells, tissue)
    if len(cells) < _FEW_CELLS or share >= _ALL or not tissue.array.any():
        return
    reach = _reach_um(tissue) / [cells["x_um"].to_numpy().max(), cells["y_um"].to_numpy().max()]
    for factor in _FACTORS:
        off, scaled = float(np.abs(reach / factor - 1).max()), share_on_tissue(cells, tissue, factor)
        fills = off < _SAME_EXTENT and scaled >= share
        fits = off < _SIMILAR_EXTENT and share < _MOST and scaled > _NEARLY_ALL
        if fills or fits:
            raise HistomeError(
                f"cells and tissue are not at one resolution: {share:.0%} of the cells lie on tissue, "
                f"{scaled:.0%} would if their coordinates were {factor:g} times as large. If they are right "
                "as they are, measure with --any-frame."
            )


def _reach_um(tissue: ClassMap) -> np.ndarray:
    """Return how far the analyzed tissue reaches right and down from the slide's corner, (2,) um."""
    ends = [np.flatnonzero(tissue.array.any(axis=axis))[-1] + 1 for axis in (0, 1)]
    return (np.array(ends) + tissue.origin_px) * tissue.mpp
