"""Every cell of a slide: windows in, one table out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from histome.cells.stitch import settle_seams
from histome.cells.table import cells_table
from histome.cells.windows import (
    Nuclei,
    Search,
    find_in_window,
    join,
    no_nuclei,
    start_search,
    tissue_windows,
)
from histome.classes import CELL_CLASSES
from histome.config import CellsConfig
from histome.errors import ModelError
from histome.models.card import Card
from histome.models.runtime import Predictor
from histome.slide import Slide, Tile
from histome.tissue import Tissue, whole_field

Progress = Callable[[float, float], object]


def find_cells(
    slide: Slide,
    tissue: Tissue | None,
    network: Predictor,
    config: CellsConfig | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> pa.Table:
    """Find, measure and classify every nucleus in nucleated tissue.

    The network runs on fixed windows of one lattice from level-0 (0, 0); `workers` threads share the windows,
    and neither their number nor their timing changes a byte of the result.

    Parameters
    ----------
    slide : the slide.
    tissue : its tissue; cells are only looked for in the nucleated classes of `tissue.map`. None for a field
        of view without a map: all of it is searched.
    network : a stardist model for the nine cell classes or a hover model, made for as many threads.
    config : `abstain_below` overrides the card's threshold.
    progress : called with the mm2 of nucleated tissue done and in all.

    Returns
    -------
    pa.Table with the columns of `cells.table.SCHEMA`, one row a cell, ordered by y, then x.

    Raises
    ------
    ModelError : the network is neither.
    """
    check_card(network.card)
    tissue = tissue or whole_field(slide)
    search = start_search(slide, tissue.map, network)
    nuclei = _find_all(search, workers, progress or (lambda done_mm2, total_mm2: None))
    kept = nuclei.select(settle_seams(nuclei, overlap=network.card.thresholds.nms))
    return cells_table(kept, search, tissue.zones, config or CellsConfig(), workers=workers)


def check_card(card: Card) -> None:
    """Refuse a model that does not give the nine cell classes."""
    if card.task != "hover" and (card.task != "stardist" or card.classes != CELL_CLASSES):
        classes = ", ".join(CELL_CLASSES)
        raise ModelError(f"{card.name}: not a stardist model for the classes {classes}, nor a hover model")


def _find_all(search: Search, workers: int, progress: Progress) -> Nuclei:
    windows = tissue_windows(search)
    total_mm2 = sum(mm2 for _, mm2 in windows)
    done_mm2 = 0.0
    parts = [no_nuclei(search.network.card)]
    found = _in_order(lambda tile: find_in_window(search, tile), [tile for tile, _ in windows], workers)
    for nuclei, (_, mm2) in zip(found, windows, strict=True):
        parts.append(nuclei)
        done_mm2 += mm2
        progress(done_mm2, total_mm2)
    return join(parts)


def _in_order(work: Callable[[Tile], Nuclei], tiles: list[Tile], workers: int) -> Iterator[Nuclei]:
    """Yield the work of each tile in order; on an error or Ctrl-C no further tile is begun."""
    if workers <= 1:
        yield from map(work, tiles)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="cells") as pool:
        try:
            yield from pool.map(work, tiles)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
