"""Every cell of a slide: windows in, one table out."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from histome.cells.filed import FoundNuclei, NucleiFile, SeenNuclei
from histome.cells.stitch import settle_seams
from histome.cells.table import cell_rows
from histome.cells.windows import (
    CellSearch,
    Columns,
    Nuclei,
    find_in_window,
    join,
    no_nuclei,
    start_search,
    tissue_windows,
)
from histome.config import CellsConfig
from histome.errors import ModelError
from histome.models.card import Card
from histome.models.runtime import Predictor
from histome.models.tasks import CELL_TASKS, unfit_classes
from histome.slide import Slide, Tile
from histome.threads import give_back_memory, ordered_map
from histome.tissue import Tissue, whole_field
from histome.tissue.zones import find_zones

Progress = Callable[[float, float], object]
# Windows a part: a quarter to half a minute of work on a core, and 30 MB in memory where nuclei are dense.
PART_WINDOWS = 64


class KeptParts(Protocol[Columns]):
    """Where finished windows are kept, part by part, so that a search that was cut off goes on there."""

    def load(self) -> list[Columns]:
        """Return the parts that were kept, in order."""
        ...

    def add(self, part: Columns, /) -> None:
        """Keep one part more."""
        ...


def find_cells(
    slide: Slide,
    tissue: Tissue | None,
    network: Predictor,
    config: CellsConfig | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    kept: KeptParts[Nuclei] | None = None,
) -> pa.Table:
    """Find, measure and classify every nucleus in valid tissue, be it necrosis or blood by the tissue map.

    The network runs on fixed windows of one lattice from level-0 (0, 0); `workers` threads share the windows,
    and neither their number nor their timing changes a byte of the result.

    Parameters
    ----------
    slide : Slide
        The slide.
    tissue : Tissue or None
        Its tissue; cells are looked for where `tissue.map` has a class, and counted in its nucleated classes.
        None for a field of view without a map: all of it is searched.
    network : Predictor
        A model of cells (see `models.tasks`), made for as many threads.
    config : CellsConfig or None
        `abstain_below` overrides the card's threshold.
    workers : int
        Threads.
    progress : callable(done_mm2, total_mm2)
        Called with the mm2 of valid tissue done and in all.
    kept : KeptParts or None
        Of this very search: what it has is not searched again, and what is found is added to it.

    Returns
    -------
    pa.Table
        One row a cell with the columns of `cells.table.SCHEMA`, ordered by y, then x.

    Raises
    ------
    ModelError
        The network is no model of cells.

    Examples
    --------
    A drawn field with twelve dark discs of 9 um across, seen by the shipped model:

    >>> from histome.cells import find_cells
    >>> from histome.models import find_model, open_model
    >>> network = open_model(find_model("nuclei"))
    >>> with histome.open_slide("field.png", mpp=0.5) as field:
    ...     cells = find_cells(field, None, network)
    >>> len(cells)
    12

    The area of such a disc is 63.6 um2; each is found with that area to an eighth:

    >>> all(abs(area_um2 - 63.6) < 7.95 for area_um2 in cells["area_um2"].to_pylist())
    True
    """
    tissue_map = tissue.map if tissue else whole_field(slide)
    zones = tissue.zones if tissue else find_zones(tissue_map, workers=workers)
    search = start_search(slide, tissue_map, network)
    found = find_nuclei(search, workers=workers, progress=progress, kept=kept)
    return cell_rows(found, search, zones, config or CellsConfig(), workers=workers).table()


def find_nuclei(
    search: CellSearch,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    kept: KeptParts[Nuclei] | None = None,
) -> FoundNuclei:
    """Return every nucleus of a search once, as its windows measured it."""
    return settle(look_for_nuclei(search, workers=workers, progress=progress, kept=kept), search)


def look_for_nuclei(
    search: CellSearch,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    kept: KeptParts[Nuclei] | None = None,
) -> SeenNuclei:
    """Return what each window of a search sees: nuclei at seams are seen more than once."""
    check_card(search.network.card)
    windows, told = tissue_windows(search), progress or (lambda done_mm2, total_mm2: None)
    card, look = search.network.card, partial(find_in_window, search)
    file = NucleiFile(np.array(search.slide.mpp[:2]))
    give_back_memory()  # of what was read with the map
    options = {"workers": workers, "progress": told, "kept": kept, "shrink": file.take}
    return SeenNuclei(join([file.take(no_nuclei(card)), *look_through(look, windows, **options)]), file)


def settle(seen: SeenNuclei, search: CellSearch) -> FoundNuclei:
    """Return each nucleus once; of the search no more than the card is needed."""
    located, overlap = seen.located, search.network.card.thresholds.nms
    keep = located.owner == located.window
    keep[located.at_seam] = settle_seams(seen.file.near_seams(), overlap=overlap)
    return FoundNuclei(located.select(keep), seen.file, np.flatnonzero(keep))


def check_card(card: Card) -> None:
    """Refuse a model that finds no cells, or not those of the nine classes."""
    if card.task not in CELL_TASKS:
        raise ModelError(f"{card.name}: a {card.task} finds no cells; give a {' or '.join(CELL_TASKS)} model")
    if (problem := unfit_classes(card)) is not None:
        raise ModelError(f"{card.name}: {problem}")


def look_through(
    look: Callable[[Tile], Columns],
    windows: Sequence[tuple[Tile, float]],
    *,
    workers: int,
    progress: Progress,
    kept: KeptParts[Columns] | None,
    shrink: Callable[[Columns], Any] = lambda part: part,
) -> list[Any]:
    """Return what is found in windows (each with its mm2 of tissue), joined to parts, in order.

    What `kept` has is not looked for again; whole parts are added to it. `shrink` gives what stays in memory
    of each part.
    """
    parts = [] if kept is None else [shrink(part) for part in kept.load()]
    found = _looks(look, windows, PART_WINDOWS * len(parts), workers, progress)
    while part := list(islice(found, PART_WINDOWS)):
        whole = join(part)
        if kept is not None and len(part) == PART_WINDOWS:
            kept.add(whole)
        parts.append(shrink(whole))
    return parts


def _looks(
    look: Callable[[Tile], Columns],
    windows: Sequence[tuple[Tile, float]],
    start: int,
    workers: int,
    progress: Progress,
) -> Iterator[Columns]:
    """Yield what is found in each window from the `start`-th on."""
    total_mm2 = sum(mm2 for _, mm2 in windows)
    done_mm2 = sum(mm2 for _, mm2 in windows[:start])
    todo = windows[start:]
    for found, (_, mm2) in zip(ordered_map(look, [tile for tile, _ in todo], workers), todo, strict=True):
        done_mm2 += mm2
        progress(done_mm2, total_mm2)
        yield found
