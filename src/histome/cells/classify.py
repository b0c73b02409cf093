"""Given nuclei, classified and measured on the pixels by the model that otherwise finds them."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.cells.decode.by_task import read_classes
from histome.cells.find import KeptParts, Progress, check_card, look_through
from histome.cells.given import GivenNuclei
from histome.cells.pixels import Stains, class_probabilities, measure_stains
from histome.cells.table import given_cells_table
from histome.cells.windows import CellSearch, Nuclei, join, read_window, tissue_windows
from histome.classes import CELL_CLASSES
from histome.config import CellsConfig
from histome.errors import HistomeError
from histome.geometry.raster import paint_polygons
from histome.slide import ClassMap, Tile


class NucleiRead(NamedTuple):
    """What the pixels say of some of the given nuclei.

    Attributes
    ----------
    row : (n,) int64
        Which of them.
    probability : (n, 9) float32, 0-1
        Calibrated.
    stain : (n, 3) float64
        Fields of `Stains`.
    """

    row: NDArray[np.int64]
    probability: NDArray[np.float32]
    stain: NDArray[np.float64]


def classify_cells(
    search: CellSearch,
    zones: ClassMap,
    given: GivenNuclei,
    config: CellsConfig | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    kept: KeptParts[NucleiRead] | None = None,
) -> pa.Table:
    """Classify and measure given nuclei as `find_cells` does those that it finds.

    Each is read in the window whose core holds its center. Its class is what the model's class head says
    within its outline; of two that overlap, the smaller one has the pixels.

    Parameters
    ----------
    search : CellSearch
        The slide, the map of its tissue and a model of cells, see `cells.windows.start_search`.
    zones : ClassMap
        Those of its tissue.
    given : GivenNuclei
        The nuclei; those outside of valid tissue are left out.

    Returns
    -------
    pa.Table
        As `find_cells` returns it, with the columns given_id and given_class: what the file says of each.

    Raises
    ------
    HistomeError
        Not one of the nuclei lies in valid tissue.
    """
    check_card(search.network.card)
    x_um, y_um = given.shape[:, 0], given.shape[:, 1]
    codes = search.tissue.at(x_um, y_um)
    if not codes.any():
        raise HistomeError(
            f"{given.source}: none of its {len(given):,} nuclei lies in valid tissue of "
            f"{search.slide.path.name}: are they in px of level 0 of this slide?"
        )
    mpp = search.network.card.mpp
    owner = np.where(codes > 0, search.grid.owners(x_um / mpp, y_um / mpp), -1)
    in_window = _rows_by_window(owner)
    windows = [(tile, mm2) for tile, mm2 in tissue_windows(search) if tile.index in in_window]
    look, told = partial(_read, search, given, in_window), progress or (lambda done_mm2, total_mm2: None)
    read = join(look_through(look, windows, workers=workers, progress=told, kept=kept))
    n = len(read.row)
    nuclei = Nuclei(
        np.empty((n, 0, 2), np.float32),
        given.shape[read.row],
        read.stain,
        read.probability,
        np.full(n, np.nan, np.float32),  # nobody scored them as objects: how strange they are is not known
        np.ones(n, np.float32),
        codes[read.row],
        owner[read.row].astype(np.int32),
        owner[read.row].astype(np.int32),
        np.zeros(n, np.bool_),
    )
    given = given.select(read.row)
    options = {"workers": workers, "given": given}
    return given_cells_table(nuclei, search, zones, config or CellsConfig(), **options)


def _rows_by_window(owner: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Return the rows of each window, by its index; -1 is none."""
    order = np.argsort(owner, kind="stable")
    windows, first = np.unique(owner[order], return_index=True)
    rows = dict(zip(windows.tolist(), np.split(order, first[1:]), strict=True))
    rows.pop(-1, None)
    return rows


def _read(
    search: CellSearch, given: GivenNuclei, in_window: Mapping[int, NDArray[np.int64]], tile: Tile
) -> NucleiRead:
    """Read the nuclei of one window."""
    card, rows = search.network.card, in_window[tile.index]
    rgb = read_window(search, tile)
    outputs = search.network(rgb[None])
    corner = np.array(tile.read[:2])
    outlines = shapely.transform(given.outlines[rows], lambda xy: xy / search.px_per_step - corner)
    labels = _painted(outlines, rgb.shape[:2])
    centers = given.shape[rows, :2] / card.mpp - corner
    logits = read_classes(card, outputs, labels, centers)
    return NucleiRead(
        rows,
        class_probabilities(logits, card.temperature).astype(np.float32).reshape(-1, len(CELL_CLASSES)),
        np.stack(measure_stains(rgb, labels, len(rows)), axis=1).reshape(-1, len(Stains._fields)),
    )


def _painted(outlines: NDArray[np.object_], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return the instance map of polygons in px, 1..n by row; the smallest lies on top."""
    labels = np.zeros(shape, np.int32)
    order = np.lexsort((*shapely.bounds(outlines).T, -shapely.area(outlines)))
    paint_polygons(labels, outlines[order], (order + 1).astype(np.int32))
    return labels
